"""A worker whose keeper takes jobs away without looking whether their lease has lapsed.

celery -A tests.chaos.broken.reap_all worker
"""

from keepfit.worker.app import app
from tests.chaos.broken.scripts import replace_in_scripts

replace_in_scripts("redis.call('ZRANGEBYSCORE', LEASES, '-inf', now)", "redis.call('ZRANGE', LEASES, 0, -1)")

__all__ = ["app"]
