"""A job directory without the service: made from a spec on first use, checked against it afterwards."""

import os

from keepfit.shared.errors import InvalidSpec, JobConflict, StorageFull
from keepfit.shared.jobs.directory import JobDir, same_spec, write_job
from keepfit.shared.spec import DATASETS, DataSpec, EvaluateSpec, TrainSpec


def open_or_create(jobdir: JobDir, spec: TrainSpec | EvaluateSpec) -> JobDir:
    """The directory of a job that is ``spec``.

    Raises:
        JobConflict: the directory holds another job.
        DamagedFile: it holds one whose job.json cannot be read.
        StorageFull: it cannot be made.
    """
    if os.path.lexists(jobdir.path / "job.json"):
        if not same_spec(jobdir, spec):
            raise JobConflict(f"{jobdir.path} holds a job with another spec. Use another --dir, or the same spec.")
        return jobdir
    try:
        jobdir.path.mkdir(parents=True, exist_ok=True)
        write_job(jobdir.path, jobdir.id, spec)
    except OSError as exc:
        raise StorageFull(f"{jobdir.path} cannot be written ({exc.strerror}).") from exc
    return jobdir


def sibling_for(source: JobDir, data: str) -> tuple[EvaluateSpec, JobDir]:
    """The evaluation of ``source`` on ``data``, in a directory beside it."""
    if data not in DATASETS:
        raise InvalidSpec(f"There is no data set {data!r}; there are {', '.join(DATASETS)}.")
    name = str(source.job["spec"].get("name") or source.id)
    # Directories made by hand may have any name; the pattern of job ids is for what comes over the network.
    spec = EvaluateSpec.model_construct(
        version=1,
        kind="evaluate",
        name=f"{name} on {data}"[:80],
        source=source.id,
        data=DataSpec.model_validate({"name": data}),
    )
    evaluation = source.sibling(f"{source.id}-evaluated-on-{data}")
    return spec, open_or_create(evaluation, spec)
