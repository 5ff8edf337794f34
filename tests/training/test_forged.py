"""Checkpoints made to deceive: whole by every hash, hostile or senseless within. Each is found out, soon, in words."""

import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import (
    NAME,
    STATE,
    TRAINER,
    Checkpoint,
    FileRecord,
    checkpoints_of,
    decode,
    encode,
    read_manifest,
)
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.documents import ResumedFrom
from keepfit.shared.jobs.events import CheckpointRejected
from keepfit.shared.jobs.states import Outcome
from keepfit.worker.training import trainer_state
from keepfit.worker.training.model_state import Tensor, blocks
from keepfit.worker.training.model_state import parse_tensors as parse
from keepfit.worker.training.saving import load, load_newest, write
from keepfit.worker.training.trainer_state import parse_history as parse_history
from tests.harness.documents import record_of
from tests.training import programs
from tests.training.running import Recorder, StopAfter, attempt, final_of, jobdir_at, undisturbed
from tests.training.test_writing import contents

PROGRAM = "dropout+ema+plateau"
DEEP, LONG = b"[" * 100_000, b"1" * 5000


def forge(checkpoint: Checkpoint, name: str, content: bytes) -> None:
    """Put ``content`` into a file of ``checkpoint`` and make every hash right."""
    manifest = read_manifest(checkpoint)
    (checkpoint.path / name).unlink()
    record = Disk().write(checkpoint.path / name, [content])
    files = {**manifest.files, name: record}
    (checkpoint.path / NAME).write_bytes(encode(manifest.__class__(manifest.step, files, None, manifest.history)))


def with_header(entries: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A tensor file of a header as it comes."""
    raw = entries if isinstance(entries, bytes) else json.dumps(entries, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(shape: object = (2,), offsets: object = (0, 8), dtype: object = "F32") -> dict[str, object]:
    """One tensor's entry in a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


STATES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "a header of 2**63 bytes": lambda: with_header({}, length=1 << 63),
    "a header of 2**64-1 bytes": lambda: with_header({}, length=(1 << 64) - 1),
    "a header longer than the file": lambda: with_header({}, length=100),
    "no JSON": lambda: with_header(b"{'a': 1}"),
    "deep nesting": lambda: with_header(DEEP),
    "deep nesting in an entry": lambda: with_header(b'{"a":' + DEEP),
    "an endless number": lambda: with_header(b'{"a":{"dtype":"F32","shape":[' + LONG + b'],"data_offsets":[0,0]}}'),
    "a list": lambda: with_header([]),
    "a number": lambda: with_header(1),
    "an entry that is a list": lambda: with_header({"a": []}),
    "a shape of -1": lambda: with_header({"a": entry((-1,))}, bytes(8)),
    "a shape of text": lambda: with_header({"a": entry("22")}, bytes(8)),
    "a shape of truth": lambda: with_header({"a": entry((True, 2))}, bytes(8)),
    "a shape of halves": lambda: with_header({"a": entry((2.0,))}, bytes(8)),
    "a shape that overflows": lambda: with_header({"a": entry((1 << 32, 1 << 32), (0, 0))}),
    "a shape of 1000 dimensions": lambda: with_header({"a": entry((1,) * 1000, (0, 4))}, bytes(4)),
    "negative offsets": lambda: with_header({"a": entry(offsets=(-8, 0))}, bytes(8)),
    "overlapping offsets": lambda: with_header({"a": entry(), "b": entry()}, bytes(8)),
    "offsets beyond the file": lambda: with_header({"a": entry(offsets=(8, 16))}, bytes(8)),
    "another size than its shape": lambda: with_header({"a": entry(offsets=(0, 4))}, bytes(4)),
    "bytes too many": lambda: with_header({"a": entry()}, bytes(9)),
    "bytes too few": lambda: with_header({"a": entry()}, bytes(7)),
    "an unknown type": lambda: with_header({"a": entry(dtype="F31")}, bytes(8)),
    "a type that is a list": lambda: with_header({"a": entry(dtype=[])}, bytes(8)),
    "the same name twice": lambda: with_header(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        bytes(8),
    ),
    "300,000 tensors": lambda: with_header({f"{n:05d}|model|x": entry((0,), (0, 0)) for n in range(300_000)}),
    "65,537 tensors": lambda: with_header({f"{n}": entry((0,), (0, 0)) for n in range(65_537)}),
}


def trainer_with(**changes: object) -> bytes:
    """The trainer state of a small checkpoint, changed, in its one form."""
    value = {**contents(3).trainer, "format": 2, **changes}
    return json.dumps(value, indent=1, sort_keys=True).encode()


AT = {"epoch": 3, "batch": 0, "phase": "train"}
TRAINERS: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"cursor: 1",
    "a list": b"[]",
    "an empty object": b"{}",
    "deep nesting": DEEP,
    "deep nesting in a field": trainer_with(environment="@").replace(b'"@"', DEEP),
    "some nesting in a field": trainer_with(environment="@").replace(b'"@"', b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"),
    "an endless number": trainer_with(step="@").replace(b'"@"', LONG),
    "another step": trainer_with(step=4),
    "a step of text": trainer_with(step="3"),
    "a seed of truth": trainer_with(seed=True),
    "no seed": trainer_with().replace(b'"seed": 1,\n', b""),
    "another plan": trainer_with(plan="magic"),
    "the format of version 0.1": trainer_with(format=1, history=[]),
    "another format": trainer_with(format=3),
    "a cursor that is a list": trainer_with(cursor=[3, 0, "train"]),
    "a cursor before the beginning": trainer_with(cursor={**AT, "batch": -1}),
    "a cursor of NaN": trainer_with(cursor={**AT, "batch": float("nan")}),
    "a cursor of a phase that is none": trainer_with(cursor={**AT, "phase": "rest"}),
    "more epochs than its history": trainer_with(cursor={**AT, "epoch": 4}),
    "callbacks that are numbers": trainer_with(callbacks=[1]),
    "callbacks that hold lists": trainer_with(callbacks=[{"kind": []}]),
    "callbacks that hold NaN": trainer_with(callbacks=[{"best": float("nan")}]),
    "differences that are numbers": trainer_with(differs=[1]),
    "an environment that is text": trainer_with(environment="here"),
    "another order of its fields": json.dumps(json.loads(trainer_with())).encode(),
    "bytes that are no text": b"\xff\xfe\x00",
    "40 MB": b"[" + b"{}," * 13_000_000 + b"{}]",
}


@pytest.fixture
def small(tmp_path: Path) -> Checkpoint:
    """A small whole checkpoint, in front of an older one."""
    jobdir = jobdir_at(tmp_path / "job")
    mine = jobdir.new_attempt(1)
    write(mine, contents(2), Disk())
    write(mine, contents(3), Disk())
    return checkpoints_of(jobdir)[0]


def jobdir_of(checkpoint: Checkpoint) -> JobDir:
    """The job that it belongs to."""
    return jobdir_at(checkpoint.path.parents[3])


def is_set_aside(newest: Checkpoint) -> None:
    """Within a second, in words, and the one before is used."""
    recorder, began = Recorder(), time.thread_time()
    with pytest.raises(CorruptCheckpoint):
        load(newest)
    seconds = time.thread_time() - began

    found = load_newest(jobdir_of(newest), recorder)

    assert found is not None
    assert found.checkpoint.step == 2
    assert len(recorder.of(CheckpointRejected)) == 1
    assert not newest.path.exists()
    assert seconds < 1.0


@pytest.mark.parametrize("kind", STATES)
def test_hostile_tensors_are_set_aside(kind: str, small: Checkpoint) -> None:
    """Whatever lies in the state, with every hash forged."""
    forge(small, STATE, STATES[kind]())

    is_set_aside(small)


@pytest.mark.parametrize("kind", TRAINERS)
def test_hostile_trainer_states_are_set_aside(kind: str, small: Checkpoint) -> None:
    """Whatever lies in the trainer state, with every hash forged."""
    forge(small, TRAINER, TRAINERS[kind])

    is_set_aside(small)


MANIFESTS: dict[str, bytes] = {
    "deep nesting": DEEP[:60_000],
    "an endless number": b'{"format":' + LONG + b"}",
    "infinity": b'{"format": 2, "files": {"a": {"bytes": Infinity, "sha256": ""}}, "history": null, "step": 3}',
    "a list": b"[]",
    "text": b'"format"',
    "files that are a list": b'{"format": 2, "files": [], "step": 3, "score": null}',
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_hostile_manifests_are_set_aside(kind: str, small: Checkpoint) -> None:
    """Of no form that a manifest has."""
    (small.path / NAME).write_bytes(MANIFESTS[kind])

    is_set_aside(small)


@pytest.mark.parametrize("score", ["best", [1], True, {}, 1])
def test_a_score_that_is_no_number_is_found_out(score: Any, small: Checkpoint) -> None:
    """Or retention would stumble over it."""
    manifest = read_manifest(small)
    (small.path / NAME).write_bytes(encode(manifest.__class__(3, manifest.files, score, manifest.history)))

    is_set_aside(small)


@pytest.mark.parametrize("bytes_", [-1, 1 << 62])
def test_a_size_that_is_none_is_found_out(bytes_: int, small: Checkpoint) -> None:
    """Of the history, which is read up to it."""
    manifest = read_manifest(small)
    forged = manifest.__class__(3, manifest.files, None, FileRecord(bytes_, "0" * 64))
    (small.path / NAME).write_bytes(encode(forged))

    is_set_aside(small)


@pytest.mark.parametrize(
    "lines", [b"", b"{}\n", b"1\n2\n3\n", b"[]\n" * 3, DEEP + b"\n\n\n", b'{"loss":1}\n' * 3, b'{"loss":"1.0"}\n' * 3]
)
def test_a_hostile_history_is_found_out(lines: bytes) -> None:
    """Of too few epochs, of no rows, of no numbers."""
    with pytest.raises(CorruptCheckpoint):
        parse_history(lines, 3)


TENSORS = [
    Tensor("00000|model|kernel", np.arange(6, dtype="float32").reshape(2, 3)),
    Tensor("00001|seed|state", np.array([1, 2], dtype="uint32")),
    Tensor("00002|metric|empty", np.zeros((0, 4), dtype="bool")),
]
WHOLE = b"".join(bytes(block) for block in blocks(TENSORS))
SOUND = trainer_state.encode_trainer(contents(3).trainer)


def edits(whole: bytes, most: int) -> st.SearchStrategy[bytes]:
    """``whole`` with a piece replaced by anything, within its first ``most`` bytes."""
    pieces = st.one_of(st.binary(max_size=12), st.sampled_from([b"[", b"{", b'"', b"-", b"9" * 400, b"null", b"1e999"]))
    where = st.tuples(st.integers(0, most), st.integers(0, 40), pieces)
    return where.map(lambda cut: whole[: cut[0]] + cut[2] + whole[cut[0] + cut[1] :])


@settings(max_examples=400, deadline=None)
@given(edits(WHOLE, len(WHOLE)))
@example(WHOLE)
def test_changed_tensors_are_damage_or_the_same_form(content: bytes) -> None:
    """Nothing but CorruptCheckpoint is raised, and what is taken would be written just so."""
    try:
        found = parse(content)
    except CorruptCheckpoint:
        return

    assert b"".join(bytes(block) for block in blocks([Tensor(name, value) for name, value in found.items()])) == content


@settings(max_examples=400, deadline=None)
@given(edits(SOUND, len(SOUND)))
@example(SOUND)
def test_a_changed_trainer_state_is_damage_or_the_same_form(content: bytes) -> None:
    """Nothing but CorruptCheckpoint is raised, and what is taken would be written just so."""
    try:
        found = trainer_state.decode_trainer(content, 2)
    except CorruptCheckpoint:
        return

    assert trainer_state.encode_trainer(found) == content


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_changed_manifest_is_damage(data: st.DataObject) -> None:
    """It guards itself."""
    whole = encode(read_sample())
    content = data.draw(edits(whole, len(whole)))
    if content == whole:
        return

    with pytest.raises(CorruptCheckpoint):
        decode(content)


def read_sample() -> Any:
    """A manifest."""
    from keepfit.shared.checkpoints.manifest import Manifest

    record = FileRecord(10, "0" * 64)
    return Manifest(3, {STATE: record, TRAINER: record}, 0.5, record)


def stopped_job(path: Path) -> JobDir:
    """A job that was stopped in its second epoch, with two checkpoints."""
    jobdir = jobdir_at(path)
    attempt(programs.build(PROGRAM), jobdir, StopAfter(9))
    return jobdir


def _state(loaded: Any, **change: Any) -> bytes:
    named = {**loaded.tensors, **change}
    return b"".join(bytes(block) for block in blocks([Tensor(name, value) for name, value in named.items()]))


def _other(loaded: Any, **change: object) -> bytes:
    return trainer_state.encode_trainer({**loaded.trainer, **change})


UNFIT: dict[str, Callable[[Any], tuple[str, bytes]]] = {
    "no tensors": lambda _: (STATE, b"".join(bytes(block) for block in blocks([]))),
    "a tensor of another shape": lambda found: (STATE, _state(found, **{next(iter(found.tensors)): np.zeros(3)})),
    "a tensor more": lambda found: (STATE, _state(found, more=np.zeros(3))),
    "weights of no callback": lambda found: (STATE, _state(found, **{"9|callback|best_weights/0": np.zeros(3)})),
    "other best weights": lambda found: (
        STATE,
        _state(found, **{next(name for name in found.tensors if "|callback|" in name): np.zeros(3, "float32")}),
    ),
    "another seed": lambda found: (TRAINER, _other(found, seed=8)),
    "other data": lambda found: (TRAINER, _other(found, data_sha256="0" * 64)),
    "another order": lambda found: (TRAINER, _other(found, order_sha256="0" * 64)),
    "no callbacks": lambda found: (TRAINER, _other(found, callbacks=[])),
    "other callbacks": lambda found: (TRAINER, _other(found, callbacks=found.trainer["callbacks"][::-1])),
    "a wait of less than nothing": lambda found: (
        TRAINER,
        _other(found, callbacks=[{**entry, "wait": -1} for entry in found.trainer["callbacks"]]),
    ),
    "a batch of another epoch": lambda found: (
        TRAINER,
        _other(found, cursor={**found.trainer["cursor"], "batch": found.trainer["cursor"]["batch"] + 1}),
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_one_that_does_not_fit_gives_way_to_the_one_before(kind: str, tmp_path: Path) -> None:
    """Whole by every hash and of the right form: found out when the model is there; the job ends with the same bits."""
    jobdir, recorder = stopped_job(tmp_path / "job"), Recorder()
    newest, before = checkpoints_of(jobdir)[:2]
    forge(newest, *UNFIT[kind](load(newest)))

    result = attempt(programs.build(PROGRAM), jobdir, reporter=recorder)

    assert result.outcome is Outcome.FINISHED, result.reason
    assert [event.name for event in recorder.of(CheckpointRejected)] == [f"attempt 1, {newest.path.name}"]
    assert newest.path.with_name(newest.path.name + ".corrupt").is_dir()
    assert record_of(jobdir.attempt_dirs()[1]).resumed == ResumedFrom(attempt=1, step=before.step)
    assert final_of(jobdir) == undisturbed(programs.build(PROGRAM), tmp_path / "whole")


def test_where_none_fits_nothing_begins_anew(tmp_path: Path) -> None:
    """The model is built otherwise than before: the job fails in words, every checkpoint stays where it is."""
    jobdir, recorder = stopped_job(tmp_path / "job"), Recorder()
    there = checkpoints_of(jobdir)
    changed = programs.compose("mlp", "ema", "plateau", digest=programs.build(PROGRAM).digest)

    result = attempt(changed, jobdir, reporter=recorder)

    assert result.outcome is Outcome.FAILED
    assert str(result.reason).startswith("No checkpoint of this job fits the model")
    assert "submit the job anew" in str(result.reason)
    assert checkpoints_of(jobdir) == there
    assert not recorder.of(CheckpointRejected)


@pytest.mark.parametrize("what", ["file", "link", "damaged"])
def test_a_stranger_in_the_place_of_a_checkpoint_is_set_aside(what: str, tmp_path: Path) -> None:
    """The step is saved all the same; what was there keeps its content under another name."""
    jobdir = jobdir_at(tmp_path / "job")
    mine: AttemptDir = jobdir.new_attempt(1)
    mine.checkpoints.mkdir()
    place = mine.checkpoints / "step-00000003"
    if what == "file":
        place.write_text("mine")
    elif what == "link":
        place.symlink_to(tmp_path)
    else:
        place.mkdir()

    write(mine, contents(3), Disk())

    assert load(checkpoints_of(jobdir)[0]).checkpoint.step == 3
    assert os.path.lexists(place.with_name("step-00000003.corrupt"))
