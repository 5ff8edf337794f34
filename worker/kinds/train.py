"""The kind ``train``: from a job's spec to a program, which is trained."""

from pathlib import Path
from typing import Any

from keepfit.shared.catalog.cards import DatasetCard
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.documents import AttemptFile
from keepfit.shared.spec import TrainSpec
from keepfit.shared.spec.task import task_named
from keepfit.worker.data import datasets
from keepfit.worker.models import presets
from keepfit.worker.training.callbacks import build_callbacks
from keepfit.worker.training.interfaces import AttemptResult
from keepfit.worker.training.program import CheckpointPolicy, Program
from keepfit.worker.training.run import Session
from keepfit.worker.training.train import train


def run(spec: TrainSpec, session: Session) -> AttemptResult:
    """Train what ``spec`` describes, from where the earlier attempts have left it."""
    jobdir = session.jobdir
    return train(program_of(spec, jobdir.datasets, jobdir.digest, as_found=_begun_by_0_1(jobdir)), session)


def _begun_by_0_1(jobdir: JobDir) -> bool:
    """Whether version 0.1 has begun this job: its data stay as it took them."""
    records = [AttemptFile.read_or_none(attempt.record) for attempt in jobdir.attempt_dirs()]
    return any(record.data_as_found for record in records if record)


def made_for(card: DatasetCard) -> dict[str, Any]:
    """What is kept, with each attempt, of the data that its model is for: the card may be gone when it is measured."""
    return {"signature": card.signature.model_dump(mode="json"), "classes": [*card.classes], "title": card.title}


def program_of(spec: TrainSpec, datasets_dir: Path, digest: str, as_found: bool = False) -> Program:
    """The program that ``spec`` describes. Raises NotInLibrary, DataUnavailable, StorageFull.

    ``digest`` is the one that was stored when the job was made. Checkpoints hold it: it must not change when
    a later version gives the spec a field more. ``as_found``: see ``datasets.load``.
    """
    wish = spec.training
    card = builtin_library().dataset(spec.data.name, spec.data.id)
    builtin_library().model(spec.model.name, spec.model.id)
    data = datasets.load(card, datasets_dir, as_found)
    train, validation = data.train.split(wish.validation_share)
    return Program(
        build_model=lambda: presets.build_model(spec.model, card.signature, wish.learning_rate),
        train=train,
        validation=validation,
        test=data.test,
        epochs=wish.epochs,
        batch_size=wish.batch_size,
        seed=wish.seed,
        build_callbacks=lambda: build_callbacks(wish.early_stopping, wish.reduce_lr),
        policy=CheckpointPolicy(wish.checkpoint_interval_s, wish.checkpoint_every_steps),
        plan=wish.plan,
        digest=digest,
        task=task_named(card.task),
        made_for=made_for(card),
        notes=data.notes,
    )
