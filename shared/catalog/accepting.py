"""Whether a job fits what there is: asked when it is submitted, and never again.

    spec = accept(spec, library)       # complete: data and model by name and id

What cannot be accepted is refused field by field, as a spec of a wrong shape is. Knows cards and specs; reads no data.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from keepfit.shared.catalog.cards import Card, DatasetCard, ModelCard
from keepfit.shared.catalog.library import Library
from keepfit.shared.errors import NotInLibrary
from keepfit.shared.spec import JobSpec, Reference, TrainingSpec, TrainSpec, refused

S = TypeVar("S", bound=JobSpec)


def named(spec: S, library: Library) -> S:
    """``spec`` with a name for what it leaves to the catalogue: the first that is offered."""
    offered = {"data": library.datasets(), "model": library.models()}
    said = {field: Reference(name=offered[field][0].name) for field, value in _references(spec) if not value.name}
    return _with(spec, said)


def accept(spec: S, library: Library, trained: JobSpec | None = None) -> S:
    """``spec`` as it is kept: it names each card by name and id, and what it names fits together.

    Args:
        spec: What was asked for.
        library: What there is.
        trained: The job whose model a job of another kind is about.

    Raises:
        InvalidSpec: it does not fit; the message names each field and says what it may be.
    """
    spec = named(spec, library)
    cards: dict[str, Card] = {}
    wrong: list[InitErrorDetails] = []
    for field, reference in _references(spec):
        try:
            cards[field] = _card(field, reference, library)
        except NotInLibrary:
            wrong.append(_unknown(spec, field, reference, library))
    if not wrong:
        wrong += [_error(spec, path, fault) for path, fault in _misfits(spec, cards, library, trained)]
    if wrong:
        details = ValidationError.from_exception_data("spec", wrong)
        raise refused(details) from details
    return _with(spec, {field: Reference(name=card.name, id=card.id) for field, card in cards.items()})


def _references(spec: JobSpec) -> Iterator[tuple[str, Reference]]:
    """The fields of a spec that name cards."""
    return ((field, value) for field, value in spec if isinstance(value, Reference))


def _with(spec: S, references: dict[str, Reference]) -> S:
    update = {field: type(getattr(spec, field))(**dict(reference)) for field, reference in references.items()}
    return spec.model_copy(update=update)


def _card(field: str, reference: Reference, library: Library) -> Card:
    opened = library.dataset if field == "data" else library.model
    return opened(reference.name, reference.id)


def _unknown(spec: JobSpec, field: str, reference: Reference, library: Library) -> InitErrorDetails:
    """What is wrong with a reference that there is no card of."""
    offered: Sequence[Card] = library.datasets() if field == "data" else library.models()
    if here := [card.id[:12] for card in offered if card.name == reference.name]:
        said = "{wanted} is asked for, and here is {here}"
        context = {"wanted": reference.id[:12], "here": ", ".join(here)}
        return _error(spec, (field, "id"), PydanticCustomError("other_card", said, context))
    names = list(dict.fromkeys(repr(card.name) for card in offered))
    expected = " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
    location = (spec.kind, field, "name")
    return {"type": "literal_error", "loc": location, "input": reference.name, "ctx": {"expected": expected}}


def _error(spec: JobSpec, path: tuple[str, ...], fault: PydanticCustomError) -> InitErrorDetails:
    return {"type": fault, "loc": (spec.kind, *path), "input": None}


def _misfits(
    spec: JobSpec, cards: dict[str, Card], library: Library, trained: JobSpec | None
) -> Iterator[tuple[tuple[str, ...], PydanticCustomError]]:
    """What does not fit together: where in the spec, and why."""
    data, model = cards.get("data"), cards.get("model")
    if isinstance(data, DatasetCard) and isinstance(model, ModelCard):
        if fault := model.fits.misfit(data.signature):
            yield ("model", "name"), fault
        if isinstance(spec, TrainSpec) and (fault := _no_samples(spec.training, data.train.samples)):
            yield (), fault
    if isinstance(data, DatasetCard) and isinstance(trained, TrainSpec) and (fault := _not_for(trained, data, library)):
        yield ("data", "name"), fault


def _no_samples(training: TrainingSpec, samples: int) -> PydanticCustomError | None:
    """What a training lacks because of how its samples are shared out."""
    held_back = int(samples * training.validation_share)
    if samples - held_back < 1:
        said = "the validation share leaves no sample of {samples} to train on"
        return PydanticCustomError("nothing_to_train_on", said, {"samples": samples})
    watching = [callback.monitor for callback in (training.early_stopping, training.reduce_lr) if callback is not None]
    if held_back < 1 and any(monitor.startswith("val_") for monitor in watching):
        said = "a callback watches a validation metric, but the validation share is 0"
        return PydanticCustomError("nothing_to_watch", said)
    return None


def _not_for(trained: TrainSpec, data: DatasetCard, library: Library) -> PydanticCustomError | None:
    """Why the model of a job cannot take ``data``; None also where nobody knows any more what it was trained on."""
    try:
        then, now = library.dataset(trained.data.name, trained.data.id).signature, data.signature
    except NotInLibrary:
        return None
    if then.shape != now.shape:
        said = "holds samples of {found}, and the model takes {wanted}"
        return PydanticCustomError("other_shape", said, {"found": _sizes(now.shape), "wanted": _sizes(then.shape)})
    if then.classes != now.classes:
        said = "has {found} classes, and the model tells {wanted} apart"
        return PydanticCustomError("other_classes", said, {"found": now.classes, "wanted": then.classes})
    return None


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "single values"
