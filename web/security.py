"""What keeps foreign pages out: the secret key, the form tokens, the security headers."""

import logging
import secrets

from flask import Flask, Response
from flask_wtf import CSRFProtect

from shared.durable import write_bytes
from shared.settings import Settings

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

log = logging.getLogger(__name__)
csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    """Protect every form post and put the headers on every answer."""
    csrf.init_app(app)

    @app.after_request
    def put_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


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
