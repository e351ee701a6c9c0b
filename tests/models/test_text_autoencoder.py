"""The text autoencoders."""

import numpy as np
import pytest
import torch
from torch import nn

from aectl.models.codes import Code
from aectl.models.language import lengths_of
from aectl.models.networks import ThroughText, ThroughVector
from aectl.models.text_autoencoder import drawn

VOCABULARY = 40


def tokens(count=3, length=7, lengths=(7, 4, 1)):
    generator = torch.Generator().manual_seed(1)
    made = torch.randint(3, VOCABULARY, (count, length), generator=generator)
    return made * (torch.arange(length) < torch.tensor(lengths)[:, None])


def network(kind, length=7, ratio=0.5):
    torch.manual_seed(0)
    if kind == "vector":
        return ThroughVector(VOCABULARY, length, 16, 8, Code("tanh")).eval()
    return ThroughText(VOCABULARY, length, 128, ratio, 1.0).eval()


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
        slots = code.lengths.max()
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


@pytest.mark.parametrize(
    ("length", "ratio", "slots"),
    [
        (1, 0.5, 1),
        (4, 0.5, 2),
        (7, 0.5, 4),
        (10, 0.3, 3),
        (10, 0.1, 1),
        (10, 0.7, 7),
        (9, 1.0, 9),
        (10, 1e-6, 1),
    ],
)
def test_a_shorter_text_has_its_part_of_the_tokens_rounded_up(length, ratio, slots):
    net = network("text", 10, ratio).train()
    shorter = net.encode(tokens(1, 10, (length,))).text
    assert lengths_of(shorter).tolist() == [slots]
    assert (shorter[shorter != 0] >= 3).all()


def test_at_first_a_slot_takes_one_of_the_tokens_that_it_stands_for():
    net, x = network("text"), tokens()
    assert net.encode(x).text[0].tolist() == x[0, ::2].tolist()


def test_a_drawn_choice_comes_as_often_as_its_softmax_says():
    torch.manual_seed(0)
    logits = torch.tensor([1.0, -0.5, 2.0, 0.0])
    count = 40_000
    found = drawn(logits.expand(count, 4), 0.7).mean(0)
    wanted = logits.softmax(0)
    spread = (wanted * (1 - wanted) / count).sqrt()
    assert ((found - wanted).abs() < 4 * spread).all()


def test_the_gradient_of_a_drawn_choice_is_that_of_the_softmax_with_the_same_noise():
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    weights, temperature = torch.randn(5, 4, dtype=torch.float64), 0.7

    def noise():
        torch.manual_seed(3)
        return -torch.empty(5, 4, dtype=torch.float64).exponential_().log()

    g = noise()
    torch.manual_seed(3)
    chosen = drawn(logits, temperature)
    assert chosen.detach().argmax(1).equal((logits + g).argmax(1))
    assert chosen.detach().sum(1).tolist() == [1.0] * 5
    (chosen * weights).sum().backward()

    def soft(x):
        return (((x + g) / temperature).softmax(1) * weights).sum().item()

    step = 1e-6
    for place in range(logits.numel()):
        moved = torch.zeros(logits.numel(), dtype=torch.float64)
        moved[place] = step
        moved = moved.view_as(logits)
        slope = (soft(logits.detach() + moved) - soft(logits.detach() - moved)) / (2 * step)
        assert logits.grad.flatten()[place].item() == pytest.approx(slope, abs=1e-7)


def test_the_language_model_of_a_text_autoencoder_judges_the_same_text_alike_in_training():
    net, x = network("text").train(), tokens()
    first, second = (net.language_model.predict(x) for _ in range(2))
    assert first.equal(second)
    assert not any(p.requires_grad for p in net.language_model.parameters())


def test_a_slot_is_drawn_by_its_token_the_text_around_it_and_the_slots_before_it():
    net, x = network("text").train(), tokens()
    encoder, weight = net.encoder, net.embedding.weight
    code = net.encode(x)
    before = torch.cat([weight[1].expand(3, 1, -1), (code.chosen @ weight)[:, :-1]], 1)
    seen = encoder.reader(net.embedding(x), lengths_of(x))[0][:, ::2]
    peer = nn.GRU(before.shape[2] + seen.shape[2], 128, batch_first=True)
    peer.load_state_dict({f"{n}_l0": w for n, w in encoder.cell.state_dict().items()})
    states = peer(torch.cat([before, seen], 2))[0]
    predicted = encoder.choose(torch.cat([states, seen], 2)) + 6 * net.embedding(x)[:, ::2]
    logits = predicted @ weight.T + net.embedding.bias
    wanted = logits[..., 3:].log_softmax(2)
    torch.testing.assert_close(code.log_probabilities[..., 3:], wanted, rtol=1e-4, atol=1e-4)
    assert (code.log_probabilities[..., :3] < -1000).all()
