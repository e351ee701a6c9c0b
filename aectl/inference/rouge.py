"""ROUGE (Lin 2004): how much of the words of a reference another text has."""

import re
from collections.abc import Sequence

WORD = re.compile("[a-z0-9]+")
"""A word as the package rouge-score takes it: letters of English and digits, in lower case."""


def rouge_words(text: str) -> list[str]:
    """The words of a text for ROUGE; everything else stands between words."""
    return WORD.findall(text.lower())


def rouge_l(reference: Sequence[str], text: Sequence[str]) -> float:
    """The F1 of the longest common subsequence of two texts of words; 0 without common words."""
    return _f1(common_subsequence(reference, text), len(reference), len(text))


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence.

    A row of the usual table, whose entries rise by 0 or 1, is one number with a bit for each word,
    0 where it rises (Hyyro 2004, "Bit-parallel LCS-length computation revisited").
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(one)) - 1
    row = every
    for word in other:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & every
    return len(one) - row.bit_count()


def _f1(common: int, of_reference: int, of_text: int) -> float:
    """The harmonic mean of the fractions of both that are common."""
    return 2 * common / (of_reference + of_text) if common else 0.0
