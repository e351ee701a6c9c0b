"""The record of the training in a model file.

It does not affect the results of the model: unknown fields are kept, known ones must have their
type.
"""

from collections.abc import Callable
from typing import Any

from aectl.config import declaration
from aectl.config.all_options import OPTIONS
from aectl.config.spelling import as_given
from aectl.errors import ConfigError, ModelFileError
from aectl.models.metadata import shown


def checked(value: object) -> dict[str, Any]:
    """The record of the training, checked, with the names in its options `as_given`.

    Raises ModelFileError for a field of the wrong type.
    """
    if not isinstance(value, dict):
        raise ModelFileError("it has no record of how it was trained")
    for name, (wanted, fits) in FIELDS.items():
        if name in value and not fits(value[name]):
            raise ModelFileError(f"training.{name} must be {wanted}; {shown(value[name])} given")
    asked = {name: _as_given(given) for name, given in value.get("options", {}).items()}
    for name, given in asked.items():
        if name in OPTIONS:
            try:
                declaration.coerce(OPTIONS[name], given)
            except ConfigError as error:
                raise ModelFileError(f"training.options: {error}") from None
    return {**value, "options": asked} if asked else value


def _as_given(value: object) -> object:
    """The value of an option, with names that are not UTF-8 as Python has them."""
    if isinstance(value, str):
        return as_given(value)
    return [_as_given(part) for part in value] if isinstance(value, list) else value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_duration(value: object) -> bool:
    return type(value) in (int, float) and value >= 0  # type: ignore[operator]


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _are_texts_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_tokens_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(row, list) and all(map(_is_count, row)) for row in value.values()
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


HELD_OUT = "held_out"
"""The field with the `path_digest` of each file that was held out."""

A_TEXT, TEXTS = ("a string", _is_text), ("a list of strings", _are_texts)
A_COUNT = ("a whole number of at least 0", _is_count)
FIELDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "command": A_TEXT,
    "options": ("an object", _is_object),
    "images": A_COUNT,
    "vectors": A_COUNT,
    "patches": A_COUNT,
    "parts": A_COUNT,
    "texts": A_COUNT,
    "prior_texts": A_COUNT,
    "data_sha256": A_TEXT,
    HELD_OUT: TEXTS,
    "continued": TEXTS,
    "unfinished": A_TEXT,
    "seconds": ("a number of at least 0", _is_duration),
    "finished": A_TEXT,
    "device": A_TEXT,
    "threads": A_COUNT,
    "versions": ("an object of strings", _are_texts_by_name),
    "baselines": ("an object of lists of tokens", _are_tokens_by_name),
}
"""The type of each known field, in words and as a test."""
