"""An n-gram model of words, the independent judge of how a text reads."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
"""A word, with the apostrophes and hyphens inside it, or a punctuation mark."""

ORDER = 3
LEAST_SEEN = 2
"""Words that occur less often are counted as one unknown word."""

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
USUAL_DISCOUNTS = (0.5, 1.0, 1.5)
"""Of texts too few for the estimate."""


def words_of(text: str) -> list[str]:
    """The words and punctuation marks of a text."""
    return WORD.findall(text)


class _Order(NamedTuple):
    """Counts of the n-grams of one length; `totals`, `seen`: by history, their sum, and how many
    of them were counted once, twice, and three times or more; `discounts` of these.
    """

    counts: Counter[tuple[str, ...]]
    totals: Counter[tuple[str, ...]]
    seen: dict[tuple[str, ...], list[int]]
    discounts: tuple[float, ...]


class NgramModel:
    """Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, equations 26 to 28).

    p(w | h) = (c(h w) - D(c(h w)) + sum_i D_i N_i(h) p(w | h without its first word)) / c(h),
    with the counts of the longest n-grams, and for shorter ones the number of different words
    before them; D_1, D_2 and D_3 (of three and more) follow from how many n-grams were counted
    once to four times. Below single words, all are equally likely.
    """

    def __init__(self, texts: Iterable[str], order: int = ORDER) -> None:
        split = [words_of(text) for text in texts]
        seen = Counter(word for words in split for word in words)
        self._known = {word for word, count in seen.items() if count >= LEAST_SEEN}
        self._order = order
        counts = [Counter[tuple[str, ...]]() for _ in range(order)]
        for words in split:
            counts[-1].update(self._ngrams(words))
        for longer, shorter in zip(counts[:0:-1], counts[-2::-1], strict=True):
            shorter.update(ngram[1:] for ngram in longer)
        self._orders = [_counted(found) for found in counts]

    def nats(self, words: Sequence[str]) -> float:
        """The negative log-likelihood of the words of a text and of its end."""
        return -sum(math.log(self.probability(*ngram)) for ngram in self._ngrams(words))

    def probability(self, *ngram: str) -> float:
        """That of the last word after the others, of which there are at most `order` - 1."""
        if not ngram:
            return 1 / (len(self._known) + 2)
        order, history = self._orders[len(ngram) - 1], ngram[:-1]
        total = order.totals[history]
        shorter = self.probability(*ngram[1:])
        if not total:
            return shorter
        count = order.counts[ngram]
        kept = count - order.discounts[min(count, 3) - 1] if count else 0.0
        freed = sum(d * n for d, n in zip(order.discounts, order.seen[history], strict=True))
        return (kept + freed * shorter) / total

    def _ngrams(self, words: Sequence[str]) -> Iterable[tuple[str, ...]]:
        known = [word if word in self._known else UNKNOWN for word in words]
        padded = [*[BEGIN] * (self._order - 1), *known, END]
        return zip(*(padded[place:] for place in range(self._order)), strict=False)


class Judge:
    """The perplexity of texts by an n-gram model that was learnt from others."""

    def __init__(self, model: NgramModel) -> None:
        self._model = model
        self._nats, self._words = defaultdict[str, float](float), Counter[str]()

    def add(self, name: str, texts: Iterable[str]) -> None:
        """Adds texts to those of a name."""
        for text in texts:
            words = words_of(text)
            self._nats[name] += self._model.nats(words)
            self._words[name] += len(words) + 1

    def result(self) -> dict[str, float]:
        """exp of the nats for each word, and each end, of the texts of a name."""
        return {name: math.exp(self._nats[name] / self._words[name]) for name in self._nats}


def _counted(counts: Counter[tuple[str, ...]]) -> _Order:
    totals, seen = Counter[tuple[str, ...]](), defaultdict[tuple[str, ...], list[int]](_none_yet)
    for ngram, count in counts.items():
        totals[ngram[:-1]] += count
        seen[ngram[:-1]][min(count, 3) - 1] += 1
    return _Order(counts, totals, seen, _discounts(Counter(counts.values())))


def _none_yet() -> list[int]:
    return [0, 0, 0]


def _discounts(times: Counter[int]) -> tuple[float, ...]:
    """D_1, D_2 and D_3 (equation 26); the usual ones where the estimate leaves none to others."""
    if not all(times[count] for count in (1, 2, 3, 4)):
        return USUAL_DISCOUNTS
    once = times[1] / (times[1] + 2 * times[2])
    found = tuple(n - (n + 1) * once * times[n + 1] / times[n] for n in (1, 2, 3))
    return found if all(0 < d < n for n, d in enumerate(found, 1)) else USUAL_DISCOUNTS
