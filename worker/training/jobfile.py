"""A job directory without the service: made from a spec on first use, checked against it afterwards."""

import time

from shared.durable import read_json, write_json
from shared.errors import InvalidSpec, JobConflict, StorageFull
from shared.jobdir import JobDir
from shared.spec import DATASETS, DataSpec, EvaluateSpec, TrainSpec, spec_digest


def open_or_create(jobdir: JobDir, spec: TrainSpec | EvaluateSpec) -> JobDir:
    """The directory of a job that is ``spec``.

    Raises:
        JobConflict: the directory holds another job.
        StorageFull: it cannot be made.
    """
    path = jobdir.path / "job.json"
    found = read_json(path)
    if found is None:
        job = {
            "version": 1,
            "id": jobdir.id,
            "created_ms": time.time_ns() // 1_000_000,
            "spec": spec.model_dump(mode="json"),
            "spec_sha256": spec_digest(spec),
        }
        try:
            jobdir.path.mkdir(parents=True, exist_ok=True)
            write_json(path, job)
        except OSError as exc:
            raise StorageFull(f"{jobdir.path} cannot be written ({exc.strerror}).") from exc
    elif found.get("spec_sha256") != spec_digest(spec):
        raise JobConflict(f"{jobdir.path} holds a job with another spec. Use another --dir, or the same spec.")
    return jobdir


def sibling_for(source: JobDir, data: str) -> tuple[EvaluateSpec, JobDir]:
    """The evaluation of ``source`` on ``data``, in a directory beside it."""
    if data not in DATASETS:
        raise InvalidSpec(f"There is no data set {data!r}; there are {', '.join(DATASETS)}.")
    name = source.job["spec"]["name"]
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
