"""The decoder that inserts tokens between those of a shorter text, against plain loops."""

import math

import pytest
import torch
from torch import nn

from aectl.config.shapes import END, START
from aectl.models.networks import ThroughWords

VOCABULARY, LENGTH, UNITS = 12, 9, 8
TEXTS = [[4, 5, 6, 7, 8, 4, 9], [5], [11, 11, 3], [3, 4, 5, 6, 7, 8, 9, 10, 11]]


@pytest.fixture
def net():
    torch.manual_seed(0)
    made = ThroughWords(VOCABULARY, LENGTH, UNITS).eval()
    for parameter in made.writer.parameters():
        nn.init.normal_(parameter, std=0.6)
    return made


def padded(texts=TEXTS):
    return torch.tensor([[*text, *[0] * (LENGTH - len(text))] for text in texts])


class Loop:
    """The decoder for one shorter text, a step at a time."""

    def __init__(self, net, shorter):
        self.net, self.tokens, self.done = net, shorter, 0
        writer = net.writer
        states, ends = writer.reader(
            net.embedding(torch.tensor([shorter])), torch.tensor([len(shorter)])
        )
        self.states = [*states[0], torch.zeros(2 * UNITS)]
        self.state = writer.begin(ends).tanh()[None]

    def step(self, before):
        """The probability of copying, and those of all tokens to insert."""
        vector = torch.cat([self.net.embedding.weight[before], self.states[self.done]])
        out, self.state = self.net.writer.gru(vector[None, None], self.state)
        known = torch.cat([out[0, 0], self.states[self.done]])
        left = self.done < len(self.tokens)
        copying = torch.sigmoid(self.net.writer.copy(known)).item() if left else 0.0
        return copying, self.net.writer.inserted(known).softmax(0)


@torch.no_grad()
def test_the_likelihood_of_a_text_is_that_of_copying_what_is_kept_and_inserting_the_rest(net):
    code = net.encode(padded())
    found, predicted = net.nats(code, padded()), net.predict(code, padded())
    for row, text in enumerate(TEXTS):
        kept = code.kept[row, : len(text)].tolist()
        loop = Loop(net, [token for token, is_kept in zip(text, kept, strict=True) if is_kept])
        before, nats = START, 0.0
        for place, (token, is_kept) in enumerate(zip([*text, END], [*kept, False], strict=True)):
            copying, inserted = loop.step(before)
            nats -= math.log(copying if is_kept else (1 - copying) * inserted[token].item())
            both = (1 - copying) * inserted
            if loop.done < len(loop.tokens):
                both[loop.tokens[loop.done]] += copying
            torch.testing.assert_close(predicted[row, place].exp(), both, rtol=1e-4, atol=1e-6)
            before, loop.done = token, loop.done + is_kept
        assert found[row].item() == pytest.approx(nats, rel=1e-4)


@torch.no_grad()
def test_at_each_step_the_more_probable_of_copying_and_inserting_is_written(net):
    net.embedding.bias[END] = 2.0
    net.writer.copy.bias += 1.0  # so that some texts end early
    code = net.encode(padded())
    written = net.decode(code)
    for row in range(len(TEXTS)):
        shorter = [token for token in code.text[row].tolist() if token]
        loop, before, wanted = Loop(net, shorter), START, []
        while len(wanted) < LENGTH:
            copying, inserted = loop.step(before)
            left = len(shorter) - loop.done
            inserted[:END] = 0
            if left:
                inserted[END] = 0
            must = left == LENGTH - len(wanted)
            copied = left and (copying > 0.5 or must)
            before = shorter[loop.done] if copied else inserted.argmax().item()
            if before == END:
                break
            loop.done += bool(copied)
            wanted.append(before)
        assert written[row].tolist() == [*wanted, *[0] * (LENGTH - len(wanted))]
    assert 0 < (written == 0).sum() < written.numel() / 2


@torch.no_grad()
@pytest.mark.parametrize("bias", [-9.0, 0.0, 9.0])
def test_what_is_written_has_all_tokens_of_the_shorter_text_in_their_order(net, bias):
    nn.init.constant_(net.writer.copy.bias, bias)
    code = net.encode(padded())
    for shorter, written in zip(code.text.tolist(), net.decode(code).tolist(), strict=True):
        left = iter(written)
        assert all(token in left for token in shorter if token)
