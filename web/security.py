"""What keeps foreign pages out: own hosts only, own origin only, form tokens, security headers; the secret key.

A request must be addressed to a name of this instance (``shared.addresses``). One that changes something
must come from a page of this very origin, or from no page at all: a terminal sends neither ``Origin``
nor ``Sec-Fetch-Site``, and no browser can be made to leave both out.
"""

import hashlib
import hmac
import logging
import secrets

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from flask_wtf import CSRFProtect

from keepfit.shared.addresses import Hosts
from keepfit.shared.durable import write_bytes
from keepfit.shared.settings import Settings
from keepfit.web.errors import answer
from keepfit.web.words.catalogue import _, marked

# No inline scripts or styles and nothing from elsewhere; uPlot sets styles through the DOM, which this allows.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

READING = frozenset({"GET", "HEAD", "OPTIONS"})
UNKNOWN_HOST = marked(
    "Keepfit does not answer under this name. If it is one of yours, start Keepfit with "
    "KEEPFIT_HOSTS=<the name in your browser's address bar>; several are separated by commas."
)
FOREIGN_PAGE = marked(
    "This was sent by a page of another site, so nothing was done. Open Keepfit itself and try again."
)

log = logging.getLogger(__name__)
csrf = CSRFProtect()


def init_app(app: Flask, settings: Settings) -> None:
    """Look at who asks before anything else, protect every form post, put the headers on every answer."""
    hosts = Hosts(settings)

    @app.before_request
    def look_at_who_asks() -> ResponseReturnValue | None:
        if not hosts.known(request.headers.get("Host")):
            return answer(400, _(UNKNOWN_HOST))
        if request.method not in READING and not _from_here():
            return answer(403, _(FOREIGN_PAGE))
        return None

    csrf.init_app(app)

    @app.after_request
    def put_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":  # pages hold a token, answers what only their reader may know
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _from_here() -> bool:
    """Whether a request was not made by a page of another origin, another port of the same host included."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    return origin is None or origin.lower() == f"{request.scheme}://{request.headers['Host']}".lower()


def cookie_name(key: bytes, port: int) -> str:
    """A name of its own for each instance: browsers share cookies between all ports of a host."""
    return f"keepfit-{hmac.new(key, f'cookie {port}'.encode(), hashlib.sha256).hexdigest()[:8]}"


def secret_key(settings: Settings) -> bytes:
    """The given key, or one that is made once and kept in the data directory, readable by its owner only."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    path = settings.data_dir / "secret-key"
    try:
        if not path.is_file():
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            write_bytes(path, secrets.token_hex(32).encode(), mode=0o600)
        return path.read_bytes()
    except OSError:
        # Pages must still show what is there; only forms that are open across a restart need to be sent again.
        log.warning("the key that signs forms could not be kept in %s; using one for this run", path, exc_info=True)
        return secrets.token_bytes(32)
