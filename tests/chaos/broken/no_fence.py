"""A worker whose scripts do not look who speaks: any owner's word counts, however old its attempt.

celery -A tests.chaos.broken.no_fence worker
"""

from keepfit.worker.app import app
from tests.chaos.broken.scripts import replace_in_scripts

replace_in_scripts(
    "return job[1] == 'running' and job[2] == owner and job[3] == string.format('%d', attempt)",
    "return redis.call('EXISTS', job_key(id)) == 1",
)

__all__ = ["app"]
