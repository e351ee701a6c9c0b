"""A text autoencoder whose code is a shorter text of any tokens, which aectl 0.2.0 could train.

Only what inference needs is left.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aectl.config.shapes import PAD, SPECIAL, START
from aectl.models.language import Embedding, LanguageModel, Reader, Writer, lengths_of
from aectl.models.text_autoencoder import ROUNDING, TextAutoencoder, width_of

NEVER = -1e4
"""The logit of tokens that are never chosen."""


class ShorterText(NamedTuple):
    """text: the tokens, (batch, slots), PAD after the end of each text; log_probabilities: those of
    the tokens, given the ones before, summed, (batch,).
    """

    text: Tensor
    log_probabilities: Tensor


class TextEncoder(nn.Module):
    """Writes a shorter text of slots, one per `1 / ratio` tokens, each the most probable token of
    the whole vocabulary.

    The inputs of a slot are its own token, the state of the reader there and, through a GRU, the
    slots before it (Baziotis et al. 2019, SEQ3, section 2.1).
    """

    def __init__(self, embedding: Embedding, units: int, ratio: float) -> None:
        super().__init__()
        width = embedding.weight.shape[1]
        self.embedding = embedding
        self.reader = Reader(width, units)
        self.cell = nn.GRUCell(width + 2 * units, units)
        self.choose = nn.Linear(3 * units, width)
        self.copy = nn.Parameter(torch.zeros(()))
        self.ratio = ratio

    def forward(self, tokens: Tensor) -> ShorterText:
        """tokens (batch, length) -> the shorter texts."""
        lengths = lengths_of(tokens)
        embedded = self.embedding(tokens)
        states = self.reader(embedded, lengths)[0]
        places = self._places(tokens.shape[1], tokens.device)
        read, own = states[:, places], self.copy * embedded[:, places]
        before = self.embedding.weight[START].expand(tokens.shape[0], -1)
        state = states.new_zeros(tokens.shape[0], self.cell.hidden_size)
        text, log_probabilities = [], []
        for slot in range(len(places)):
            state = self.cell(torch.cat([before, read[:, slot]], 1), state)
            known = torch.cat([state, read[:, slot]], 1)
            logits = self._logits(self.choose(known) + own[:, slot])
            text.append(logits.argmax(1))
            log_probabilities.append(logits.log_softmax(1).amax(1))
            before = self.embedding(text[-1])
        slots = (lengths * self.ratio - ROUNDING).ceil().long().clamp(min=1)
        beyond = torch.arange(len(places), device=tokens.device) >= slots[:, None]
        return ShorterText(
            torch.stack(text, 1).masked_fill(beyond, PAD),
            torch.stack(log_probabilities, 1).masked_fill(beyond, 0).sum(1),
        )

    def _logits(self, predicted: Tensor) -> Tensor:
        """Logits in which special tokens are never chosen: (batch, vocabulary)."""
        special = torch.arange(SPECIAL, device=predicted.device)
        return self.embedding.logits(predicted).index_fill(1, special, NEVER)

    def _places(self, length: int, device: torch.device) -> Tensor:
        count = max(1, math.ceil(length * self.ratio - ROUNDING))
        return (torch.arange(count, device=device) / self.ratio).long().clamp(max=length - 1)


class ThroughText(TextAutoencoder):
    """One whose code is a shorter text of any tokens (after Baziotis et al. 2019, SEQ3).

    The context of the writer at each step is the state of a reader of the shorter text at the slot
    of the token.
    """

    def __init__(self, vocabulary: int, length: int, units: int, ratio: float) -> None:
        super().__init__()
        self.length = length
        self.ratio = ratio
        width = width_of(units)
        self.encoder = TextEncoder(Embedding(vocabulary, width), units, ratio)
        self.reader = Reader(width, units)
        self.writer = Writer(self.embedding, 2 * units, units)
        self.language_model = LanguageModel(vocabulary, width, units)

    def encode(self, tokens: Tensor) -> ShorterText:
        """tokens (batch, length) -> the shorter texts."""
        code: ShorterText = self.encoder(tokens)
        return code

    def predict(self, code: ShorterText, tokens: Tensor) -> Tensor:
        """Logits of each token and of the END, given the shorter text and the tokens before it:
        (batch, length + 1, vocabulary).
        """
        before = self.before(tokens)
        logits: Tensor = self.writer(before, *self._context(code, before.shape[1]))
        return logits

    def decode(self, code: ShorterText) -> Tensor:
        """Decodes shorter texts, token by token: (batch, length)."""
        written = self.writer.greedy(*self._context(code, self.length + 1))
        return written[:, : self.length]

    def _context(self, code: ShorterText, steps: int) -> tuple[Tensor, Tensor]:
        """The context at each step from the shorter texts, zeros after their end; and the start."""
        states, ends = self.reader(self.embedding(code.text), lengths_of(code.text))
        states = states * (code.text != PAD)[..., None]
        nothing = states.new_zeros(states.shape[0], 1, states.shape[2])
        of_step = (torch.arange(steps, device=states.device) * self.ratio).long()
        of_step = of_step.clamp(max=states.shape[1])
        return torch.cat([states, nothing], 1)[:, of_step], ends
