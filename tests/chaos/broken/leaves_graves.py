"""A worker whose keeper never looks for deletions that somebody has begun and not finished.

celery -A tests.chaos.broken.leaves_graves worker
"""

from keepfit.worker.app import app
from keepfit.worker.keeper.bury import Burial

Burial.tick = lambda *_: None  # type: ignore[method-assign]

__all__ = ["app"]
