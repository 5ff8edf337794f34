"""A question to the index: jobs that meet conditions, sorted by anything that is known of them.

    Search((Condition(setting("training.learning_rate"), "<", 0.01), Condition(column("state"), "=", "failed")),
           Order(metric("val_loss", "least")))

A condition on what a job does not have, or has as another type, does not hold. In an order, jobs that do not have what
it goes by come last; of a setting, numbers come before texts. Equal ones come as they are numbered in the index.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from keepfit.web.index.details import Value
from keepfit.web.index.schema import COLUMNS

Part = Literal["last", "least", "most"]
Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
NUMBERS = ("INTEGER", "REAL")


@dataclass(frozen=True)
class Field:
    """Something that is known of a job: where, and by which name. Made by ``column``, ``setting`` and ``metric``."""

    table: Literal["jobs", "settings", "metrics"]
    name: str
    part: Part = "last"


@dataclass(frozen=True)
class Condition:
    """What must hold."""

    field: Field
    is_: Comparison
    value: Value


@dataclass(frozen=True)
class Order:
    """What jobs are sorted by."""

    field: Field
    descending: bool = False


@dataclass(frozen=True)
class Search:
    """Which jobs, and in which order: the newest first where none is given."""

    conditions: Sequence[Condition] = ()
    order: Order | None = None


def column(name: str) -> Field:
    """A field of the job's record. Raises ValueError."""
    if name not in COLUMNS:
        raise ValueError(f"There is no {name}; there are {', '.join(COLUMNS)}.")
    return Field("jobs", name)


def setting(path: str) -> Field:
    """A setting of the job's spec, such as ``training.learning_rate``."""
    return Field("settings", path)


def metric(name: str, part: Part = "last") -> Field:
    """A metric: its value at the end of the last epoch, or the least or the most of all."""
    return Field("metrics", name, part)


NAME = "SELECT id FROM names WHERE name = ?"
AMONG = "jobs.number IN (SELECT job FROM {table} WHERE name = ({name}) AND {holds})"
EACH = "EXISTS (SELECT 1 FROM {table} WHERE job = jobs.number AND name = ({name}) AND {holds})"
"""Two ways to ask the same: which jobs are there, and whether this one is."""
MANY = 1000

Question = tuple[str, tuple[Any, ...]]
"""A piece of SQL and the values in it."""


def answer(db: sqlite3.Connection, search: Search, limit: int, offset: int) -> tuple[list[str], int]:
    """The records (JSON) of a page of what is searched for, and how many there are in all."""
    where, values = _all_of(search.conditions, AMONG)
    total = int(db.execute(f"SELECT count(*) FROM jobs WHERE {where}", values).fetchone()[0])
    if total > MANY:  # a walk in the right order meets them soon: better than all of them, sorted
        where, values = _all_of(search.conditions, EACH)
    found: list[str] = []
    for source, order, own in _stretches(search.order):
        if len(found) >= limit or offset + len(found) >= total:
            break
        asked = (*own, *values)
        rows = f"SELECT record {source} AND {where} ORDER BY {order} LIMIT ? OFFSET ?"
        found += [row[0] for row in db.execute(rows, (*asked, limit - len(found), offset))]
        if found:
            offset = 0
        else:
            offset -= int(db.execute(f"SELECT count(*) {source} AND {where}", asked).fetchone()[0])
    return found, total


def _all_of(conditions: Sequence[Condition], form: str) -> Question:
    pieces = [_condition(each, form) for each in conditions]
    return " AND ".join(sql for sql, _ in pieces) or "1", tuple(value for _, some in pieces for value in some)


def _condition(condition: Condition, form: str) -> Question:
    of, value = condition.field, condition.value
    is_text = isinstance(value, str)
    if of.table == "jobs":
        fits = is_text is not COLUMNS[of.name].startswith(NUMBERS)
        # With its table: the settings and metrics that are joined to it have a `name` too.
        return (f"jobs.{of.name} {condition.is_} ?", (value,)) if fits else ("0", ())
    if of.table == "metrics" and is_text:
        return "0", ()
    inner = of.part if of.table == "metrics" else "text" if is_text else "number"
    return form.format(table=of.table, name=NAME, holds=f"{inner} {condition.is_} ?"), (of.name, value)


def _stretches(order: Order | None) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """The parts of a sorted list, one after the other: where each comes from, how it is sorted, the values in it."""
    if order is None:
        yield "FROM jobs WHERE 1", "created_ms DESC, id DESC", ()
        return
    of, way = order.field, "DESC" if order.descending else "ASC"
    if of.table == "jobs":
        yield f"FROM jobs WHERE {of.name} IS NOT NULL", f"{of.name} {way}, jobs.number", ()
        yield f"FROM jobs WHERE {of.name} IS NULL", "jobs.number", ()
        return
    for inner in ("number", "text") if of.table == "settings" else (of.part,):
        source = f"FROM {of.table} v JOIN jobs ON jobs.number = v.job WHERE v.name = ({NAME}) AND v.{inner} IS NOT NULL"
        yield source, f"v.{inner} {way}, v.job", (of.name,)
    yield (
        f"FROM jobs WHERE NOT EXISTS (SELECT 1 FROM {of.table} WHERE job = jobs.number AND name = ({NAME}))",
        "jobs.number",
        (of.name,),
    )
