"""Searching, sorting and comparing jobs: by every setting and every metric, whatever they are called."""

import shutil
from collections.abc import Callable, Iterator
from operator import eq, ge, gt, itemgetter, le, lt, ne
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from keepfit.shared.jobs.events import EpochEnded
from keepfit.shared.jobs.states import JobState, Outcome
from keepfit.shared.settings import Settings
from keepfit.shared.store import JobRecord, Store
from keepfit.web.app import create_app
from keepfit.web.index import Condition, Details, IndexFile, JobIndex, Metric, Order, Search, column, metric, setting
from keepfit.web.index import search as search_module
from keepfit.web.index.details import Value, metrics_of, settings_of
from keepfit.web.index.search import Field
from tests.harness.waiting import wait_until
from tests.web.acting import Actor
from tests.web.conftest import closed

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
NUMBERS = st.sampled_from([-1.5, 0.0, 0.1, 0.25, 1.0, 2.0, 1e300])
TEXTS = st.sampled_from(["", "a", "aa", "B", "b", "é", "한"])
NAMES = st.sampled_from(["x", "y", "training.z"])
VALUES: st.SearchStrategy[Value] = NUMBERS | TEXTS
METRICS = st.tuples(NUMBERS, NUMBERS, NUMBERS).map(lambda three: Metric(*three))
JOBS = st.lists(
    st.tuples(
        st.sampled_from(list(JobState)),
        st.integers(0, 3),
        st.builds(Details, st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, METRICS)),
    ),
    max_size=12,
)
FIELDS = (
    st.sampled_from(["state", "name", "attempt", "model", "created_ms"]).map(column)
    | NAMES.map(setting)
    | st.builds(metric, NAMES, st.sampled_from(["last", "least", "most"]))
)
CONDITIONS = st.lists(st.builds(Condition, FIELDS, st.sampled_from(list(OPERATORS)), VALUES), max_size=3)
ORDERS = st.none() | st.builds(Order, FIELDS, st.booleans())


@pytest.fixture
def index(tmp_path: Path) -> Iterator[JobIndex]:
    """An empty index."""
    index = JobIndex(IndexFile(tmp_path / "index"))
    yield index
    index.close()


def value_of(record: JobRecord, details: Details, field: Field) -> Value | None:
    """What a plain look at a job finds."""
    if field.table == "jobs":
        value: Value = getattr(record, field.name)
        return str(value) if isinstance(value, str) else value
    if field.table == "settings":
        return details.settings.get(field.name)
    found = details.metrics.get(field.name)
    return None if found is None else float(getattr(found, field.part))


def holds(value: Value | None, condition: Condition) -> bool:
    """Whether a plain look at the value says so."""
    same_type = isinstance(value, str) is isinstance(condition.value, str)
    return value is not None and same_type and OPERATORS[condition.is_](value, condition.value)


def plainly(jobs: list[tuple[JobRecord, Details]], search: Search) -> list[str]:
    """The ids that a search finds, by looking at each job."""
    found = [job for job in jobs if all(holds(value_of(*job, c.field), c) for c in search.conditions)]
    if search.order is None:
        return [record.id for record, _ in sorted(found, key=lambda job: (job[0].created_ms, job[0].id), reverse=True)]
    known = [(value_of(record, details, search.order.field), record.id) for record, details in found]
    in_order: list[str] = []
    for of_type in ((int, float), str, type(None)):
        some: list[Any] = [(value, job_id) for value, job_id in known if isinstance(value, of_type)]
        if of_type is not type(None):
            some.sort(key=itemgetter(0), reverse=search.order.descending)
        in_order += [job_id for _, job_id in some]
    return in_order


@given(JOBS, CONDITIONS, ORDERS, st.integers(1, 5), st.sampled_from([0, 1000]))
@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_search_finds_what_a_plain_look_finds(
    index: JobIndex,
    made: list[tuple[JobState, int, Details]],
    conditions: list[Condition],
    order: Order | None,
    limit: int,
    many: int,
) -> None:
    """Whatever the conditions and the order, page by page; many are looked for in another way than few."""
    index.remove([record.id for record in index.page(100).records])
    jobs = [
        (JobRecord(f"j{n:011}", "ab"[n % 2], "train", state, attempt=attempt, created_ms=n // 2), details)
        for n, (state, attempt, details) in enumerate(made)
    ]
    index.put([record for record, _ in jobs])
    index.put_details([(record.id, "now", details) for record, details in jobs])
    expected = plainly(jobs, search := Search(tuple(conditions), order))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "MANY", many)
        pages = [index.search(search, limit, offset) for offset in range(0, len(expected) + limit, limit)]

    assert {page.total for page in pages} == {len(expected)}
    assert [record.id for page in pages for record in page.records] == expected
    known = {record.id: details for record, details in jobs}
    assert index.details(list(known)) == known


def test_settings_are_the_leaves_of_a_spec() -> None:
    """By their paths; what is not set is left out, a list has places, a text is cut, and no task is known."""
    spec = {
        "kind": "train",
        "name": "first",
        "version": 1,
        "data": {"name": "mnist-5k"},
        "training": {"epochs": 3, "early_stopping": None, "shuffle": True, "text": 300 * "x", "huge": 10**400},
        "model": {"layers": [{"units": 64}, {"units": 10, "activation": "softmax"}]},
    }

    assert settings_of(spec) == {
        "data.name": "mnist-5k",
        "training.epochs": 3.0,
        "training.shuffle": 1.0,
        "training.text": 200 * "x",
        "model.layers.0.units": 64.0,
        "model.layers.1.units": 10.0,
        "model.layers.1.activation": "softmax",
    }


def test_metrics_are_those_of_the_epochs_and_of_the_end() -> None:
    """The last, the least and the most of each; what was no number counts for nothing."""
    epochs = [{"loss": 0.9, "f1": 0.1}, {"loss": float("nan"), "f1": 0.7}, {"loss": 0.5, "f1": 0.6}]

    assert metrics_of({"metrics": {"loss": 0.4, "odd": "text", "none": None}}, epochs) == {
        "loss": Metric(last=0.5, least=0.5, most=0.9),
        "f1": Metric(last=0.6, least=0.1, most=0.7),
        "test_loss": Metric(0.4, 0.4, 0.4),
    }
    assert metrics_of({"metrics": ["no", "object"]}, []) == {}


def test_a_field_that_there_is_not_is_refused() -> None:
    """Whatever is asked for reaches no statement as it is."""
    with pytest.raises(ValueError, match="There is no name; DROP"):
        column("name; DROP TABLE jobs")


def test_a_removed_job_leaves_nothing_behind(index: JobIndex) -> None:
    """Its settings and metrics go with its row."""
    index.put([JobRecord("j00000000001", "job", "train", JobState.PAUSED)])
    index.put_details([("j00000000001", "now", Details({"a": 1.0}, {"b": Metric(1.0, 1.0, 1.0)}))])
    index.put_details([("j00000000002", "now", Details({"a": 1.0}, {}))])  # one that was removed meanwhile

    index.remove(["j00000000001"])

    left = index._file.run(lambda db: [db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES])
    assert left == [0, 0, 0]


TABLES = ("jobs", "settings", "metrics")


def found(app: Flask, *conditions: Condition) -> list[str]:
    """The names of the jobs that the application's index finds."""
    index = app.extensions["keepfit"].feeder.index
    return sorted(record.name for record in index.search(Search(conditions), 100).records)


def submit(client: FlaskClient, name: str, **training: Any) -> str:
    """The id of a new job."""
    return str(client.post("/api/v1/jobs", json={"name": name, "training": training}).get_json()["id"])


def test_the_index_knows_the_settings_of_each_job(app: Flask, client: FlaskClient) -> None:
    """Soon after it was submitted; defaults too, for they are settings like all others."""
    submit(client, "slow", learning_rate=0.001, epochs=3)
    submit(client, "fast", learning_rate=0.1, early_stopping={"monitor": "val_loss"})
    app.extensions["keepfit"].feeder.start()

    wait_until(
        lambda: found(app, Condition(setting("training.epochs"), ">", 0.0)) == ["fast", "slow"], "both are known"
    )
    assert found(app, Condition(setting("training.learning_rate"), "<", 0.01)) == ["slow"]
    assert found(app, Condition(setting("training.early_stopping.monitor"), "=", "val_loss")) == ["fast"]
    assert found(app, Condition(setting("training.batch_size"), "=", 32.0)) == ["fast", "slow"]


def test_the_index_follows_the_metrics(app: Flask, client: FlaskClient, actor: Actor) -> None:
    """Epoch by epoch, without what a kill made void, and the end."""
    job_id = submit(client, "measured")
    app.extensions["keepfit"].feeder.start()
    run = actor.claim(job_id)
    run.start()
    for epoch, loss in enumerate((0.9, 0.2, 0.5)):
        run.report(EpochEnded(epoch, (epoch + 1) * 113, {"my_metric": loss}, 0.4))
        run.progress((epoch + 1) * 113 + 1)

    def of(name: str) -> Metric | None:
        details: Details = app.extensions["keepfit"].feeder.index.details([job_id])[job_id]
        return details.metrics.get(name)

    wait_until(lambda: of("my_metric") == Metric(last=0.5, least=0.2, most=0.9), "three epochs are known")
    run.end(Outcome.INTERRUPTED, "the worker was killed")
    run = actor.claim(job_id)
    run.start(step=113, resumed_attempt=1)
    run.progress(114)
    wait_until(lambda: of("my_metric") == Metric(0.9, 0.9, 0.9), "what came after the checkpoint counts no more")
    run.finish(accuracy=0.95)

    wait_until(lambda: of("test_accuracy") == Metric(0.95, 0.95, 0.95), "the end is known")
    assert found(app, Condition(metric("my_metric", "least"), "<", 0.95), Condition(column("state"), "=", "succeeded"))


def test_what_only_the_disk_knows_is_found(settings: Settings, finished: str, stranded: FlaskClient) -> None:
    """While the queue server is away, and after the index was thrown away."""
    shutil.rmtree(settings.data_dir / "index", ignore_errors=True)
    app = stranded.application
    assert finished
    app.extensions["keepfit"].feeder.start()

    wait_until(lambda: found(app, Condition(metric("val_loss", "last"), "=", 0.45)) == ["first"], "it is known")


def test_a_restart_reads_no_details_again(settings: Settings, client: FlaskClient, store: Store, app: Flask) -> None:
    """What is kept in the file is as it was."""
    submit(client, "kept")
    app.extensions["keepfit"].feeder.start()
    wait_until(lambda: found(app, Condition(setting("training.epochs"), ">", 0.0)), "it is known")
    closed(app)

    again = create_app(settings)
    assert again.extensions["keepfit"].feeder.index.stale(10) == []
    assert found(again, Condition(setting("training.epochs"), ">", 0.0)) == ["kept"]
    closed(again)
