"""What is wrong with a spec, field by field, in words for people. Pure.

except InvalidSpec as exc:
    field_errors(exc)   # {"training.epochs": "Must be at least 1."}
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from keepfit.shared.errors import InvalidSpec
from keepfit.web.words.catalogue import _, marked

WHOLE = ""
"""The key of what is wrong with the spec as a whole."""

_WORDS = {
    "missing": marked("Is needed."),
    "extra_forbidden": marked("There is no such field."),
    "int_parsing": marked("Must be a whole number."),
    "int_type": marked("Must be a whole number."),
    "int_from_float": marked("Must be a whole number."),
    "int_parsing_size": marked("Is too large."),
    "float_parsing": marked("Must be a number."),
    "float_type": marked("Must be a number."),
    "finite_number": marked("Must be a finite number."),
    "string_type": marked("Must be text."),
    "bool_parsing": marked("Must be true or false."),
    "greater_than": marked("Must be more than {gt}."),
    "greater_than_equal": marked("Must be at least {ge}."),
    "less_than": marked("Must be less than {lt}."),
    "less_than_equal": marked("Must be at most {le}."),
    "literal_error": marked("Must be one of {expected}."),
    "string_too_long": marked("May have at most {max_length} characters."),
    "string_too_short": marked("Is needed."),
    "string_unicode": marked("Holds half a character, such as \\ud800: take it out."),
    "string_pattern_mismatch": marked("Is not the id of a job."),
    "model_type": marked("Must be an object."),
    "model_attributes_type": marked("Must be an object."),
    "dict_type": marked("Must be an object."),
    "union_tag_invalid": marked("Must be one of {expected_tags}."),
    "id_without_name": marked("Needs a name beside its id."),
    "other_card": marked("{wanted} is asked for, and here is {here}."),
    "misfit_task": marked("Is for {wanted}, and the data set for {found}."),
    "misfit_rank": marked("Takes samples of {wanted} dimensions, and those of the data set are {found}."),
    "misfit_size": marked("Takes samples of {wanted} x {wanted} or more, and those of the data set are {found}."),
    "nothing_to_train_on": marked("The validation share leaves no sample of {samples} to train on."),
    "nothing_to_watch": marked("A callback watches a validation metric, but the validation share is 0."),
    "other_shape": marked("Holds samples of {found}, and the model takes {wanted}."),
    "other_classes": marked("Has {found} classes, and the model tells {wanted} apart."),
}


class WrongFields(InvalidSpec):
    """Fields of a request that is no spec are wrong: each by its name, and what it may be."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {words}" for name, words in fields.items()))
        self.fields = dict(fields)


def unknown_fields(body: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, str]:
    """The fields of ``body`` that do not exist, in the words that are used for those of a spec."""
    return {name: _(_WORDS["extra_forbidden"]) for name in body if name not in known}


def field_errors(exc: InvalidSpec) -> dict[str, str]:
    """Each wrong field, by its dotted path, and what it may be. Empty if the cause is not known by field."""
    if isinstance(exc, WrongFields):
        return exc.fields
    cause = exc.__cause__
    if not isinstance(cause, ValidationError):
        return {}
    found: dict[str, str] = {}
    for error in cause.errors(include_url=False, include_input=False):
        # The first part of a location is the spec's kind; a wrong kind itself has no location.
        path = "kind" if error["type"] == "union_tag_invalid" else ".".join(str(part) for part in error["loc"][1:])
        found.setdefault(path, _in_words(error))
    return found


def _in_words(error: Any) -> str:
    words = _WORDS.get(error["type"])
    if words is not None:
        return _(words, **{name: _plain(value) for name, value in error.get("ctx", {}).items()})
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].upper() + message[1:] + ("" if message.endswith(".") else ".")


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
