"""Texts compared as strings: with their reconstructions, and with an independent judge."""

from collections.abc import Callable, Iterable, Sequence

from aectl.inference.ngrams import Judge
from aectl.inference.rouge import rouge_l, rouge_words

TokenRows = Sequence[Sequence[int]]
"""Tokens of texts, a row each."""


class TextComparison:
    """Metrics of texts as strings, over all calls of `add`; with a `judge`, its perplexities."""

    def __init__(self, decode: Callable[[Iterable[int]], str]) -> None:
        """`decode` gives the text of a row of tokens."""
        self._decode = decode
        self.judge: Judge | None = None
        self._rouge_l: list[float] = []

    def add(self, tokens: TokenRows, shorter: TokenRows | None, written: TokenRows) -> list[float]:
        """Adds texts, their shorter texts, if the code is a text, and their reconstructions.

        Returns the ROUGE-L of each reconstruction.
        """
        texts = list(map(self._decode, tokens))
        found = [
            rouge_l(rouge_words(text), rouge_words(self._decode(row)))
            for text, row in zip(texts, written, strict=True)
        ]
        self._rouge_l += found
        if self.judge and shorter is not None:
            self.judge.add("judged_perplexity", map(self._decode, shorter))
            self.judge.add("judged_perplexity_of_texts", texts)
        return found

    def result(self) -> dict[str, float]:
        """rouge_l, the mean of all texts; with a judge, judged_perplexity, that of the shorter
        texts, and judged_perplexity_of_texts.
        """
        found = {"rouge_l": sum(self._rouge_l) / len(self._rouge_l)} if self._rouge_l else {}
        return found | (self.judge.result() if self.judge else {})
