"""The whole of what a person submits, and the kinds of jobs that there are: a new kind is a model and a row here.

spec = parse_spec({"kind": "train", "name": "first", "data": {"name": "mnist-5k"}})
KINDS[spec.kind].short                  # what both sides must know of a kind; how it runs is in ``worker.kinds``
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from keepfit.shared.errors import InvalidSpec, NewerVersion
from keepfit.shared.reasons import Code, Reason
from keepfit.shared.spec.data import DataSpec
from keepfit.shared.spec.model import ModelSpec
from keepfit.shared.spec.training import TrainingSpec
from keepfit.shared.spec.upgrade import upgraded
from keepfit.shared.spec.values import JobId, JobName, Version

READS = 2
"""The highest version of a spec that this code reads."""


class JobSpec(BaseModel):
    """What the specs of all kinds of jobs have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version = 2
    kind: str
    name: JobName = Field(title="Name")


class TrainSpec(JobSpec):
    """A job that trains a model."""

    kind: Literal["train"] = "train"
    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()


class EvaluateSpec(JobSpec):
    """A job that measures the model of the job ``source`` on a data set."""

    kind: Literal["evaluate"] = "evaluate"
    source: JobId = Field(title="Job")
    data: DataSpec = DataSpec()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What both sides must know of a kind of jobs."""

    spec: type[JobSpec]
    title: str
    trains: bool = False
    """Its jobs have checkpoints and a model of their own: they can be gone on with, and evaluated."""
    short: bool = False
    """Its jobs take seconds and somebody waits for them: they never wait for a training."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """The fields of its spec that name another job, and what its jobs are to that one."""


KINDS: Mapping[str, Kind] = {
    "train": Kind(spec=TrainSpec, title="Training", trains=True),
    "evaluate": Kind(spec=EvaluateSpec, title="Evaluation", short=True, parents={"source": "evaluation of"}),
}
"""All of them, by name."""
DEFAULT_KIND = "train"
"""The kind of a spec that names none."""
_UNKNOWN = Kind(spec=JobSpec, title="Job")
_ANY_KIND: Any = reduce(or_, (kind.spec for kind in KINDS.values()))
_ADAPTER: TypeAdapter[JobSpec] = TypeAdapter(Annotated[_ANY_KIND, Field(discriminator="kind")])


def kind_named(name: str) -> Kind:
    """The kind of this name; for one that only a newer version knows, a kind of which nothing is known."""
    return KINDS.get(name, _UNKNOWN)


@dataclass(frozen=True)
class Needs:
    """What a reader of a spec must know; found out without reading the rest of it."""

    version: int
    kind: str

    @property
    def met(self) -> bool:
        """Whether this code reads such a spec."""
        return self.version <= READS and self.kind in KINDS


def needs_of(raw: object) -> Needs:
    """What the reader of the kept spec ``raw`` needs. Whatever is damaged counts as of today's form."""
    spec = raw if isinstance(raw, dict) else {}
    version, kind = spec.get("version", READS), spec.get("kind", DEFAULT_KIND)
    return Needs(
        version if type(version) is int else READS,
        kind if isinstance(kind, str) and kind.isprintable() else DEFAULT_KIND,
    )


@dataclass(frozen=True)
class Parent:
    """Another job that a job comes from."""

    relation: str
    """What the job is to it, as "evaluation of"."""
    job: str
    """Its id."""


def parents_of(raw: object) -> tuple[Parent, ...]:
    """The jobs that the kept spec ``raw`` names, in the order of its kind; none where it cannot be understood."""
    spec = raw if isinstance(raw, dict) else {}
    named = ((relation, spec.get(name)) for name, relation in kind_named(needs_of(spec).kind).parents.items())
    return tuple(Parent(relation, job) for relation, job in named if isinstance(job, str) and _is_name(job))


def _is_name(job: str) -> bool:
    """Whether a job's directory could have this name."""
    return bool(job) and job.isprintable() and "/" not in job


def parse_spec(raw: object, kept: bool = False) -> JobSpec:
    """Check the shape of ``raw`` (decoded JSON) and return the spec, in today's form whatever version it is of.

    Nothing is asked of the catalogue: whether a new job fits what there is, ``shared.catalog.accepting`` says.

    Args:
        raw: What was sent, or read from a job's directory.
        kept: It was accepted before. An older version took names that are not taken now, a later one may have
            added fields, which are passed over; such a job stays whole.

    Raises:
        NewerVersion: it was kept by a version that knows more, and cannot be understood by this one.
        InvalidSpec: a field is wrong; the message names each and says what it may be.
            The pydantic ``ValidationError`` is its ``__cause__``.
    """
    if kept and not needs_of(raw).met:
        raise NewerVersion(Reason.of(Code.NEWER_JOB))
    if isinstance(raw, dict):
        raw = upgraded({"kind": DEFAULT_KIND, **raw})
    try:
        return _ADAPTER.validate_python(raw, context={"kept": kept}, extra="ignore" if kept else None)
    except ValidationError as exc:
        raise refused(exc) from exc


def refused(exc: ValidationError) -> InvalidSpec:
    """The error that names each wrong field of a spec, to be raised from ``exc``."""
    lines = [f"{'.'.join(str(p) for p in e['loc'][1:]) or 'spec'}: {e['msg']}" for e in exc.errors()]
    return InvalidSpec("; ".join(lines))


def spec_digest(spec: JobSpec) -> str:
    """sha256 (hex) over the canonical JSON of ``spec``."""
    canonical = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
