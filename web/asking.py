"""Who is asking: the actor of a request.

    actor = asking()                # Actor("local", Role.ADMIN, How.PAGE)

Without accounts everybody who reaches this instance is "local". How something was asked tells the address: the API
or a page. The ``keepfit`` command speaks to the API too, and says so in a header; that is told on, and decides nothing.
"""

from flask import request

from keepfit.shared.actors import VIA, Actor, How, local


def asking() -> Actor:
    """Whoever has sent the current request."""
    if not request.path.startswith("/api/"):
        return local(How.PAGE)
    return local(How.COMMAND if request.headers.get(VIA) == How.COMMAND else How.API)
