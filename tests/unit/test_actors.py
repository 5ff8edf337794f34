"""Who may do what, what the audit file says of it, and that only deeds write what people want."""

import ast
import json
from pathlib import Path

import pytest

from keepfit.shared.actors import Actor, Deed, How, Role, local, may, note
from keepfit.shared.jobs.documents import JobFile, WishFile

ROOT = Path(__file__).resolve().parents[2]
ADMIN = Actor("root", Role.ADMIN, How.API)
MEMBER = Actor("ada", Role.MEMBER, How.PAGE)
VIEWER = Actor("eve", Role.VIEWER, How.PAGE)
CHANGES = {Deed.WISH, Deed.PRIORITISE, Deed.DELETE}


def job_of(by: Actor | None) -> JobFile:
    """A job that ``by`` has submitted."""
    return JobFile(spec={"name": "first"}, spec_sha256="0" * 64, by=by)


@pytest.mark.parametrize("deed", Deed)
def test_everybody_may_do_everything_without_accounts(deed: Deed) -> None:
    """Whatever the way, and whoever has made the job."""
    assert all(may(local(how), deed, job_of(by)) for how in How for by in (None, ADMIN, local(How.PAGE)))


@pytest.mark.parametrize("deed", Deed)
def test_a_member_changes_only_jobs_of_its_own(deed: Deed) -> None:
    """It submits, and measures any model; a worker is not its to kill; what nobody has signed is not its own."""
    own, other, unsigned = job_of(Actor("ada", Role.MEMBER, How.COMMAND)), job_of(ADMIN), job_of(None)

    anywhere = deed in (Deed.SUBMIT, Deed.EVALUATE)
    assert may(MEMBER, deed) is anywhere
    assert may(MEMBER, deed, other) is may(MEMBER, deed, unsigned) is anywhere
    assert may(MEMBER, deed, own) is (anywhere or deed in CHANGES)


@pytest.mark.parametrize("deed", Deed)
def test_a_viewer_only_looks(deed: Deed) -> None:
    """Also at jobs that it has submitted when it was something else."""
    assert not may(VIEWER, deed, job_of(Actor("eve", Role.MEMBER, How.PAGE)))


def test_the_audit_file_says_who(tmp_path: Path) -> None:
    """A line each; of an attempt with its number and its owner."""
    note(tmp_path, VIEWER, "wish:pause", job="a")
    note(tmp_path, local(How.WORKER), "begin", job="a", attempt=2, owner="host:1")
    note(tmp_path / "nowhere", VIEWER, "lost for ever", job="a")

    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["by"] for line in lines] == [
        {"who": "eve", "role": "viewer", "how": "page"},
        {"who": "local", "role": "admin", "how": "worker"},
    ]
    assert [(line["event"], line.get("attempt"), line.get("owner")) for line in lines] == [
        ("wish:pause", None, None), ("begin", 2, "host:1"),
    ]  # fmt: skip


@pytest.mark.parametrize("by", [None, "eve", {"who": 3}, {"who": "eve", "role": "king", "how": "page"}, []])
def test_an_actor_that_cannot_be_read_is_nobody(by: object) -> None:
    """Older versions wrote none, a later one may know other roles; the document counts all the same."""
    wish = WishFile.of({"wish": "pause", "number": 1, "by": by})

    assert (wish.by, wish.number) == (None, 1)


def test_a_later_version_may_say_more_of_an_actor() -> None:
    """It is passed over."""
    wish = WishFile.of({"wish": "pause", "number": 1, "by": {"who": "eve", "role": "viewer", "how": "page", "ip": "?"}})

    assert wish.by == VIEWER


def test_only_deeds_write_jobs_and_wishes() -> None:
    """In the service: training by hand has no web side, and makes the directory that it trains in."""
    allowed = {
        "create_jobdir": {"web/deeds/accepting.py"},
        "JobFile": {"shared/jobs/directory.py"},
        "WishFile": {"web/deeds/wishes.py"},
        "write_job": {"shared/jobs/directory.py", "worker/training/__main__.py"},
    }
    found: dict[str, set[str]] = {name: set() for name in allowed}
    for path in (path for folder in ("shared", "web", "worker") for path in (ROOT / folder).rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in allowed:
                found[call.func.id].add(path.relative_to(ROOT).as_posix())

    assert found == allowed


def test_every_deed_asks_whether_it_may() -> None:
    """Each kind of deed that a person can do is asked about somewhere in ``web/deeds``."""
    source = "".join(path.read_text() for path in (ROOT / "web" / "deeds").glob("*.py"))

    assert not [deed for deed in Deed if f".allow(actor, Deed.{deed.name}" not in source]
