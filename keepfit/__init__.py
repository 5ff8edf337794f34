"""The import name: ``keepfit.shared``, ``keepfit.web`` and ``keepfit.worker``, and what people's programs import.

    from keepfit import Client

    with Client("http://127.0.0.1:8080") as keepfit:
        job = keepfit.submit({"name": "first"})

In a checkout the three are links to the folders beside this one. Importing this module loads none of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepfit.web.client.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    """Whatever is asked for is imported then."""
    if name == "Client":
        from keepfit.web.client.client import Client

        return Client
    raise AttributeError(f"module 'keepfit' has no attribute {name!r}")
