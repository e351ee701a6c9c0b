"""Shapes of inputs, and the special tokens of text."""

from typing import NamedTuple

Shape = tuple[int, int, int]
"""(channels, height, width) of an image."""

Sides = tuple[int, int]
"""(height, width) of an image."""


class TextShape(NamedTuple):
    """Text as rows of `length` tokens, from a vocabulary of `tokens`."""

    length: int
    tokens: int


class VectorShape(NamedTuple):
    """Vectors of a number of `features`."""

    features: int


WINDOW = 11
"""The side of the window of the structural similarity: images must not be smaller."""


def both(sides: tuple[int, ...]) -> Sides:
    """Height and width as the user gives them; a single number is both."""
    return sides[0], sides[-1]


def halved(side: int, times: int = 1) -> int:
    """The side of an image after a number of stages that halve it, each rounding up."""
    return -(-side >> times)


InputShape = Shape | TextShape | VectorShape
"""The shape of an input, of any modality."""


PAD, START, END = 0, 1, 2
"""Special tokens: padding at the end of a row, the start of a text, and its end."""

SPECIAL = 3
"""The number of special tokens; all other tokens are numbered from here."""
