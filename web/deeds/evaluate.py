"""Measures the model of a job, as a job of its own.

accepted = evaluations.evaluate(actor, job_id, {"name": "mnist"}, key)
"""

import uuid

from keepfit.shared.actors import Actor, Deed
from keepfit.shared.durable import fsync_dir
from keepfit.shared.errors import BadTransition, StorageFull
from keepfit.shared.jobs.directory import JobDir, job_id_of
from keepfit.shared.jobs.states import JobState
from keepfit.shared.spec import TrainSpec, kind_named, parse_spec, printable
from keepfit.web.deeds.accepting import Accepted, Means, accept, completed

EVALUABLE = frozenset({JobState.SUCCEEDED, JobState.PAUSED})
"""States in which a job has a model that stands still."""


class Evaluations:
    """Makes evaluations."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def evaluate(
        self, actor: Actor, job_id: str, data: object = None, key: str | None = None, name: str | None = None
    ) -> Accepted:
        """Measure the model of ``job_id`` on ``data``: a data spec, by default the job's own.

        Raises:
            JobNotFound, InvalidSpec: no such job or data set.
            BadTransition: the job is not finished or paused.
            NotAllowed: the actor may not.
        """
        seen = self._means.reader.get(job_id)
        if not kind_named(seen.record.kind).trains:
            raise BadTransition("This job is an evaluation; it has no model of its own to evaluate.")
        trained = seen.jobdir.spec
        if data is None and isinstance(trained, TrainSpec):
            data = trained.data.model_dump()
        spec = parse_spec(
            {
                "kind": "evaluate",
                "name": name or f"Evaluation of {printable(seen.record.name)[:60]}",
                "source": job_id,
                "data": data,
            }
        )
        self._means.allow(actor, Deed.EVALUATE, seen.jobdir.job)
        key = key or uuid.uuid4().hex
        spec = completed(self._means, spec, key, trained)
        if seen.record.state not in EVALUABLE:
            raise BadTransition("Only a finished or paused job can be evaluated. Pause it first, or wait for its end.")
        try:
            _mark(seen.jobdir, job_id_of(key))
        except StorageFull:
            self._means.reader.open(job_id)  # raises, and says so, if it was deleted just now
            raise
        return accept(self._means, actor, spec, key)


def _mark(source: JobDir, evaluation_id: str) -> None:
    """List an evaluation with its source, before it exists: a marker without a job is ignored."""
    try:
        source.evaluations.mkdir(exist_ok=True)
        (source.evaluations / evaluation_id).touch()
        fsync_dir(source.evaluations)
    except OSError as exc:
        raise StorageFull(
            "The evaluation was not accepted: the data directory takes no writes ({why}).", why=exc.strerror
        ) from exc
