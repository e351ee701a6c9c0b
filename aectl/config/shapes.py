"""What every room shares."""

from typing import NamedTuple

Shape = tuple[int, int, int]
"""(channels, height, width) of an image."""


class TextShape(NamedTuple):
    """Rows of `length` tokens, of which there are `tokens`."""

    length: int
    tokens: int


PAD, START, END = 0, 1, 2
"""The tokens that stand for no text: what fills a row up, what comes before a text, and after."""

SPECIAL = 3
"""How many tokens those are; the numbers of all others begin here."""
