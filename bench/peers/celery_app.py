"""Plain Celery as its manual advises for work that must not be lost: acknowledged late, rejected when its process dies.

celery -A bench.peers.celery_app worker
"""

import os

from celery import Celery

from bench.peers import plain

app = Celery("plain", broker=os.environ["PEER_BROKER"])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)


@app.task(name="train")
def train(folder: str) -> None:
    """Train in ``folder``."""
    plain.train(folder)
