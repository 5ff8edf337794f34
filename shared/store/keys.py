"""Every key that Keepfit has in Redis: the only place where one is built.

| key              | type    | fields or members              | kept               | written by               |
|------------------|---------|--------------------------------|--------------------|--------------------------|
| kf:job:<id>      | hash    | see ``records.JobRecord``      | for ever           | all scripts              |
| kf:jobs          | zset    | job id -> created (ms)         | for ever           | create, put_back, adopt  |
| kf:ready         | zset    | job id -> rank                 | while queued       | ``enqueue``, promote     |
| kf:ready:short   | zset    | those of them of a short kind  | while queued       | the same                 |
| kf:delayed       | zset    | job id -> not before (ms)      | while backing off  | ``enqueue``, promote     |
| kf:leases        | zset    | job id -> deadline (ms)        | while running      | claim, renew, adopt      |
| kf:state:<state> | zset    | job id -> since (ms)           | while in it        | ``set_state``, forget    |
| kf:events:<id>   | stream  | type, attempt, data (JSON)     | newest 20,000; 200 | all scripts              |
|                  |         |                                | for 1 h at the end |                          |
| kf:changes       | stream  | job, type                      | newest 2,000       | all scripts              |
| kf:wishes:<id>   | channel | the wish                       | -                  | request                  |
| kf:counters      | hash    | see ``counters``               | for ever           | claim, finish, reap ...  |
| kf:workers       | zset    | worker name -> last beat (ms)  | 10 s after a beat  | beat, leave              |
| kf:worker:<name> | hash    | host, pid, slots, busy, takes  | 30 s after a beat  | beat, leave              |
| kf:drill:<owner> | string  | this owner's worker is to die  | 10 s               | drill                    |
| kf:kick          | string  | a top-up was just made         | kick_gap_s         | top_up                   |
| kf:boot          | string  | random; missing after a wipe   | for ever           | keeper                   |
| kf:scan          | string  | the keeper that compares all   | 10 s               | lock                     |
|                  |         | jobs with their directories    |                    |                          |
| kf:rebuild       | hash    | mark, done, total of a rebuild | 60 s               | keeper                   |
| keepfit          | list    | Celery's queue of kicks        | -                  | Celery                   |
"""

PREFIX = "kf:"
JOBS = "kf:jobs"
READY = "kf:ready"
SHORT = "kf:ready:short"
DELAYED = "kf:delayed"
LEASES = "kf:leases"
CHANGES = "kf:changes"
WORKERS = "kf:workers"
KICK = "kf:kick"
BOOT = "kf:boot"
REBUILD = "kf:rebuild"
SCAN = "kf:scan"
COUNTERS = "kf:counters"
JOB_PREFIX = "kf:job:"
EVENTS_PREFIX = "kf:events:"
WISHES_PREFIX = "kf:wishes:"
WORKER_PREFIX = "kf:worker:"
DRILL_PREFIX = "kf:drill:"
STATE_PREFIX = "kf:state:"

QUEUE = "keepfit"
"""Celery's list; a direct queue has the name of its key."""

SCRIPT_KEYS = {
    "JOBS": JOBS,
    "READY": READY,
    "SHORT": SHORT,
    "DELAYED": DELAYED,
    "LEASES": LEASES,
    "CHANGES": CHANGES,
    "WORKERS": WORKERS,
    "KICK": KICK,
    "QUEUE": QUEUE,
    "JOB_PREFIX": JOB_PREFIX,
    "EVENTS_PREFIX": EVENTS_PREFIX,
    "WISHES_PREFIX": WISHES_PREFIX,
    "WORKER_PREFIX": WORKER_PREFIX,
    "DRILL_PREFIX": DRILL_PREFIX,
    "STATE_PREFIX": STATE_PREFIX,
    "COUNTERS": COUNTERS,
    "SCAN": SCAN,
    "REBUILD": REBUILD,
}
"""KEYS of every script, by the names that they have there."""


def job(job_id: str) -> str:
    """The hash of a job."""
    return JOB_PREFIX + job_id


def state(name: str) -> str:
    """The jobs that are in the state ``name``."""
    return STATE_PREFIX + name


def events(job_id: str) -> str:
    """The event stream of a job."""
    return EVENTS_PREFIX + job_id


def wishes(job_id: str) -> str:
    """The channel on which a wish for a running job is announced."""
    return WISHES_PREFIX + job_id


def worker(name: str) -> str:
    """The hash of a worker."""
    return WORKER_PREFIX + name


def drill(owner: str) -> str:
    """Whether the worker of ``owner`` is asked to die."""
    return DRILL_PREFIX + owner
