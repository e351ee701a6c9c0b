"""The text autoencoder that keeps words, with a vocabulary of its own."""

import math

import pytest
import torch
from torch import nn

from aectl.config.shapes import PAD
from aectl.models.vocabulary import Vocabulary
from aectl.models.word_choice import CHOICES
from aectl.models.words_autoencoder import ThroughWords

LINES = [
    "two young women sit beside an extraordinary fountain.", "a man runs", "Überraschung!", "x",
    "a dog, two cats and a man run", "one two three four five six seven eight nine ten",
]  # fmt: skip
LENGTH = 60
VOCABULARY = Vocabulary.learnt(["a man and two women run and sit"] * 9, 275)


def network(ratio=0.5, choice="learnt", words=None):
    torch.manual_seed(0)
    made = ThroughWords(len(VOCABULARY), LENGTH, 16, choice, ratio, words)
    made.split_words(VOCABULARY)
    return made.eval()


def tokens(lines=LINES):
    rows = list(VOCABULARY.encode(lines))
    return torch.tensor([[*row, *[PAD] * (LENGTH - len(row))] for row in rows])


def shorter(code):
    return [VOCABULARY.decode(row) for row in code.text.tolist()]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.5, 1.0])
def test_the_code_has_whole_words_of_the_text_in_their_order(ratio, training, choice):
    with torch.no_grad():
        found = shorter(network(ratio, choice).train(training).encode(tokens()))
    for line, text in zip(LINES, found, strict=True):
        left = iter(line.split())
        assert all(word in left for word in text.split())  # each behind the one before
        assert len(text.split()) == max(1, math.ceil(ratio * len(line.split())))


def test_all_words_are_kept_with_a_ratio_of_one():
    assert shorter(network(1.0).encode(tokens())) == LINES


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("words", [1, 4, 60])
def test_a_number_of_words_can_be_kept_instead_of_a_fraction(words, choice):
    found = shorter(network(choice=choice, words=words).encode(tokens()))
    counts = [len(text.split()) for text in found]
    assert counts == [min(words, len(line.split())) for line in LINES]


def test_the_first_words_are_kept():
    found = shorter(network(choice="first", words=3).encode(tokens()))
    assert found == [" ".join(line.split()[:3]) for line in LINES]


def test_other_words_are_drawn_each_time_in_training():
    net, x = network().train(), tokens(LINES[-1:])
    assert len({shorter(net.encode(x))[0] for _ in range(20)}) > 5
    net.eval()
    assert len({shorter(net.encode(x))[0] for _ in range(20)}) == 1


def test_neither_padding_nor_other_texts_change_code_and_logits():
    net, x = network(), tokens()
    code = net.encode(x)
    alone = net.encode(x[:1])
    assert shorter(alone) == shorter(code)[:1]
    torch.testing.assert_close(alone.log_probabilities[0], code.log_probabilities[0])
    net = network()
    net.choice.links.skips = nn.Parameter(torch.zeros(LENGTH + 5))
    longer = net.encode(nn.functional.pad(x, (0, 5)))
    assert longer.text.equal(code.text)
    logits = net.predict(code, x)
    more = net.predict(longer, nn.functional.pad(x, (0, 5)))
    torch.testing.assert_close(more[:, : LENGTH + 1], logits)


def test_the_decoder_knows_the_text_by_the_kept_words_alone():
    net, x = network(), tokens()
    code = net.encode(x)
    other = x.roll(1, 0)
    logits = net.predict(code, x)[:, 0]
    assert net.predict(code, other)[:, 0].equal(logits)
    changed = code._replace(text=code.text.roll(1, 0))
    assert not net.predict(changed, x)[:, 0].allclose(logits)


def test_the_language_model_rates_the_same_text_alike_in_training():
    net, x = network().train(), tokens()
    first, second = (net.language_model.nats(x) for _ in range(2))
    assert first.equal(second)
    assert not any(p.requires_grad for p in net.language_model.parameters())
