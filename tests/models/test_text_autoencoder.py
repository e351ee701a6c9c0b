"""The text autoencoders."""

import numpy as np
import pytest
import torch
from torch import nn

from aectl.models.codes import Code
from aectl.models.language import lengths_of
from aectl.models.networks import ThroughText, ThroughVector

VOCABULARY = 40


def tokens(count=3, length=7, lengths=(7, 4, 1)):
    generator = torch.Generator().manual_seed(1)
    made = torch.randint(3, VOCABULARY, (count, length), generator=generator)
    return made * (torch.arange(length) < torch.tensor(lengths)[:, None])


def network(kind, length=7, ratio=0.5):
    torch.manual_seed(0)
    if kind == "vector":
        return ThroughVector(VOCABULARY, length, 16, 8, Code("tanh")).eval()
    return ThroughText(VOCABULARY, length, 128, ratio).eval()


def test_a_code_is_the_sum_of_what_is_known_of_each_token_bound_to_its_place():
    net, x, lengths = network("vector"), tokens(), (7, 4, 1)
    encoder = net.encoder
    states = encoder.reader(net.embedding(x), torch.tensor(lengths))[0].detach().double().numpy()
    weight, bias = (p.detach().double().numpy() for p in encoder.to_code.parameters())
    places = encoder.places.detach().double().numpy()
    for row, length in enumerate(lengths):
        bound = [places[t] * (weight @ states[row, t]) for t in range(length)]
        wanted = np.tanh(np.sum(bound, axis=0) / 7**0.5 + bias)
        np.testing.assert_allclose(net.encode(x)[row].detach().numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("kind", ["vector", "text"])
def test_padding_changes_neither_code_nor_logits(kind):
    net, x = network(kind, 12), tokens()
    padded = nn.functional.pad(x, (0, 5))
    code, same = net.encode(x), net.encode(padded)
    if kind == "vector":
        torch.testing.assert_close(code, same)
    else:
        slots = lengths_of(code.text).max()
        assert same.text[:, :slots].equal(code.text[:, :slots])
        assert (same.text[:, slots:] == 0).all()
    logits, others = net.predict(code, x), net.predict(same, padded)
    for row, length in enumerate(lengths_of(x)):
        torch.testing.assert_close(logits[row, : length + 1], others[row, : length + 1])


@pytest.mark.parametrize("kind", ["vector", "text"])
def test_the_code_of_a_text_does_not_depend_on_those_beside_it(kind):
    net, x = network(kind), tokens()
    alone = net.encode(x[1:2])
    together = net.encode(x)
    if kind == "vector":
        torch.testing.assert_close(alone[0], together[1])
    else:
        assert alone.text[0].equal(together.text[1])


@pytest.mark.parametrize("kind", ["vector", "text"])
def test_what_is_written_is_the_likeliest_token_each_time(kind):
    net, x = network(kind), tokens()
    with torch.no_grad():
        net.embedding.bias[2] = -100  # it never ends, so that every place is written
        code = net.encode(x)
        written = net.decode(code)
        logits = net.predict(code, written)[:, :-1]
    logits[..., :2] = -torch.inf
    assert written.equal(logits.argmax(2))


def test_nothing_is_written_behind_the_end():
    net = network("vector")
    with torch.no_grad():
        net.embedding.bias[2] = 100
    assert (net.decode(net.encode(tokens())) == 0).all()
