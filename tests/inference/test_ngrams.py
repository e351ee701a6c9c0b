"""The n-gram model: probabilities by hand, by a plain reading of the equations, and their sums."""

import math
from itertools import pairwise

import pytest

from aectl.inference.ngrams import END, NgramModel, words_of

TEXTS = [
    "a dog runs .", "a dog sits .", "a cat sits .", "a cat runs on grass .", "a dog .", "a cat .",
    "the dog runs on grass .", "the man sits on a bench .", "a man on a bench sits .",
    "the man runs .",
]  # fmt: skip


def by_the_book(texts: list[str], history: str, word: str) -> float:
    """A bigram's probability, read off equations 26 to 28, with lists in place of counters."""
    all_words = [w for text in texts for w in text.split()]
    known = {w for w in all_words if all_words.count(w) > 1}
    lines = [
        ["<s>", *(w if w in known else "<unk>" for w in text.split()), "</s>"] for text in texts
    ]
    pairs = [pair for line in lines for pair in pairwise(line)]
    kinds = sorted(set(pairs))

    def discounts(counts: list[int]) -> list[float]:
        n1, n2, n3, n4 = (counts.count(i) for i in (1, 2, 3, 4))
        if 0 in (n1, n2, n3, n4):
            return [0, 0.5, 1, 1.5]
        y = n1 / (n1 + 2 * n2)
        return [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]

    of_pairs = discounts([pairs.count(kind) for kind in kinds])
    before = {w: sum(1 for kind in kinds if kind[1] == w) for w in {b for _, b in kinds}}
    of_words = discounts(list(before.values()))
    free = sum(of_words[min(n, 3)] for n in before.values()) / len(kinds)
    times = before.get(word, 0)
    single = max(times - of_words[min(times, 3)], 0) / len(kinds) + free / (len(known) + 2)
    after = [pairs.count(kind) for kind in kinds if kind[0] == history]
    freed = sum(of_pairs[min(n, 3)] for n in after) / sum(after)
    times = pairs.count((history, word))
    return max(times - of_pairs[min(times, 3)], 0) / sum(after) + freed * single


@pytest.mark.parametrize(
    ("history", "word"),
    [("a", "dog"), ("a", "bench"), ("dog", "runs"), ("dog", "grass"), ("<s>", "the"), (".", END)],
)
def test_a_bigram_has_the_probability_of_the_equations(history: str, word: str) -> None:
    model = NgramModel(TEXTS, order=2)
    assert model.probability(history, word) == pytest.approx(by_the_book(TEXTS, history, word))


def test_a_single_word_is_counted_by_the_words_before_it() -> None:
    """A word that always follows the same one, as "francisco" does, is unlikely elsewhere."""
    texts = ["in san francisco ."] * 9 + ["a glass of milk .", "the milk .", "my milk ."] * 2
    model = NgramModel(texts, order=2)
    assert model.probability("francisco") < model.probability("milk")
    assert model.probability("san", "francisco") > 0.8


@pytest.mark.parametrize("history", [(), ("a",), ("a", "dog"), ("dog", "a"), ("zebra", "dog")])
def test_probabilities_after_any_history_sum_to_one(history: tuple[str, ...]) -> None:
    model = NgramModel(TEXTS)
    words = {w for text in TEXTS for w in text.split() if sum(w in t.split() for t in TEXTS) > 1}
    total = sum(model.probability(*history, word) for word in [*words, "<unk>", END])
    assert total == pytest.approx(1)


def test_a_text_has_the_product_of_its_probabilities() -> None:
    model = NgramModel(TEXTS)
    words = ["a", "dog", "zebra"]
    grams = [("<s>", "<s>", "a"), ("<s>", "a", "dog"), ("a", "dog", "<unk>"), ("dog", "<unk>", END)]
    product = math.prod(model.probability(*gram) for gram in grams)
    assert math.exp(-model.nats(words)) == pytest.approx(product)


def test_shuffled_words_are_less_likely_than_sentences() -> None:
    model = NgramModel(TEXTS)
    assert model.nats(words_of("a cat runs on a bench.")) < model.nats(
        words_of("on a. runs bench a cat")
    )


def test_words_are_split_at_spaces_and_punctuation() -> None:
    assert words_of("A man's T-shirt, (too) big!") == [
        "A", "man's", "T-shirt", ",", "(", "too", ")", "big", "!",
    ]  # fmt: skip


def test_no_word_is_impossible_however_regular_the_texts():
    """Of these, the estimate of a discount is less than 0."""
    who = ("the cat", "a dog", "the old man", "she", "he")
    does = ("sat on", "looked at", "ate", "liked")
    what = ("the mat .", "a fish .", "the sea .", "an apple .", "it .")
    texts = [f"{a} {b} {c}" for a in who for b in does for c in what]
    model = NgramModel([*texts[::2], *texts[1::3]])
    assert math.isfinite(model.nats(words_of("zebra sea sat a mat . apple she looked")))
