"""The training text of a text autoencoder, as tokens in memory."""

import dataclasses
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aectl.config.shapes import PAD
from aectl.inference.metrics import BASELINES
from aectl.models.placing import placed
from aectl.objectives.step import Batch
from aectl.training import distributed
from aectl.training.loop import CPU

WINDOW = 32
"""Batches whose lines are ordered by length among themselves, so that batches have little padding
and are still random."""


@dataclass(frozen=True)
class TokenSet:
    """Pieces of lines, of at most `length` tokens each, whose batches are made on `device`.

    A longer line has as many pieces as are needed to cover it. In training they begin
    anywhere in it, each time anew; measured, they stand one behind the other.

    tokens: all lines, one behind the other, int32; starts, sizes, labels: (lines,), where each
    begins, its number of tokens, and its class, if it has one; rows: (m, 2), of each piece the
    index of its line, and its own index in the line.
    """

    tokens: Tensor
    starts: Tensor
    sizes: Tensor
    rows: Tensor
    length: int
    device: torch.device = CPU
    labels: Tensor | None = None

    @classmethod
    def of(
        cls,
        texts: Iterable[Sequence[int]],
        length: int,
        device: torch.device,
        labels: Sequence[int] | None = None,
    ) -> "TokenSet":
        """All pieces of lines, each a list of tokens; labels: the class of each line."""
        found, lengths = array("i"), list[int]()
        for text in texts:
            found.extend(text)
            lengths.append(len(text))
        sizes, flat = torch.tensor(lengths), torch.frombuffer(found, dtype=torch.int32)
        counts = (sizes + length - 1) // length
        of_text = torch.repeat_interleave(torch.arange(len(sizes)), counts)
        first = counts.cumsum(0) - counts
        part = torch.arange(len(of_text)) - first[of_text]
        rows, starts = torch.stack([of_text, part], 1), sizes.cumsum(0) - sizes
        flat, starts, sizes, rows = (one.to(device) for one in (flat, starts, sizes, rows))
        of_texts = None if labels is None else torch.tensor(labels, device=device)
        return cls(flat, starts, sizes, rows, length, device, of_texts)

    def __len__(self) -> int:
        return len(self.rows)

    def of_texts(self, wanted: Tensor) -> "TokenSet":
        """The pieces of some lines; the mask, (lines,), is True for those."""
        return dataclasses.replace(self, rows=self.rows[wanted.to(self.device)[self.rows[:, 0]]])

    def some(self, count: int, seed: int) -> "TokenSet":
        """A number of the pieces, or all, drawn at random."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self), generator=generator)[:count].to(self.device)
        return dataclasses.replace(self, rows=self.rows[order])

    def most_frequent(self) -> dict[str, list[int]]:
        """The predictions without a model, (length,) each, by the names of BASELINES: the
        most frequent token everywhere, and at each place the one that is most frequent there.
        """
        tokens = self._tokens()
        most = torch.bincount(tokens[tokens != PAD]).argmax().item()
        places = (column[column != PAD] for column in tokens.T)
        sentence = [int(place.mode().values if len(place) else most) for place in places]
        return dict(zip(BASELINES, ([int(most)] * self.length, sentence), strict=True))

    def lines_with(self, tokens: int) -> Tensor:
        """The number of pieces in which each of `tokens` tokens occurs: (tokens,), on the CPU."""
        ordered = self._tokens().sort(1).values
        again = torch.zeros_like(ordered, dtype=torch.bool)
        again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        return torch.bincount(ordered[~again & (ordered != PAD)], minlength=tokens)

    def _tokens(self) -> Tensor:
        """The tokens of all pieces, (m, length), on the CPU."""
        (whole,) = self.in_order(max(1, len(self)))
        return whole.inputs.cpu()

    def shuffled(
        self, size: int, generator: torch.Generator, first: int = 0, epoch: int = 0
    ) -> Iterator[Batch]:
        """Every piece once, in a random order, from batch number `first` on.

        A batch has pieces of similar lengths, and is no wider than the longest of them.
        """
        order = torch.randperm(len(self), generator=generator)
        random = torch.rand(len(self), generator=generator, dtype=torch.float64)
        texts = self.rows[:, 0].cpu()[order]
        sizes = self.sizes.cpu()[texts]
        begins = (random * ((sizes - self.length).clamp(min=0) + 1)).long()
        widths = sizes.clamp(max=self.length)
        window = torch.arange(len(self)) // (size * WINDOW)
        similar = torch.split((window * (self.length + 1) + widths).argsort(stable=True), size)
        for number in torch.randperm(len(similar), generator=generator).tolist()[first:]:
            width = int(widths[similar[number]].max())
            rows, others = distributed.mine(similar[number])
            each = placed(texts[rows], self.device), placed(begins[rows], self.device)
            yield self._batch(*each, width, others)

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every piece once, in the order of the set."""
        for rows in torch.split(self.rows, size):
            yield self._batch(rows[:, 0], rows[:, 1] * self.length, self.length)

    def _batch(self, texts: Tensor, begins: Tensor, width: int, others: int = 0) -> Batch:
        """The pieces of lines; `begins`: their first tokens, counted in the line."""
        places = begins[:, None] + torch.arange(width, device=self.device)
        there = places < self.sizes[texts][:, None]
        flat = (self.starts[texts][:, None] + places).clamp(max=len(self.tokens) - 1)
        labels = None if self.labels is None else self.labels[texts]
        return Batch(torch.where(there, self.tokens[flat].long(), PAD), labels, others)
