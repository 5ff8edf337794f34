"""A worker whose keeper compares everything, but never looks whether a queued job is in the queue.

celery -A tests.chaos.broken.skips_ready worker
"""

from keepfit.worker.app import app
from keepfit.worker.keeper import rebuild
from tests.chaos.broken.scripts import replace_in_scripts

rebuild.MINUTE_S = 1.0  # often enough, so that nobody can say that it had no time
replace_in_scripts("if repair then enqueue(id, 0) end", "")

__all__ = ["app"]
