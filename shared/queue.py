"""The one Celery task that exists, by name, and the queue it goes through.

A message is only a *kick*: "some job may be ready, perhaps this one". It carries no state, so a lost
or doubled kick does no harm; the keeper of any worker tops them up while jobs are ready.
"""

from keepfit.shared.store.keys import QUEUE

TASK_NAME = "keepfit.attempt"

__all__ = ["QUEUE", "TASK_NAME"]
