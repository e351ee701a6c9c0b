"""The text autoencoders: through a vector, and through a shorter text."""

import math
from typing import NamedTuple, Self

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
    shifted,
    with_end,
)

COPY = 6.0
"""How strongly a slot takes one of its tokens at first: as the logit of its own vector."""

ROUNDING = 1e-4
"""What a product may lie above the whole number that it is."""

NEVER = -1e4
"""The logit of a token that is not to be drawn."""


class Bottleneck(NamedTuple):
    """The text that a text goes through: `chosen` has a 1 for the token of each slot, with the
    gradient of what it was drawn by, whose logarithm is `log_probabilities`; both (batch, slots,
    vocabulary). lengths: (batch,), the slots of each text.
    """

    chosen: Tensor
    log_probabilities: Tensor
    lengths: Tensor


class VectorEncoder(nn.Module):
    """preactivation = sum_t p_t * (W s_t) / sqrt(length) + b; of that, `code` makes the code.

    s_t is what the reader knows at token t, and p_t a vector that is learnt for each place, element
    by element: it binds the token to its place, so that both can be read off the sum (Gayler 1998,
    multiplicative binding). The last state of the reader would have to remember all of them.
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
        states = self.reader(self.embedding(tokens), lengths_of(tokens))[0]
        bound = F.linear(states, self.to_code.weight) * self.places[: tokens.shape[1]]
        total = (bound * (tokens != PAD)[..., None]).sum(1)
        return total / math.sqrt(len(self.places)) + self.to_code.bias

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> code (batch, code_size)."""
        code: Tensor = self.code(self.preactivation(tokens))
        return code


class TextEncoder(nn.Module):
    """Of every `1 / ratio` tokens one, any of the vocabulary: a text of slots, one drawn after the
    other.

    A slot looks at the token that it stands for, at what the reader knows of the whole text there,
    and through a GRU at the slots before it, so that it can go on from them as a language does
    (Baziotis et al. 2019, SEQ3, section 2.1). It begins by taking its token.
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
        seen, own = states[:, places], self.copy * embedded[:, places]
        before = self.embedding.weight[START].expand(len(tokens), -1)
        state = states.new_zeros(len(tokens), self.cell.hidden_size)
        chosen, log_probabilities = [], []
        for slot in range(len(places)):
            state = self.cell(torch.cat([before, seen[:, slot]], 1), state)
            known = torch.cat([state, seen[:, slot]], 1)
            logits = self._logits(self.choose(known) + own[:, slot])
            chosen.append(self._chosen(logits))
            log_probabilities.append(logits.log_softmax(1))
            before = chosen[-1] @ self.embedding.weight
        slots = (lengths * self.ratio - ROUNDING).ceil().long().clamp(min=1)
        return Bottleneck(torch.stack(chosen, 1), torch.stack(log_probabilities, 1), slots)

    def _logits(self, predicted: Tensor) -> Tensor:
        """Those of the tokens that stand for text: (batch, vocabulary)."""
        special = torch.arange(SPECIAL, device=predicted.device)
        return self.embedding.logits(predicted).index_fill(1, special, NEVER)

    def _chosen(self, logits: Tensor) -> Tensor:
        """A 1 for the token that is drawn or, in use, for the likeliest: (batch, vocabulary)."""
        if self.training:
            return drawn(logits, self.temperature)
        return F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)

    def _places(self, length: int, device: torch.device) -> Tensor:
        count = max(1, math.ceil(length * self.ratio - ROUNDING))
        return (torch.arange(count, device=device) / self.ratio).long().clamp(max=length - 1)


class ThroughVector(nn.Module):
    """A text autoencoder whose code is a vector.

    At each step the writer knows q_t * code, q_t a vector that is learnt for each place, element by
    element: what the encoder bound to a place is found there.
    """

    one_at_a_time = False
    """Whether it sees one input at a time at inference, as more would need much memory."""

    def __init__(
        self, vocabulary: int, length: int, units: int, code_size: int, code: Code
    ) -> None:
        super().__init__()
        self.length = length
        embedding = Embedding(vocabulary, _width(units))
        self.encoder = VectorEncoder(embedding, length, units, code_size, code)
        self.places = nn.Parameter(drawn_normal(length + 1, code_size))
        self.writer = Writer(embedding, code_size, units)

    @property
    def embedding(self) -> Embedding:
        """The vectors of all tokens."""
        return self.encoder.embedding

    @property
    def code_size(self) -> int:
        """The number of units of the code."""
        return self.encoder.code_size

    @property
    def active_above(self) -> float | None:
        """From which value on a unit of the code counts as active; None: wherever it is not 0."""
        return self.encoder.code.active_above

    def encode(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> code (batch, code_size)."""
        code: Tensor = self.encoder(tokens)
        return code

    def predict(self, code: Tensor, tokens: Tensor) -> Tensor:
        """Logits of each token, by the code and by those before it, and of the END: (batch, length
        + 1, vocabulary).
        """
        before = shifted(self.embedding(with_end(tokens)), self.embedding)
        logits: Tensor = self.writer(before, self._context(code, before.shape[1]), code)
        return logits

    def decode(self, code: Tensor) -> Tensor:
        """code (batch, code_size) -> the text it is decoded to, token by token, (batch, length)."""
        written = self.writer.greedy(self._context(code, self.length + 1), code)
        return written[:, : self.length]

    def _context(self, code: Tensor, steps: int) -> Tensor:
        return code[:, None] * self.places[:steps]


class ThroughText(nn.Module):
    """A text autoencoder whose code is a shorter text (after Baziotis et al. 2019, SEQ3).

    The writer knows, at each step, what is read of the shorter text in the slot that stands for the
    token. The language model, which knows nothing of the rest, says how likely such a text is.
    """

    one_at_a_time = False
    """Whether it sees one input at a time at inference, as more would need much memory."""

    def __init__(
        self, vocabulary: int, length: int, units: int, ratio: float, temperature: float
    ) -> None:
        super().__init__()
        self.length = length
        self.ratio = ratio
        self.encoder = TextEncoder(Embedding(vocabulary, _width(units)), units, ratio, temperature)
        self.reader = Reader(_width(units), units)
        self.writer = Writer(self.embedding, 2 * units, units)
        self.language_model = LanguageModel(vocabulary, _width(units), units)
        self.language_model.requires_grad_(False)

    @property
    def embedding(self) -> Embedding:
        """The vectors of all tokens."""
        return self.encoder.embedding

    def train(self, mode: bool = True) -> Self:
        """Training mode, in which the language model, too, passes a gradient on; but it sees all
        that it is given.
        """
        super().train(mode)
        self.language_model.dropout.eval()
        return self

    def encode(self, tokens: Tensor) -> Bottleneck:
        """tokens (batch, length) -> the shorter texts."""
        code: Bottleneck = self.encoder(tokens)
        return code

    def predict(self, code: Bottleneck, tokens: Tensor) -> Tensor:
        """Logits of each token, by the shorter text and by the tokens before it, and of the END:
        (batch, length + 1, vocabulary).
        """
        before = shifted(self.embedding(with_end(tokens)), self.embedding)
        logits: Tensor = self.writer(before, *self._context(code, before.shape[1]))
        return logits

    def decode(self, code: Bottleneck) -> Tensor:
        """The texts that shorter ones are decoded to, token by token: (batch, length)."""
        written = self.writer.greedy(*self._context(code, self.length + 1))
        return written[:, : self.length]

    def _context(self, code: Bottleneck, steps: int) -> tuple[Tensor, Tensor]:
        """What is known of the shorter texts at each step; nothing behind their end."""
        states, ends = self.reader(code.chosen @ self.embedding.weight, code.lengths)
        slots = torch.arange(states.shape[1], device=states.device)
        states = states * (slots < code.lengths[:, None])[..., None]
        nothing = states.new_zeros(len(states), 1, states.shape[2])
        of_step = (torch.arange(steps, device=states.device) * self.ratio).long()
        of_step = of_step.clamp(max=states.shape[1])
        return torch.cat([states, nothing], 1)[:, of_step], ends


def shorter_text(code: Bottleneck) -> Tensor:
    """The tokens of shorter texts: (batch, slots), PAD behind the end of each."""
    slots = torch.arange(code.chosen.shape[1], device=code.chosen.device)
    return code.chosen.argmax(2).masked_fill(slots >= code.lengths[:, None], PAD)


def _width(units: int) -> int:
    """The width of the vectors of tokens."""
    return max(1, units // 2)


def drawn(logits: Tensor, temperature: float) -> Tensor:
    """A 1 for a choice that is drawn by the softmax of the logits, (..., choices), else 0.

    Its gradient is that of softmax((logits + g) / temperature), g the Gumbel noise with which it
    was drawn (Jang et al. 2017, section 2.2, straight-through).
    """
    return F.gumbel_softmax(logits, temperature, hard=True)
