"""Text autoencoders: one whose code is a vector, and one whose code is a shorter text."""

import math
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import PAD, SPECIAL, START
from aectl.models.codes import Code
from aectl.models.language import (
    Embedding,
    LanguageModel,
    Reader,
    Writer,
    drawn_normal,
    lengths_of,
    shifted_right,
    with_end,
)

COPY = 6.0
"""Initial weight of a slot's own token in its logits, so that slots start by copying tokens."""

ROUNDING = 1e-4
"""Tolerance for a product that may exceed its exact whole number by rounding."""

NEVER = -1e4
"""The logit of tokens that must not be drawn."""


class Bottleneck(NamedTuple):
    """The shorter text of the bottleneck: `chosen`, one-hot tokens of each slot, with the gradient
    of the distribution that they were drawn from, and the `log_probabilities` of that distribution;
    both (batch, slots, vocabulary). lengths: (batch,), the number of slots of each text.
    """

    chosen: Tensor
    log_probabilities: Tensor
    lengths: Tensor

    @property
    def text(self) -> Tensor:
        """The tokens, (batch, slots), PAD after the end of each text."""
        slots = torch.arange(self.chosen.shape[1], device=self.chosen.device)
        return self.chosen.argmax(2).masked_fill(slots >= self.lengths[:, None], PAD)


class VectorEncoder(nn.Module):
    """preactivation = sum_t p_t * (W s_t) / sqrt(length) + b; code = `code`(preactivation).

    s_t is the state of the reader at token t, and p_t a learnt vector for each position, multiplied
    element by element: it binds the token to its position, so that both can be recovered from the
    sum (Gayler 1998, multiplicative binding). The last state of the reader alone would have to
    represent all tokens.
    """

    def __init__(
        self, embedding: Embedding, length: int, units: int, code_size: int, code: Code
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.reader = Reader(embedding.weight.shape[1], units)
        self.to_code = nn.Linear(2 * units, code_size)
        self.places = nn.Parameter(drawn_normal(length, code_size))
        self.code = code
        self.code_size = code_size

    def preactivation(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> (batch, code_size), before the activation."""
        return self.bound(tokens).sum(1) / math.sqrt(len(self.places)) + self.to_code.bias

    def bound(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> what each of them adds to the sum: (batch, length,
        code_size).
        """
        states = self.reader(self.embedding(tokens), lengths_of(tokens))[0]
        bound = F.linear(states, self.to_code.weight) * self.places[: tokens.shape[1]]
        return bound * (tokens != PAD)[..., None]

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> code (batch, code_size)."""
        code: Tensor = self.code(self.preactivation(tokens))
        return code


class TextEncoder(nn.Module):
    """Writes a shorter text of slots, one per `1 / ratio` tokens, drawn one after the other from
    the whole vocabulary.

    The inputs of a slot are its own token, the state of the reader there and, through a GRU, the
    slots before it, so that the slots can form a fluent text (Baziotis et al. 2019, SEQ3, section
    2.1). It is initialised to copy its token.
    """

    def __init__(self, embedding: Embedding, units: int, ratio: float, temperature: float) -> None:
        super().__init__()
        width = embedding.weight.shape[1]
        self.embedding = embedding
        self.reader = Reader(width, units)
        self.cell = nn.GRUCell(width + 2 * units, units)
        self.choose = nn.Linear(3 * units, width)
        self.copy = nn.Parameter(torch.tensor(COPY))
        self.ratio, self.temperature = ratio, temperature

    def forward(self, tokens: Tensor) -> Bottleneck:
        """tokens (batch, length) -> the slots of each text."""
        lengths = lengths_of(tokens)
        embedded = self.embedding(tokens)
        states = self.reader(embedded, lengths)[0]
        places = self._places(tokens.shape[1], tokens.device)
        read, own = states[:, places], self.copy * embedded[:, places]
        before = self.embedding.weight[START].expand(len(tokens), -1)
        state = states.new_zeros(len(tokens), self.cell.hidden_size)
        chosen, log_probabilities = [], []
        for slot in range(len(places)):
            state = self.cell(torch.cat([before, read[:, slot]], 1), state)
            known = torch.cat([state, read[:, slot]], 1)
            logits = self._logits(self.choose(known) + own[:, slot])
            chosen.append(self._chosen(logits))
            log_probabilities.append(logits.log_softmax(1))
            before = chosen[-1] @ self.embedding.weight
        slots = (lengths * self.ratio - ROUNDING).ceil().long().clamp(min=1)
        return Bottleneck(torch.stack(chosen, 1), torch.stack(log_probabilities, 1), slots)

    def _logits(self, predicted: Tensor) -> Tensor:
        """Logits in which special tokens are never drawn: (batch, vocabulary)."""
        special = torch.arange(SPECIAL, device=predicted.device)
        return self.embedding.logits(predicted).index_fill(1, special, NEVER)

    def _chosen(self, logits: Tensor) -> Tensor:
        """One-hot: the drawn token or, at inference, the most probable: (batch, vocabulary)."""
        if self.training:
            return drawn(logits, self.temperature)
        return F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)

    def _places(self, length: int, device: torch.device) -> Tensor:
        count = max(1, math.ceil(length * self.ratio - ROUNDING))
        return (torch.arange(count, device=device) / self.ratio).long().clamp(max=length - 1)


class TextAutoencoder(nn.Module):
    """An encoder of text, which holds the vectors of all tokens, and whatever decodes its code."""

    encoder: Any

    one_at_a_time = False
    """Whether inputs are processed one by one at inference, because more would need much memory."""

    @property
    def embedding(self) -> Embedding:
        """The vectors of all tokens."""
        embedding: Embedding = self.encoder.embedding
        return embedding

    def before(self, tokens: Tensor) -> Tensor:
        """The vectors of the tokens before each of a text and before its END, for tokens (batch,
        length): (batch, length + 1, width).
        """
        return shifted_right(self.embedding(with_end(tokens)), self.embedding)


class ThroughVector(TextAutoencoder):
    """A text autoencoder whose code is a vector.

    The context of the writer at step t is q_t * code, q_t a learnt vector for each position,
    multiplied element by element: it recovers what the encoder bound to that position.
    """

    encoder: VectorEncoder

    def __init__(
        self, vocabulary: int, length: int, units: int, code_size: int, code: Code
    ) -> None:
        super().__init__()
        self.length = length
        embedding = Embedding(vocabulary, width_of(units))
        self.encoder = VectorEncoder(embedding, length, units, code_size, code)
        self.places = nn.Parameter(drawn_normal(length + 1, code_size))
        self.writer = Writer(embedding, code_size, units)

    @property
    def code_size(self) -> int:
        """The number of units of the code."""
        return self.encoder.code_size

    @property
    def active_above(self) -> float | None:
        """The value above which a unit of the code is active; None: if it is not 0."""
        return self.encoder.code.active_above

    def encode(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> code (batch, code_size)."""
        code: Tensor = self.encoder(tokens)
        return code

    def predict(self, code: Tensor, tokens: Tensor) -> Tensor:
        """Logits of each token and of the END, given the code and the tokens before it: (batch,
        length + 1, vocabulary).
        """
        before = self.before(tokens)
        logits: Tensor = self.writer(before, self._context(code, before.shape[1]), code)
        return logits

    def decode(self, code: Tensor) -> Tensor:
        """code (batch, code_size) -> decoded text, token by token, (batch, length)."""
        written = self.writer.greedy(self._context(code, self.length + 1), code)
        return written[:, : self.length]

    def _context(self, code: Tensor, steps: int) -> Tensor:
        return code[:, None] * self.places[:steps]


class Rated(TextAutoencoder):
    """One whose code is a shorter text, which a language model rates that is
    independent of the rest.
    """

    language_model: LanguageModel

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, in which the language model passes gradients on, without dropout."""
        super().train(mode)
        self.language_model.dropout.eval()
        return self


class ThroughText(Rated):
    """One whose code is a shorter text of any tokens (after Baziotis et al. 2019, SEQ3).

    The context of the writer at each step is the state of a reader of the shorter text at the slot
    of the token.
    """

    def __init__(
        self, vocabulary: int, length: int, units: int, ratio: float, temperature: float
    ) -> None:
        super().__init__()
        self.length = length
        self.ratio = ratio
        self.encoder = TextEncoder(
            Embedding(vocabulary, width_of(units)), units, ratio, temperature
        )
        self.reader = Reader(width_of(units), units)
        self.writer = Writer(self.embedding, 2 * units, units)
        self.language_model = LanguageModel(vocabulary, width_of(units), units)
        self.language_model.requires_grad_(False)

    def encode(self, tokens: Tensor) -> Bottleneck:
        """tokens (batch, length) -> the shorter texts."""
        code: Bottleneck = self.encoder(tokens)
        return code

    def predict(self, code: Bottleneck, tokens: Tensor) -> Tensor:
        """Logits of each token and of the END, given the shorter text and the tokens before it:
        (batch, length + 1, vocabulary).
        """
        before = self.before(tokens)
        logits: Tensor = self.writer(before, *self._context(code, before.shape[1]))
        return logits

    def likely(self, code: Bottleneck) -> Tensor:
        """Logits of the language model for the shorter texts: (batch, slots, vocabulary)."""
        rated: Tensor = self.language_model(code.chosen)
        return rated

    def decode(self, code: Bottleneck) -> Tensor:
        """Decodes shorter texts, token by token: (batch, length)."""
        written = self.writer.greedy(*self._context(code, self.length + 1))
        return written[:, : self.length]

    def _context(self, code: Bottleneck, steps: int) -> tuple[Tensor, Tensor]:
        """The context at each step from the shorter texts, zeros after their end; and the start."""
        states, ends = self.reader(code.chosen @ self.embedding.weight, code.lengths)
        slots = torch.arange(states.shape[1], device=states.device)
        states = states * (slots < code.lengths[:, None])[..., None]
        nothing = states.new_zeros(len(states), 1, states.shape[2])
        of_step = (torch.arange(steps, device=states.device) * self.ratio).long()
        of_step = of_step.clamp(max=states.shape[1])
        return torch.cat([states, nothing], 1)[:, of_step], ends


def width_of(units: int) -> int:
    """The width of the vectors of tokens."""
    return max(1, units // 2)


def drawn(logits: Tensor, temperature: float) -> Tensor:
    """One-hot vectors drawn from the softmax of the logits, (..., choices).

    Their gradient is that of softmax((logits + g) / temperature), g the Gumbel noise of the draw
    (Jang et al. 2017, section 2.2, straight-through).
    """
    return F.gumbel_softmax(logits, temperature, hard=True)
