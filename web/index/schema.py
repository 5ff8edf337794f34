"""The file of the index: its tables, and how it is opened, replaced when it is damaged, or done without.

    file = IndexFile(data_dir / "index")
    file.run(lambda db: db.execute("SELECT ...").fetchall())

A job is stored as the JSON of its record; each column that is filtered or sorted by is computed from it by
SQLite. One more is one more line in ``COLUMNS``: the version is made of the schema's text, and a file of
another version is replaced like a damaged one. Settings and metrics, of which nobody knows the names beforehand,
have a row each.
"""

import contextlib
import logging
import re
import socket
import sqlite3
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

COLUMNS = {
    "name": "TEXT, name",
    "kind": "TEXT, kind",
    "state": "TEXT, state",
    "attempt": "INTEGER, attempt",
    "priority": "INTEGER, priority",
    "created_ms": "INTEGER, created_ms",
    "since_ms": "INTEGER, since_ms",
    "source": "TEXT, source",
    "data": "TEXT, data",
    "model": "TEXT, model",
}
"""The type of each column, and where in the record's JSON its value is."""

_COMPUTED = ",\n".join(
    f"  {name} {kind} AS (json_extract(record, '$.{path}')) STORED"
    for name, (kind, path) in ((name, rule.split(", ")) for name, rule in COLUMNS.items())
)
SCHEMA = f"""
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  record TEXT NOT NULL,
  sure INTEGER NOT NULL, -- 0: read from the directory, while the queue server did not tell
  mark TEXT AS (state || ' ' || attempt || ' ' || coalesce(json_extract(record, '$.progress.epoch'), '')) STORED,
  details TEXT, -- the mark at which its settings and metrics were read
{_COMPUTED}
);
CREATE INDEX by_time ON jobs (created_ms, id);
CREATE INDEX by_kind ON jobs (kind, created_ms, id);
CREATE INDEX by_state ON jobs (state, created_ms, id);
CREATE INDEX by_state_and_kind ON jobs (state, kind, created_ms, id);
CREATE INDEX waiting ON jobs (since_ms) WHERE state = 'queued';
CREATE INDEX unsure ON jobs (id) WHERE sure = 0;
CREATE INDEX stale ON jobs (created_ms) WHERE details IS NOT mark;

-- What is not known before: each setting and metric has a row, and a name is kept once.
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE settings (
  job INTEGER NOT NULL, name INTEGER NOT NULL, number REAL, text TEXT, PRIMARY KEY (job, name)
) WITHOUT ROWID;
CREATE INDEX settings_by_number ON settings (name, number, job) WHERE number IS NOT NULL;
CREATE INDEX settings_by_text ON settings (name, text, job) WHERE text IS NOT NULL;
CREATE TABLE metrics (
  job INTEGER NOT NULL, name INTEGER NOT NULL, last REAL NOT NULL, least REAL NOT NULL, most REAL NOT NULL,
  PRIMARY KEY (job, name)
) WITHOUT ROWID;
CREATE INDEX metrics_by_last ON metrics (name, last, job);
CREATE INDEX metrics_by_least ON metrics (name, least, job);
CREATE INDEX metrics_by_most ON metrics (name, most, job);

-- Counting 100,000 rows takes 15 ms, and each list asks for it.
CREATE TABLE counts (state TEXT, kind TEXT, number INTEGER NOT NULL, PRIMARY KEY (state, kind));
CREATE TRIGGER one_more AFTER INSERT ON jobs BEGIN
  INSERT INTO counts VALUES (new.state, new.kind, 1) ON CONFLICT (state, kind) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER one_less AFTER DELETE ON jobs BEGIN
  UPDATE counts SET number = number - 1 WHERE state = old.state AND kind = old.kind;
  DELETE FROM settings WHERE job = old.number;
  DELETE FROM metrics WHERE job = old.number;
END;
CREATE TRIGGER another AFTER UPDATE ON jobs WHEN old.state != new.state OR old.kind != new.kind BEGIN
  UPDATE counts SET number = number - 1 WHERE state = old.state AND kind = old.kind;
  INSERT INTO counts VALUES (new.state, new.kind, 1) ON CONFLICT (state, kind) DO UPDATE SET number = number + 1;
END;

CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
VERSION = zlib.crc32(SCHEMA.encode()) & 0x7FFFFFFF
MOST_PROCESSES = 4
"""Of one host over one data directory, each with a file of its own; any more keep theirs in memory."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class IndexFile:
    """One connection to the file, for all threads in turn. Nothing is opened before it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._in_memory = False
        self.opened = 0
        """How often it was opened anew: each time what was in it may be gone."""

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of ``work`` in one transaction. Whatever the file or the disk does, there is an answer."""
        with self._turn:
            try:
                return self._transact(work)
            except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
                raise  # a fault of ours
            except sqlite3.OperationalError as exc:  # no space, no permission, or the disk is gone
                if exc.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                    raise  # a fault of ours too: SQL that is wrong is as wrong in memory, and all rows would be lost
                log.warning("the list's index goes on in memory: %s", exc)
                self._in_memory = True
            except sqlite3.DatabaseError as exc:
                log.warning("the list's index was damaged and is made anew: %s", exc)
                self._forget_file()
            self._close()
            return self._transact(work)

    def close(self) -> None:
        """Give the file back; it is opened again when it is needed again."""
        with self._turn:
            self._close()

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._db is None:
            self._db = self._open()
            self.opened += 1
        self._db.execute("BEGIN")
        try:
            answer = work(self._db)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return answer

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _forget_file(self) -> None:
        if self._db is not None:
            names = [row[2] for row in self._db.execute("PRAGMA database_list") if row[2]]
            self._close()
            for name in names:
                _remove(Path(name))

    def _open(self) -> sqlite3.Connection:
        host = re.sub(r"[^\w.-]", "-", socket.gethostname())
        for number in range(1, MOST_PROCESSES + 1):
            if self._in_memory:
                break
            path = self._folder / f"{host}-{number}.sqlite"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                return _open_file(path)
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    continue  # another process has it
                log.warning("the list's index is kept in memory: %s", exc)
                break
            except OSError as exc:
                log.warning("the list's index is kept in memory: %s", exc)
                break
        return _prepared(_connect(":memory:"))


def _open_file(path: Path) -> sqlite3.Connection:
    """The database at ``path``, anew if what is there is damaged or foreign. Raises OperationalError, OSError."""
    db = _connect(path)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            db.execute("SELECT count(*) FROM notes").fetchone()
            return db
        whole = not db.execute("SELECT 1 FROM sqlite_master").fetchone()  # just made by us
    except sqlite3.OperationalError as exc:
        if "no such table" not in str(exc):
            db.close()
            raise
        whole = False
    except sqlite3.DatabaseError:
        whole = False
    if not whole:
        db.close()
        _remove(path)
        db = _connect(path)
    return _prepared(db)


def _connect(path: Path | str) -> sqlite3.Connection:
    """A connection that keeps its lock. Raises OperationalError; a file that is no database shows itself later."""
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # before WAL: it then needs no shared memory, on any file system
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA temp_store = MEMORY")  # a kill between making and unlinking a file would leave it for ever
        db.execute("PRAGMA synchronous = OFF")  # thrown away at will: durability would only cost
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
    except sqlite3.OperationalError:
        db.close()
        raise
    except sqlite3.DatabaseError:
        db.close()
        if isinstance(path, str):
            raise
        _remove(path)
        return _connect(path)
    return db


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    db.executescript(SCHEMA)
    db.execute(f"PRAGMA user_version = {VERSION}")
    return db


def _remove(path: Path) -> None:
    for part in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        part.unlink(missing_ok=True)
