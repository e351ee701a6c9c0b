"""ROUGE (Lin 2004): how much of the words of a reference another text has."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

WORD = re.compile("[a-z0-9]+")
"""A word as the package rouge-score takes it: letters of English and digits, in lower case."""


SHORT = 3
"""Letters of the longest words that are taken as they are, and not as their stems."""


class Rouge(NamedTuple):
    """The F1 of the words, of the pairs of neighbours, and of the longest common subsequence, which
    a text and a reference have in common.
    """

    rouge_1: float
    rouge_2: float
    rouge_l: float


def rouge_words(text: str) -> list[str]:
    """The words of a text for ROUGE; everything else stands between words."""
    return WORD.findall(text.lower())


class Stemmed:
    """Makes words of texts as `rouge_words`, with the stems of the longer ones (Porter 1980), as is
    usual where summaries are compared; needs the package nltk.
    """

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self._stem = cache(PorterStemmer().stem)

    def words(self, text: str) -> list[str]:
        """The words of a text."""
        words = rouge_words(text)
        return [self._stem(word) if len(word) > SHORT else word for word in words]


def rouge(reference: Sequence[str], text: Sequence[str]) -> Rouge:
    """The scores of a text of words against a reference; 0 for what they have none in common of."""
    singles = _common(Counter(reference), Counter(text))
    pairs = _common(Counter(pairwise(reference)), Counter(pairwise(text)))
    return Rouge(singles, pairs, rouge_l(reference, text))


def _common(reference: Counter[Any], text: Counter[Any]) -> float:
    return _f1((reference & text).total(), reference.total(), text.total())


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
