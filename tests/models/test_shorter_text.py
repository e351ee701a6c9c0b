"""The text autoencoder whose code is a shorter text, by itself."""

import pytest
import torch
from test_text_autoencoder import network, tokens
from torch import nn

from aectl.models.language import lengths_of


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
    net = network("text", 10, ratio)
    shorter = net.encode(tokens(1, 10, (length,))).text
    assert lengths_of(shorter).tolist() == [slots]
    assert (shorter[shorter != 0] >= 3).all()


def test_a_slot_is_the_likeliest_token_by_the_text_around_it_and_the_slots_before_it():
    net, x = network("text"), tokens()
    encoder, weight = net.encoder, net.embedding.weight
    torch.nn.init.constant_(encoder.copy, 0.5)
    code = net.encode(x)
    before = torch.cat([weight[1].expand(3, 1, -1), net.embedding(code.text)[:, :-1]], 1)
    seen = encoder.reader(net.embedding(x), lengths_of(x))[0][:, ::2]
    peer = nn.GRU(before.shape[2] + seen.shape[2], 128, batch_first=True)
    peer.load_state_dict({f"{n}_l0": w for n, w in encoder.cell.state_dict().items()})
    states = peer(torch.cat([before, seen], 2))[0]
    predicted = encoder.choose(torch.cat([states, seen], 2)) + 0.5 * net.embedding(x)[:, ::2]
    logits = predicted @ weight.T + net.embedding.bias
    best, chosen = logits[..., 3:].log_softmax(2).max(2)
    there = torch.arange(4) < torch.tensor([4, 2, 1])[:, None]
    assert code.text.equal((chosen + 3) * there)
    torch.testing.assert_close(code.log_probabilities, (best * there).sum(1))
