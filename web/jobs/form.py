"""The forms: which fields a person sees. What a field may hold, spec and catalogue say alone.

form = NewJobForm(request.form)   # files that somebody posts are no fields
spec = form.spec()          # None: form.errors says why, beside each field; what was typed is kept
"""

import uuid
from hashlib import sha256
from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, StringField

from keepfit.shared.catalog.accepting import accept
from keepfit.shared.catalog.cards import Card, DatasetCard
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import InvalidSpec
from keepfit.shared.spec import TrainingSpec, TrainSpec, parse_spec
from keepfit.shared.spec.task import DEFAULT_TASK
from keepfit.web.words.catalogue import _, marked
from keepfit.web.words.spec_errors import field_errors

NUMBERS = ("epochs", "batch_size", "learning_rate", "seed", "validation_share", "checkpoint_interval_s")
PATHS = {
    "name": "name",
    "data.name": "dataset",
    "model.name": "model",
    **{f"training.{name}": name for name in NUMBERS},
}
"""Where in the spec each field is."""

EXPIRED = marked("This form was opened in another session. Nothing is lost: please press the button again.")


def _default(name: str) -> str:
    value = TrainingSpec.model_fields[name].default
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(name: str, label: str, description: str, mode: str = "numeric") -> StringField:
    # Text fields: a number field of a browser drops what it cannot read, and what is typed must be kept.
    keyboard = {"inputmode": mode, "autocomplete": "off"}
    return StringField(label, description=description, default=lambda: _default(name), render_kw=keyboard)


class OnceForm(FlaskForm):
    """A form that makes one job of what is in it, however often it is sent."""

    key = HiddenField(default=lambda: uuid.uuid4().hex)

    def key_of(self, what: str) -> str | None:
        """The key of the job ``what`` that this form makes; None if the sender has left the form's own out.

        The same form with other values, after the browser's Back, makes another job.
        """
        return f"form-{self.key.data}-{sha256(what.encode()).hexdigest()[:16]}" if self.key.data else None

    def renew(self) -> None:
        """Make another job from now on: the one that this form has made was deleted."""
        self.key.data = uuid.uuid4().hex


class NewJobForm(OnceForm):
    """A new training job."""

    task = DEFAULT_TASK
    """What the models are trained for."""

    name = StringField(
        marked("Name"), description=marked("How you will find it again."), render_kw={"autocomplete": "off"}
    )
    # The template shows these two as cards and lists; what is chosen is text like all else.
    dataset = StringField(marked("Data set"), default=lambda: builtin_library().datasets()[0].name)
    model = StringField(marked("Model"), default=lambda: builtin_library().models()[0].name)
    epochs = _number("epochs", marked("Epochs"), marked("How often it sees all of the training data."))
    batch_size = _number("batch_size", marked("Batch size"), marked("Samples in one step."))
    learning_rate = _number("learning_rate", marked("Learning rate"), marked("The step size of adam."), "decimal")
    seed = _number("seed", marked("Seed"), marked("The same seed gives the same model, bit by bit."))
    validation_share = _number(
        "validation_share",
        marked("Validation share"),
        marked("Kept apart to measure with after each epoch; 0 for none."),
        "decimal",
    )
    checkpoint_interval_s = _number(
        "checkpoint_interval_s",
        marked("Checkpoint interval"),
        marked("The ends of epochs are checkpoints as well, as often as that costs next to nothing."),
        "decimal",
    )

    def spec(self) -> TrainSpec | None:
        """The job that was asked for, or None with the reasons in ``errors``."""
        if not self.validate():  # the token only: no field has a validator of its own
            self.form_errors.append(_(EXPIRED))
            return None
        try:
            spec = accept(parse_spec(self._as_spec()), builtin_library())
        except InvalidSpec as exc:
            self._put_errors(exc)
            return None
        return spec if isinstance(spec, TrainSpec) else None

    def infos(self, field: Field) -> dict[str, Card]:
        """What people read about the choices of ``field``."""
        library = builtin_library()
        cards: tuple[Card, ...] = library.datasets() if field.name == "dataset" else library.models()
        return {card.name: card for card in cards}

    def _as_spec(self) -> dict[str, Any]:
        return {
            "kind": "train",
            "name": self.name.data or "",
            "data": {"name": self.dataset.data},
            "model": {"name": self.model.data},
            "training": {name: (self[name].data or "").strip() for name in NUMBERS},
        }

    def _put_errors(self, exc: InvalidSpec) -> None:
        for path, message in field_errors(exc).items():
            name = PATHS.get(path)
            if name is None:
                self.form_errors.append(message)
            else:
                self[name].errors = [message]


class EvaluateForm(OnceForm):
    """The evaluation of a job's model on a data set."""

    dataset = StringField(marked("Data set"))

    @property
    def datasets(self) -> dict[str, DatasetCard]:
        """What can be chosen."""
        return {card.name: card for card in builtin_library().datasets()}
