"""The Python API over HTTP; see ``keepfit.Client``."""

from keepfit.web.client.client import (
    AGAIN_S,
    RESTING,
    Client,
    Job,
    RequestRefused,
    ServerEvent,
    ServiceUnreachable,
    WrongAddress,
)

__all__ = ["AGAIN_S", "RESTING", "Client", "Job", "RequestRefused", "ServerEvent", "ServiceUnreachable", "WrongAddress"]
