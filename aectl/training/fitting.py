"""The options with which a training fits into memory."""

import contextlib
import itertools
import math
from typing import NamedTuple

from aectl.errors import ConfigError
from aectl.training.scale import Change, Sketch

NEARLY, AIM = 0.75, 0.87
"""The fraction of the memory that is used at least with the value found for an option, if there is
such a value, and the fraction that is aimed at: a closer value would take more counts."""


class Value(NamedTuple):
    """A value of an option, the bytes that training needs with it, and the words that ask for it"""

    number: int
    needed: float
    words: str


NONE = Value(0, math.inf, "")


def options_that_fit(sketch: Sketch, room: float) -> list[str]:
    """All options with which training fits into `room`, bytes: of each, nearly the largest value.

    Another kind of model is among them if no width fits, or the width follows from the input.
    """
    found = _values_that_fit(sketch, sketch.changes(), room)
    if sketch.usual or not any(words.startswith("--hidden") for words in found):
        for other, words in sketch.other_models():
            if other.needed <= room:
                found.append(words)
            else:
                pieces = _values_that_fit(other, other.pieces(), room)
                found += [f"{words} {piece}" for piece in pieces]
    return found


def _values_that_fit(sketch: Sketch, changes: list[Change], room: float) -> list[str]:
    """The values of options, each alone, of a training that needs more than `room`."""
    found = []
    for change in changes:
        high = Value(change.now, sketch.needed, "")
        value = _first(change, high, sketch.to_read, room)
        if value.needed > room:
            high, value = value if value.words else high, _smallest(change)
        if value.needed <= room:
            found.append(_largest(change, value, high, room).words)
    return found


def _first(change: Change, now: Value, fixed: int, room: float) -> Value:
    """The value with which training should need most of `room`, as far as that can be foreseen;
    `fixed`: bytes that are needed anyhow."""
    share = max(0, AIM * room - fixed) / (now.needed - fixed)
    number = max(change.least, int(now.number * share ** (1 / change.power)))
    if number < now.number:
        with contextlib.suppress(ConfigError):  # other options need a larger value
            return _value(change, number)
    return NONE


def _smallest(change: Change) -> Value:
    """The smallest value below the present one that other options allow, or up to twice that."""
    number = change.least
    while number < change.now:
        with contextlib.suppress(ConfigError):
            return _value(change, number)
        number *= 2
    return NONE


def _largest(change: Change, low: Value, high: Value, room: float) -> Value:
    """Nearly the largest value that fits, between one that does and one that does not. What is
    needed grows with the number.
    """
    guesses = itertools.cycle((_as_a_square, _as_a_power, _in_the_middle))
    while high.number > low.number + 1 and low.needed < NEARLY * room:
        guess = int(next(guesses)(low, high, AIM * room))
        found = _value(change, max(low.number + 1, min(high.number - 1, guess)))
        low, high = (found, high) if found.needed <= room else (low, found)
    return low


def _as_a_square(low: Value, high: Value, wanted: float) -> float:
    """The number for which `wanted` bytes are needed if they grow with its square, as with the side
    of an image, which some bytes do not depend on."""
    share = (wanted - low.needed) / (high.needed - low.needed)
    return math.sqrt(low.number**2 + share * (high.number**2 - low.number**2))


def _as_a_power(low: Value, high: Value, wanted: float) -> float:
    """The same if they grow with some power of it."""
    share = math.log(wanted / low.needed) / math.log(high.needed / low.needed)
    return float(low.number * (high.number / low.number) ** share)


def _in_the_middle(low: Value, high: Value, wanted: float) -> float:
    """The same for any growth: the geometric mean."""
    return math.sqrt(low.number * high.number)


def _value(change: Change, number: int) -> Value:
    sketch, words = change.smaller(number)
    return Value(number, sketch.needed, words)
