"""What is asked of the index and what is put into it: one statement each.

index.put(records)
page = index.page(limit=25, offset=50, state=JobState.FAILED, kind="train")
index.counts()
"""

import dataclasses
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from keepfit.shared.actors import actor_of
from keepfit.shared.durable import from_json, to_json
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import read
from keepfit.shared.store.records import JobRecord
from keepfit.web.index.details import Details, Metric, Value
from keepfit.web.index.schema import IndexFile
from keepfit.web.index.search import Search, answer

_STATES = frozenset(state.value for state in JobState)
_FIELDS = frozenset(field.name for field in dataclasses.fields(JobRecord))
log = logging.getLogger(__name__)
_PUT = (
    "INSERT INTO jobs (id, record, sure) VALUES (?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET record = excluded.record, sure = excluded.sure"
)


@dataclass(frozen=True)
class Page:
    """Some records of a list, and how many there are in all."""

    records: list[JobRecord]
    total: int


@dataclass(frozen=True)
class Filling:
    """How far the index is, before it knows every job for the first time."""

    done: int
    total: int


class JobIndex:
    """All jobs as they were last known. Calls are short, and may come from any thread."""

    def __init__(self, file: IndexFile) -> None:
        self._file = file
        self.filling: Filling | None = Filling(0, 0)
        """None once every job is known. Set by the feeder."""

    @property
    def opened(self) -> int:
        """Grows when the index has lost what was in it."""
        return self._file.opened

    def put(self, records: Iterable[JobRecord], sure: bool = True) -> None:
        """Store what is known of these jobs. ``sure``: the queue server said so."""
        rows = [(record.id, to_json(_plain(record)), int(sure)) for record in records]
        self._file.run(lambda db: db.executemany(_PUT, rows))

    def add(self, record: JobRecord) -> None:
        """Store a job that may be new; what is known of it already stays."""
        row = (record.id, to_json(_plain(record)))
        self._file.run(lambda db: db.execute("INSERT OR IGNORE INTO jobs (id, record, sure) VALUES (?, ?, 0)", row))

    def remove(self, job_ids: Iterable[str]) -> None:
        """Forget jobs whose directories are gone."""
        rows = [(job_id,) for job_id in job_ids]
        self._file.run(lambda db: db.executemany("DELETE FROM jobs WHERE id = ?", rows))

    def stale(self, most: int) -> list[tuple[str, str, JobRecord | None]]:
        """Jobs whose settings and metrics are not known as they are now, the newest first: id, mark and record."""
        asked = "SELECT id, mark, record FROM jobs WHERE details IS NOT mark ORDER BY created_ms DESC LIMIT ?"
        return [(job_id, mark, _record(raw)) for job_id, mark, raw in self._rows(asked, most)]

    def put_details(self, known: Iterable[tuple[str, str, Details]]) -> None:
        """Store the settings and metrics of jobs, each as it was at a mark; one that has changed since stays stale."""
        some = list(known)

        def put(db: sqlite3.Connection) -> None:
            for job_id, mark, details in some:
                row = db.execute("SELECT number FROM jobs WHERE id = ?", (job_id,)).fetchone()
                if row is not None:
                    _put_details(db, row[0], details)
                    db.execute("UPDATE jobs SET details = ? WHERE number = ?", (mark, row[0]))

        self._file.run(put)

    def details(self, job_ids: Sequence[str]) -> dict[str, Details]:
        """The settings and metrics of these jobs, as far as they are known."""
        here = f"WHERE jobs.id IN ({', '.join('?' * len(job_ids))})"
        joined = "JOIN jobs ON jobs.number = v.job JOIN names ON names.id = v.name"
        settings: dict[str, dict[str, Value]] = {job_id: {} for job_id in job_ids}
        metrics: dict[str, dict[str, Metric]] = {job_id: {} for job_id in job_ids}
        asked = f"SELECT jobs.id, names.name, coalesce(v.number, v.text) FROM settings v {joined} {here}"
        for job_id, name, value in self._rows(asked, *job_ids):
            settings[job_id][name] = value
        asked = f"SELECT jobs.id, names.name, v.last, v.least, v.most FROM metrics v {joined} {here}"
        for job_id, name, *numbers in self._rows(asked, *job_ids):
            metrics[job_id][name] = Metric(*numbers)
        return {job_id: Details(settings[job_id], metrics[job_id]) for job_id in job_ids}

    def search(self, search: Search, limit: int, offset: int = 0) -> Page:
        """A page of the jobs that are searched for."""
        found, total = self._file.run(lambda db: answer(db, search, limit, offset))
        return Page([record for raw in found if (record := _record(raw)) is not None], total)

    def page(self, limit: int, offset: int = 0, state: JobState | None = None, kind: str | None = None) -> Page:
        """Records, newest first, of those that have this ``state`` and ``kind``."""
        asked = {"state": state, "kind": kind}
        wanted = {name: str(value) for name, value in asked.items() if value is not None}
        where = "WHERE " + " AND ".join(f"{name} = ?" for name in wanted) if wanted else ""
        ids = f"SELECT rowid FROM jobs {where} ORDER BY created_ms DESC, id DESC LIMIT ? OFFSET ?"
        rows = f"SELECT record FROM jobs WHERE rowid IN ({ids}) ORDER BY created_ms DESC, id DESC"
        count = f"SELECT coalesce(sum(number), 0) FROM counts {where}"
        values = tuple(wanted.values())

        def ask(db: sqlite3.Connection) -> tuple[list[Any], int]:
            return db.execute(rows, (*values, limit, offset)).fetchall(), db.execute(count, values).fetchone()[0]

        found, total = self._file.run(ask)
        return Page([record for (raw,) in found if (record := _record(raw)) is not None], int(total))

    def counts(self, kind: str | None = None) -> dict[JobState, int]:
        """How many jobs there are in each state, of all kinds or of one."""
        rows = self._rows("SELECT state, sum(number) FROM counts WHERE kind = ?1 OR ?1 IS NULL GROUP BY state", kind)
        known = {JobState(state): int(number) for state, number in rows if state in _STATES}
        return dict.fromkeys(JobState, 0) | known

    def oldest_queued_ms(self) -> int | None:
        """Since when the job waits that has waited the longest."""
        rows = self._rows("SELECT since_ms FROM jobs WHERE state = 'queued' ORDER BY since_ms LIMIT 1")
        return int(rows[0][0]) if rows else None

    def running(self, most: int) -> list[str]:
        """The ids of jobs that ran when they were last heard of."""
        return [row[0] for row in self._rows("SELECT id FROM jobs WHERE state = 'running' LIMIT ?", most)]

    def ids_after(self, job_id: str, most: int, unsure: bool = False) -> list[str]:
        """The ids that follow ``job_id`` in their own order; ``unsure``: only what the queue server has not said."""
        where = "AND sure = 0" if unsure else ""
        rows = self._rows(f"SELECT id FROM jobs WHERE id > ? {where} ORDER BY id LIMIT ?", job_id, most)
        return [row[0] for row in rows]

    def note(self, name: str, value: str) -> None:
        """Keep a word about the index itself."""
        self._file.run(lambda db: db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value)))

    def noted(self, name: str) -> str:
        """What was kept as ``name``; empty if nothing was."""
        rows = self._rows("SELECT value FROM notes WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _rows(self, question: str, *values: object) -> Sequence[Any]:
        return self._file.run(lambda db: db.execute(question, values).fetchall())


def _plain(record: JobRecord) -> dict[str, Any]:
    """The fields of a record, without a copy of those that may be long."""
    named = {"by": record.by, "wish_by": record.wish_by}
    actors = {name: actor and vars(actor) for name, actor in named.items()}
    return vars(record) | actors | {"reason": record.reason.to_json(), "last_end": record.last_end.to_json()}


def _put_details(db: sqlite3.Connection, job: int, details: Details) -> None:
    """Replace the rows of a job. Its settings are those of its spec, which never changes."""
    names = [(name,) for name in (*details.settings, *details.metrics)]
    db.executemany("INSERT OR IGNORE INTO names (name) VALUES (?)", names)
    if not db.execute("SELECT 1 FROM settings WHERE job = ? LIMIT 1", (job,)).fetchone():
        values = [(None, v, n) if isinstance(v, str) else (v, None, n) for n, v in details.settings.items()]
        put = f"INSERT INTO settings (job, number, text, name) SELECT {job}, ?, ?, id FROM names WHERE name = ?"
        db.executemany(put, values)
    db.execute("DELETE FROM metrics WHERE job = ?", (job,))
    put = f"INSERT INTO metrics (job, last, least, most, name) SELECT {job}, ?, ?, ?, id FROM names WHERE name = ?"
    db.executemany(put, [(m.last, m.least, m.most, name) for name, m in details.metrics.items()])


def _record(raw: str) -> JobRecord | None:
    """The record of a row, which may be of another version. None if it cannot be read: it costs itself."""
    try:
        values = {name: value for name, value in from_json(raw).items() if name in _FIELDS}
        typed = {"state": JobState(values["state"]), "wish": Wish(values.get("wish", "run"))}
        actors = {name: actor_of(values.get(name)) for name in ("by", "wish_by")}
        reasons = {name: read(values.get(name)) for name in ("reason", "last_end")}
        return JobRecord(**values | typed | actors | reasons)
    except (ValueError, KeyError, TypeError) as exc:
        log.warning("a row of the list's index cannot be read: %s", exc)
        return None
