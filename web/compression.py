"""Answers in gzip for browsers that take it: pages, JSON, scripts and sheets. Streams and downloads go as they are."""

import gzip
from functools import lru_cache

from flask import Flask, Response, request

WORTH_IT = frozenset(
    {"text/html", "application/json", "text/css", "text/javascript", "application/javascript", "image/svg+xml"}
)
"""Types that are made small at all; ``text/event-stream`` must not wait for a block to be full."""
LEAST_BYTES = 600
"""A smaller answer fits one packet anyway."""
LEVEL = 6


def init_app(app: Flask) -> None:
    """Compress the answers of ``app``."""
    app.after_request(_compressed)


def _compressed(response: Response) -> Response:
    if response.mimetype not in WORTH_IT or (response.is_streamed and not response.direct_passthrough):
        return response
    response.vary.add("Accept-Encoding")
    wanted = request.accept_encodings.quality("gzip") > 0
    if not wanted or response.status_code != 200 or "Content-Encoding" in response.headers:
        return response
    response.direct_passthrough = False  # a file: read here, for it is small
    content = response.get_data()
    if len(content) < LEAST_BYTES:
        return response
    kept = response.cache_control.immutable  # of our own files there are few, which everyone asks for
    response.set_data(_once(content) if kept else gzip.compress(content, LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("Accept-Ranges", None)
    etag, _ = response.get_etag()
    if etag:  # the bytes differ, what they say does not
        response.set_etag(etag, weak=True)
    return response


@lru_cache(maxsize=64)
def _once(content: bytes) -> bytes:
    return gzip.compress(content, LEVEL, mtime=0)
