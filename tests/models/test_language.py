"""What reads texts and writes them."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from aectl.models.language import LanguageModel, Reader, with_end

VOCABULARY = 40


def test_the_end_stands_behind_the_last_token():
    assert with_end(torch.tensor([[5, 6, 0], [5, 6, 7]])).tolist() == [[5, 6, 2, 0], [5, 6, 7, 2]]


def test_a_reader_is_a_bidirectional_gru_over_packed_texts():
    reader, lengths = Reader(5, 6), torch.tensor([7, 4, 1])
    peer = nn.GRU(5, 6, batch_first=True, bidirectional=True)
    peer.load_state_dict(
        {
            **reader.onwards.state_dict(),
            **{f"{n}_reverse": w for n, w in reader.backwards.state_dict().items()},
        }
    )
    torch.manual_seed(0)
    x = torch.randn(3, 7, 5)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    out, last = peer(packed)
    wanted = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0]
    states, ends = reader(x, lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(states[row, :length], wanted[row, :length])
    torch.testing.assert_close(ends, torch.cat([last[0], last[1]], 1))


def test_a_language_model_looks_at_the_tokens_before_alone():
    model = LanguageModel(VOCABULARY, 8, 16).eval()
    torch.manual_seed(0)
    x = torch.randint(3, VOCABULARY, (1, 7))
    changed = x.clone()
    changed[0, 4] = 3 + (x[0, 4] - 2) % (VOCABULARY - 3)
    same = (model.predict(x) == model.predict(changed)).all(2)[0]
    assert same.tolist() == [True] * 5 + [False] * 2


def test_the_likelihood_of_a_text_is_that_of_its_tokens_and_its_end_one_after_the_other():
    model = LanguageModel(VOCABULARY, 8, 16).eval()
    texts = [[5, 9, 30], [7], [4, 4, 4, 8, 11]]
    padded = torch.tensor([[*text, *[0] * (7 - len(text))] for text in texts])
    with torch.no_grad():
        found = model.nats(padded)
        for row, text in enumerate(texts):
            total = 0.0
            for place, token in enumerate([*text, 2]):
                logits = model.predict(torch.tensor([[*text[:place], token]]))[0, -1]
                weights = np.exp(logits.double().numpy())
                total -= math.log(weights[token] / weights.sum())
            assert found[row].item() == pytest.approx(total, rel=1e-5)
