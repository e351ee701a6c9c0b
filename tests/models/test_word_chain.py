"""The chain over kept words, against the enumeration of all choices."""

import itertools
import math

import pytest
import torch

from aectl.models import word_chain
from aectl.models.word_chain import Links, WordLinks

WORDS, COUNTS, KEPT = 7, (7, 5, 3), (3, 2, 3)
THERE = torch.arange(WORDS) < torch.tensor(COUNTS)[:, None]


@pytest.fixture
def links():
    torch.manual_seed(0)
    scores = WordLinks(6, 4, WORDS)
    for parameter in scores.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        return scores(torch.randn(3, WORDS, 6), THERE)


def every_choice(text):
    """All choices of as many words as are kept of a text, as rows of a mask."""
    choices = list(itertools.combinations(range(COUNTS[text]), KEPT[text]))
    kept = torch.zeros(len(choices), WORDS, dtype=torch.bool)
    for row, choice in zip(kept, choices, strict=True):
        row[list(choice)] = True
    return kept


def score(links, text, kept):
    """The score of a choice, link by link."""
    before, total = 0, 0.0
    for word in kept.nonzero().flatten().tolist():
        total += links.onwards[text, before, word].item()
        before = word + 1
    return total + links.ends[text, before - 1].item()


def of_text(links, text, count):
    return Links(*(one[text : text + 1].expand(count, *one.shape[1:]) for one in links))


@pytest.mark.parametrize("text", range(3))
def test_probabilities_are_those_of_all_choices_of_as_many_words(links, text):
    kept = every_choice(text)
    alone = of_text(links, text, len(kept))
    found = word_chain.log_probability(alone, word_chain.totals(alone, 4), kept)
    weights = [math.exp(score(links, text, row)) for row in kept]
    wanted = [weight / sum(weights) for weight in weights]
    assert found.exp().tolist() == pytest.approx(wanted, rel=1e-4)


def test_the_best_choice_has_the_highest_score_of_all(links):
    found = word_chain.best(links, torch.tensor(KEPT), 4)
    for text in range(3):
        kept = every_choice(text)
        wanted = max(kept, key=lambda row: score(links, text, row))
        assert found[text].equal(wanted)


def test_choices_are_drawn_as_often_as_they_are_probable(links):
    torch.manual_seed(1)
    draws, kept = 20_000, every_choice(0)
    many = of_text(links, 0, draws)
    drawn = word_chain.drawn(many, word_chain.totals(many, 3), torch.full((draws,), KEPT[0]))
    often = (drawn[:, None] == kept).all(2).float().mean(0)
    alone = of_text(links, 0, len(kept))
    probable = word_chain.log_probability(alone, word_chain.totals(alone, 3), kept).exp()
    assert often.sum() == pytest.approx(1)
    assert (often - probable).abs().max() < 5 * math.sqrt(0.25 / draws)


def test_the_gap_between_two_kept_words_counts_the_words_left_out():
    scores = WordLinks(6, 4, WORDS)
    with torch.no_grad():
        for parameter in scores.parameters():
            parameter.zero_()
        scores.skips.copy_(torch.arange(WORDS))
        links = scores(torch.randn(1, WORDS, 6), torch.ones(1, WORDS, dtype=torch.bool))
    assert links.onwards[0, 0].tolist() == list(range(WORDS))  # before the first word
    assert links.onwards[0, 2, 2:].tolist() == [0, 1, 2, 3, 4]
    assert (links.onwards[0, 2, :2] < -1e8).all()
