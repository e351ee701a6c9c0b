"""Texts compared as strings: with reconstructions, with references, and by a judge."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aectl.data.text.text_batches import TextBatch
from aectl.inference.ngrams import Judge
from aectl.inference.references import References
from aectl.inference.rouge import rouge_l, rouge_words

TokenRows = Sequence[Sequence[int]]
"""Tokens of texts, a row each."""


class TextComparison:
    """Metrics of texts as strings, over all calls of `add`; with a `judge`, its perplexities; with
    `references`, ROUGE against those of the texts.
    """

    def __init__(self, decode: Callable[[Iterable[int]], str]) -> None:
        """`decode` gives the text of a row of tokens."""
        self._decode = decode
        self.judge: Judge | None = None
        self.references: References | None = None
        self._rouge_l: list[float] = []

    def add(self, batch: TextBatch, shorter: TokenRows | None, written: TokenRows) -> list[float]:
        """Adds texts, their shorter texts, if the code is a text, and their reconstructions.

        Returns the ROUGE-L of each reconstruction.
        """
        texts = [self._decode(row) for row in batch.tokens.tolist()]
        found = [
            rouge_l(rouge_words(text), rouge_words(self._decode(row)))
            for text, row in zip(texts, written, strict=True)
        ]
        self._rouge_l += found
        if shorter is not None:
            self._add_shorter(batch, texts, list(map(self._decode, shorter)))
        return found

    def _add_shorter(self, batch: TextBatch, texts: list[str], shorter: list[str]) -> None:
        if self.judge:
            self.judge.add("judged_perplexity", shorter)
            self.judge.add("judged_perplexity_of_texts", texts)
        if self.references:
            for whole, one, reference in zip(batch.texts, shorter, batch.references, strict=True):
                assert reference is not None
                self.references.add(whole, one, reference)

    def result(self) -> dict[str, Any]:
        """rouge_l, the mean of all texts; with a judge, judged_perplexity, that of the shorter
        texts, and judged_perplexity_of_texts; with references, their metrics.
        """
        found = {"rouge_l": sum(self._rouge_l) / len(self._rouge_l)} if self._rouge_l else {}
        judged = self.judge.result() if self.judge else {}
        return found | judged | (self.references.result() if self.references else {})
