"""ROUGE of our own beside that of the package rouge-score."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from aectl.inference.rouge import Stemmed, common_subsequence, rouge, rouge_l, rouge_words

PAIRS = [
    ("The cat sat on the mat.", "the cat, the mat"),
    ("a b c d", "d c b a"),
    ("It's 3.5 metres -- e-mail me", "its 3 5 metres e mail"),
    ("Caf\u00e9 au lait, na\u00efve \u0130stanbul", "cafe au lait na\u00efve istanbul"),
    ("same words", "same words"),
    ("nothing", "in common"),
    ("", "a text"),
    ("a text", ""),
    ('"', '"'),
    ("a a a b", "b a a"),
    ("The dying dogs were running to the happily published universities", "a dog ran and dies"),
    ("a b a b a", "a b c a b"),
]


@pytest.mark.parametrize(("reference", "text"), PAIRS)
def test_rouge_is_that_of_the_package(reference, text):
    wanted = RougeScorer(["rougeL"]).score(reference, text)
    found = rouge_l(rouge_words(reference), rouge_words(text))
    assert found == pytest.approx(wanted["rougeL"].fmeasure)


@pytest.mark.parametrize(("reference", "text"), PAIRS)
def test_rouge_of_stems_is_that_of_the_package(reference, text):
    names = ["rouge1", "rouge2", "rougeL"]
    wanted = RougeScorer(names, use_stemmer=True).score(reference, text)
    stemmed = Stemmed()
    found = rouge(stemmed.words(reference), stemmed.words(text))
    assert found == pytest.approx([wanted[name].fmeasure for name in names])


def test_the_longest_common_subsequence_of_long_texts_is_that_of_the_package():
    drawn, scorer = random.Random(0), RougeScorer(["rougeL"])
    for length in (1, 5, 64, 65, 150):
        one, other = (drawn.choices("abcdef", k=length + more) for more in (0, 7))
        wanted = scorer.score(" ".join(one), " ".join(other))["rougeL"].recall * len(one)
        assert common_subsequence(one, other) == round(wanted)
