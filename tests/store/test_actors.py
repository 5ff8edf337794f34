"""Who does something goes along with what is done: from a deed into the record and the events of the job."""

from functools import partial
from pathlib import Path
from typing import Any

from keepfit.shared.actors import How, local
from keepfit.shared.jobs.directory import create_jobdir
from keepfit.shared.jobs.events import StateChanged, WishChanged
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import Outcome, Wish
from keepfit.shared.reasons import NONE, said
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, Store, keys
from tests.harness.documents import write_wish

BUDGET = Budget(3, 60.0)


def test_each_change_of_state_says_who_has_made_it(store: Store, tmp_path: Path) -> None:
    """A person by a page or the command, even where it is an attempt that obeys; else a worker or a keeper."""
    page, command, api = (local(how) for how in (How.PAGE, How.COMMAND, How.API))
    jobdir, _ = create_jobdir(tmp_path / "jobs", parse_spec({"name": "first"}), by=page)
    store.jobs.create(jobdir)
    first = store.leases.claim("worker", lease_s=60)
    assert first
    store.jobs.request(jobdir.id, Wish.PAUSE, number=1, by=command)
    store.leases.finish(first, Outcome.STOPPED, reason=NONE, budget=BUDGET)
    store.jobs.request(jobdir.id, Wish.RUN, number=2, by=api)
    assert store.leases.claim("worker", lease_s=0.0)
    store.leases.reap(BUDGET, reason=said("silence"))
    third = store.leases.claim("worker", lease_s=60)
    assert third
    store.leases.finish(third, Outcome.FAILED, reason=said("wrong"), budget=BUDGET, by=How.KEEPER)
    store.jobs.request(jobdir.id, Wish.RUN, number=3)

    events = [stored.event for stored in store.events.read(jobdir.id)]
    assert [(e.state, e.by and e.by.how) for e in events if isinstance(e, StateChanged)] == [
        ("queued", "page"), ("running", "worker"), ("paused", "command"), ("queued", "api"), ("running", "worker"),
        ("queued", "keeper"), ("running", "worker"), ("failed", "keeper"), ("queued", None),
    ]  # fmt: skip
    assert [e.by for e in events if isinstance(e, WishChanged)] == [command, api, None]
    assert (store.jobs.get(jobdir.id).by, store.jobs.get(jobdir.id).wish_by) == (page, None)


def test_who_it_was_survives_a_wipe(store: Store, tmp_path: Path) -> None:
    """The directory knows; that a keeper puts the job back is nobody's deed."""
    jobdir, _ = create_jobdir(tmp_path / "jobs", parse_spec({"name": "first"}), by=local(How.PAGE))
    write_wish(jobdir, Wish.PAUSE, 1, by=local(How.COMMAND))

    assert put_back(jobdir, store)

    record, (event,) = store.jobs.get(jobdir.id), store.events.read(jobdir.id)
    assert (record.by, record.wish_by) == (local(How.PAGE), local(How.COMMAND))
    assert isinstance(event.event, StateChanged)
    assert event.event.by is None


def test_what_cannot_be_read_of_an_actor_costs_nothing_else(store: Store, tmp_path: Path) -> None:
    """Of a damaged record, or one of a later version; the job is claimed and ends as wished."""
    jobdir, _ = create_jobdir(tmp_path / "jobs", parse_spec({"name": "first"}), by=local(How.PAGE))
    store.jobs.create(jobdir)
    store.jobs.request(jobdir.id, Wish.RUN, number=1, by=local(How.PAGE))
    for odd in ("{", "3", "[]", '{"who": "eve", "role": "king", "how": "page"}', "null"):
        fields = {"by": odd, "wish_by": odd, "wish": "pause"}
        claim = store.leases.claim("worker", lease_s=60)
        assert claim
        store.link.ask(partial(_put, key=keys.job(jobdir.id), fields=fields))
        store.leases.finish(claim, Outcome.STOPPED, reason=NONE, budget=BUDGET)
        last = store.events.read(jobdir.id)[-1].event
        assert isinstance(last, StateChanged)
        assert (last.state, last.by, store.jobs.get(jobdir.id).wish_by) == ("paused", None, None)
        store.jobs.request(jobdir.id, Wish.RUN, number=2 + claim.attempt)


def _put(client: Any, key: str, fields: dict[str, str]) -> None:
    client.hset(key, mapping=fields)
