"""Sees all of a real server after each step of the model check, in one script, and judges what changed by itself.

observer = Observer(store, job_ids)
look = observer.look()                            # the view, and what was appended since the last look
transitions = judge("finish", before, look, claim)     # fails on what the table of transitions does not have
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from keepfit.shared.jobs.states import ENDS, TRANSITIONS, JobState, Transition
from keepfit.shared.store import Claim, Store, keys
from tests.store.model import Happened, View

ALLOWED = frozenset(TRANSITIONS)
FENCED = frozenset({"finish", "bump"})
"""Scripts that may change a job only for the owner of its attempt."""
DESCRIBING = frozenset({"by", "name", "kind", "source", "data", "model", "needs", "lane"})
"""Fields that no transition touches."""
TEXTS = ("state", "wish", "owner", "reason", "last_end", "last_outcome", "result", "progress", "checkpoint_failure",
         "wish_by")  # fmt: skip
NUMBERS = (
    "attempt",
    "barren",
    "setbacks",
    "priority",
    "wish_number",
    "checkpoint_step",
    "progress_attempt",
    "created_ms",
)
TIMES = ("since_ms", "wish_ms", "heartbeat_ms")
ABSENT = {**dict.fromkeys(TEXTS, ""), **dict.fromkeys((*NUMBERS, *TIMES, "lease_ms"), 0)}

LOOK = """
local seen = { zsets = {}, hashes = {}, streams = {} }
for i = 1, 11 do seen.zsets[i] = redis.call('ZRANGE', KEYS[i], 0, -1, 'WITHSCORES') end
for i = 12, #KEYS do seen.streams[i - 11] = redis.call('XRANGE', KEYS[i], '(' .. ARGV[i - 11], '+') end
for i = #KEYS - 10, #ARGV do seen.hashes[i - #KEYS + 11] = redis.call('HGETALL', ARGV[i]) end
local time = redis.call('TIME')
seen.now = time[1] * 1000 + math.floor(time[2] / 1000)
return cjson.encode(seen)
"""
"""KEYS: eleven sorted sets, then streams. ARGV: the last id seen of each stream, then the keys of hashes."""


@dataclass(frozen=True)
class Look:
    """The server at one moment, and what was appended since the look before."""

    view: View
    streams: dict[str, list[Happened]]
    changes: list[tuple[str, str]]
    now: int

    def clock(self, before: Self) -> int:
        """The time that the script between the two looks saw, if it noted one anywhere; no earlier than ``before``."""
        noted: Iterator[int] = (job[name] for job in self.view.jobs.values() for name in TIMES)
        return max([before.now, *noted])


class Observer:
    """Looks at a server that only these jobs are on."""

    def __init__(self, store: Store, job_ids: list[str]) -> None:
        self._link = store.link
        self._ids = job_ids
        self._script = store.link.ask(lambda r: r.register_script(LOOK))
        streams = [keys.CHANGES, *map(keys.events, job_ids)]
        self._keys = [
            keys.JOBS,
            keys.READY,
            keys.SHORT,
            keys.DELAYED,
            keys.LEASES,
            *map(keys.state, JobState),
            *streams,
        ]
        self._hashes = [keys.COUNTERS, *map(keys.job, job_ids)]
        self.start_over()

    def start_over(self) -> None:
        """The streams have been emptied."""
        self._last = ["0-0"] * (1 + len(self._ids))

    def start_over_with(self, job_id: str) -> None:
        """The stream of this job has been dropped; a new one may begin in the same millisecond."""
        self._last[1 + self._ids.index(job_id)] = "0-0"

    def look(self) -> Look:
        """All that counts, at one moment."""
        raw = self._link.ask(lambda r: self._script(keys=self._keys, args=[*self._last, *self._hashes], client=r))
        seen = json.loads(raw)
        self._last = [rows[-1][0] if rows else last for rows, last in zip(seen["streams"], self._last, strict=True)]
        changes, *events = [[_pairs(fields) for _, fields in rows] for rows in seen["streams"]]
        counters, *jobs = seen["hashes"]
        hashes = {i: _fields(_pairs(flat)) for i, flat in zip(self._ids, jobs, strict=True) if flat}
        zsets = [{i: float(score) for i, score in _pairs(flat).items()} for flat in seen["zsets"]]
        index, ready, short, delayed, leases, *by_state = zsets
        states = {state.value: zset for state, zset in zip(JobState, by_state, strict=True) if zset}
        counted = {name: int(count) for name, count in _pairs(counters).items()}
        return Look(
            view=View(hashes, index, ready, short, delayed, leases, states, counted),
            streams={i: list(map(_happened, rows)) for i, rows in zip(self._ids, events, strict=True) if rows},
            changes=[(row["job"], row["type"]) for row in changes],
            now=int(seen["now"]),
        )


def by_job(events: list[tuple[str, Happened]]) -> dict[str, list[Happened]]:
    """``events`` as they lie in the streams of their jobs."""
    streams: dict[str, list[Happened]] = defaultdict(list)
    for job_id, event in events:
        if event.kept:
            streams[job_id].append(event)
    return dict(streams)


def judge(script: str, before: Look, after: Look, claim: Claim | None) -> list[Transition]:
    """The transitions that one run of ``script`` for ``claim`` made; asserts, without the model, what P3 and P6 say.

    Each is in the table and has exactly one event, with the state and the number of its attempt, but for a job
    that is put back after its end: nothing has happened to it. Nothing changes without the owner and the number
    where the script asks for them.
    """
    made = []
    for job_id in {*before.view.jobs, *after.view.jobs}:
        was, is_now = (look.view.jobs.get(job_id) or dict.fromkeys(ABSENT) for look in (before, after))
        said = [(e.data["state"], e.attempt) for e in after.streams.get(job_id, []) if e.kind == "state"]
        moved = was["state"] != is_now["state"]
        transition = Transition(script, _state(was), _state(is_now))
        told = moved and is_now["state"] and not (script == "put_back" and is_now["state"] in ENDS)
        assert said == ([(is_now["state"], is_now["attempt"])] if told else []), (transition, said)
        if moved:
            assert transition in ALLOWED, transition
        elif (was["owner"], was["attempt"]) == (is_now["owner"], is_now["attempt"]):
            continue
        else:
            assert script == "bump", f"{script} gave a job that stayed {was['state']} another owner or attempt"
        if script in FENCED:
            assert claim is not None
            assert (claim.job_id, claim.owner, claim.attempt) == (job_id, was["owner"], was["attempt"])
        made.append(transition)
    return made


def _state(fields: dict[str, Any]) -> JobState | None:
    return JobState(fields["state"]) if fields["state"] else None


def _pairs(flat: Any) -> dict[str, str]:
    """``flat`` names and values as a dict; Lua's empty table comes as an empty object."""
    return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}


def _happened(fields: dict[str, str]) -> Happened:
    return Happened(fields["type"], int(fields["attempt"]), json.loads(fields["data"]))


def _fields(raw: dict[str, str]) -> dict[str, Any]:
    """The fields of a job's hash, those that are not set as empty; one that nobody knows would stay, and be seen."""
    known = {name: value if name in TEXTS else int(value) for name, value in raw.items() if name not in DESCRIBING}
    return {**ABSENT, **known}
