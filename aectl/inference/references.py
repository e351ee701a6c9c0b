"""Shorter texts beside reference summaries, and what the first words of each text would score."""

import math
from bisect import bisect_left
from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np

from aectl.inference.rouge import Rouge, Stemmed, rouge
from aectl.models.text_autoencoder import ROUNDING

LEAD = 8
"""Words of the baseline of one length (Lead-8 of Baziotis et al. 2019)."""

BRACKETS = (4, 8, 12, 16, 24, 32)
"""The most words of each bracket of lengths of outputs; longer ones are in one more."""

MEANS = ("words", *Rouge._fields)


class References:
    """ROUGE against references of shorter texts, and of the first words of the texts, over all
    calls of `add`: 8 of them (`lead_8`), and `ratio` times as many as there are or, if `words` is
    given, at most so many (`lead`).
    """

    def __init__(self, ratio: float, words: int | None = None) -> None:
        self._ratio, self._words, self._stemmed = ratio, words, Stemmed()
        self._sums = defaultdict[str, dict[int, Any]](partial(defaultdict, _nothing))

    def add(self, text: str, shorter: str, reference: str) -> None:
        """Adds a text with its shorter text and its reference."""
        words = text.split()
        wanted = self._stemmed.words(reference)
        for name, output in (
            ("bottleneck", shorter),
            (f"lead_{LEAD}", " ".join(words[:LEAD])),
            ("lead", " ".join(words[: self._count(len(words))])),
        ):
            length = len(output.split())
            scores = rouge(wanted, self._stemmed.words(output))
            bracket = bisect_left(BRACKETS, length)
            self._sums[name][bracket] += np.array([1, length, *scores])

    def _count(self, words: int) -> int:
        """As many words as a bottleneck of words keeps."""
        return self._words or max(1, math.ceil(words * self._ratio - ROUNDING))

    def result(self) -> dict[str, Any]:
        """The means of the words and of the scores of each output, such as bottleneck_words and
        lead_8_rouge_l; rouge_by_words, those of each bracket of lengths.
        """
        found: dict[str, Any] = {}
        by_words: list[dict[str, Any]] = []
        for name, brackets in self._sums.items():
            for metric, mean in _means(sum(brackets.values())).items():
                found[f"{name}_{metric}"] = mean
            for bracket, sums in sorted(brackets.items()):
                of = {"output": name, "bracket": _label(bracket), "n": int(sums[0])}
                by_words.append({**of, **_means(sums)})
        return {**found, "rouge_by_words": by_words} if found else {}


def _nothing() -> Any:
    return np.zeros(1 + len(MEANS))


def _means(sums: Any) -> dict[str, float]:
    return dict(zip(MEANS, (sums[1:] / sums[0]).tolist(), strict=True))


def _label(bracket: int) -> str:
    """The words of a bracket, such as `5-8`."""
    if bracket == len(BRACKETS):
        return f"{BRACKETS[-1] + 1}-"
    return f"{BRACKETS[bracket - 1] + 1 if bracket else 0}-{BRACKETS[bracket]}"
