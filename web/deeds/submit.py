"""Submits a job: the way of every spec into the service.

accepted = submissions.submit(actor, spec, key)       # accepted.jobdir, .new, .waits_for_queue
"""

from keepfit.shared.actors import Actor, Deed
from keepfit.shared.spec import EvaluateSpec, JobSpec
from keepfit.web.deeds.accepting import Accepted, Means, accept, completed
from keepfit.web.deeds.evaluate import Evaluations


class Submissions:
    """Takes specs."""

    def __init__(self, means: Means, evaluations: Evaluations) -> None:
        self._means, self._evaluations = means, evaluations

    def submit(self, actor: Actor, spec: JobSpec, key: str | None = None) -> Accepted:
        """Make a job of ``spec``, or find the one that ``key`` has made.

        Raises:
            InvalidSpec: it does not fit what there is.
            JobConflict, StorageFull: the key was used for another spec; the disk takes no more.
            NotAllowed: the actor may not.
        """
        if isinstance(spec, EvaluateSpec):
            data = spec.data.model_dump(exclude_unset=True)
            return self._evaluations.evaluate(actor, spec.source, data, key, name=spec.name)
        self._means.allow(actor, Deed.SUBMIT)
        return accept(self._means, actor, completed(self._means, spec, key), key)
