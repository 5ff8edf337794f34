"""The training side: Celery workers that run attempts. May import shared; never flask or web."""
