"""The calibration of an anomaly score, as a model file keeps it.

The scores of normal inputs, and what the score is fitted to, are tensors `calibration.NAME` beside
the weights; all else is the field `calibration` of the card.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aectl.config.spelling import as_given
from aectl.errors import ModelFileError
from aectl.models import metadata

PREFIX, NORMAL, PIXELS = "calibration.", "scores", "pixels."
"""The start of the names of its tensors, the one with the scores of normal inputs, (n,), and the
start of the names of those that mark pixels of images."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of a score of a model on `n` normal inputs, which `on` names, of a `size`.

    `fitted_to`: the number of other normal inputs that the score is fitted to; `alarm_rate`: the
    one to use, if no other is asked for; `size`: the fields of the description of the architecture
    that say what an input is.
    """

    score: str
    alarm_rate: float
    n: int
    fitted_to: int
    on: tuple[str, ...]
    size: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The field `calibration` of a model file."""
        return {**vars(self), "on": list(self.on), "size": dict(self.size)}

    @classmethod
    def from_json(cls, described: object) -> "Calibration | None":
        """The inverse of `to_json`, or None where there is none. Raises ModelFileError for anything
        else.
        """
        if described is None:
            return None
        if not isinstance(described, dict):
            raise ModelFileError("its calibration is not a JSON object")
        metadata.refuse_unknown(described, FIELDS, "its calibration")
        for name, (wanted, fits) in FIELDS.items():
            if not fits(described.get(name)):
                given = metadata.shown(described.get(name))
                raise ModelFileError(f"calibration.{name} must be {wanted}; {given} given")
        return cls(**{**described, "on": tuple(map(as_given, described["on"]))})

    def refuse_other_size(self, size: Mapping[str, Any]) -> None:
        """Raises ModelFileError where the inputs of the model have another size."""
        wanted = size_in_json(size)
        if self.size != wanted:
            raise ModelFileError(
                f"it is calibrated on inputs with {_said(self.size)}, and takes those with"
                f" {_said(wanted)}: calibrate it again (aectl detect --calibrate)"
            )


def size_in_json(size: Mapping[str, Any]) -> dict[str, Any]:
    """The size of an input as JSON gives it back."""
    return {name: list(one) if isinstance(one, tuple) else one for name, one in size.items()}


def _said(size: Mapping[str, Any]) -> str:
    return metadata.shown(dict(size)).strip("{}").replace("'", "")


def _is_count(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "score": ("a string", lambda value: isinstance(value, str)),
    "alarm_rate": ("between 0 and 1", lambda value: type(value) is float and 0 < value < 1),
    "n": ("a whole number of at least 1", lambda value: _is_count(value, 1)),
    "fitted_to": ("a whole number of at least 0", lambda value: _is_count(value, 0)),
    "on": ("a list of strings", _are_texts),
    "size": ("an object", lambda value: isinstance(value, dict)),
}
"""The type of each field, in words and as a test."""
