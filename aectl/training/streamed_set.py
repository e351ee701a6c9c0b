"""A training set of vectors that are read from disk in each epoch, and shuffled in a buffer."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.data.splits import refuse_empty
from aectl.data.vectors.stored_vectors import Span, StoredVectors
from aectl.models.placing import placed
from aectl.models.scaling import Scaling, scaled
from aectl.objectives.step import Batch
from aectl.training.loop import CPU
from aectl.training.vector_sets import FloatSet

PLACES = 32
"""Blocks of a full buffer: so many places of the files are shuffled together."""

Block: TypeAlias = tuple[Span, ...]
"""Neighbouring rows of a file, perhaps without some between them."""

Rows: TypeAlias = tuple[Tensor, Tensor | None]
"""Vectors, (n, features), and their labels, (n,), if they have some."""


@dataclass(frozen=True)
class StreamedSet:
    """Vectors on disk as a training set, whose batches are made on `device`.

    In training, the blocks come in a random order, which is another one in each epoch and the same
    in all runs, so that these can share what is read. The rows of as many as a `buffer`, the number
    of its rows, takes are shuffled and used up before the next are. labels: (n,) of all stored
    vectors, or None; `scaling`: that of the network, if it has one.
    """

    vectors: StoredVectors
    labels: Tensor | None
    blocks: Sequence[Block]
    buffer: int
    device: torch.device = CPU
    scaling: Scaling | None = None

    def __len__(self) -> int:
        return sum(map(_length, self.blocks))

    def some(self, count: int, seed: int) -> FloatSet:
        """So many of the vectors, or all, of random blocks, in memory."""
        generator = torch.Generator().manual_seed(seed)
        rows, labels = next(self._shuffled(count, generator))
        every = torch.arange(len(rows))
        return FloatSet(rows, labels, every, self.device, self.scaling)

    def shuffled(
        self, size: int, generator: torch.Generator, first: int = 0, epoch: int = 0
    ) -> Iterator[Batch]:
        """Every vector once, in a random order, from batch number `first` on."""
        return map(self._batch, self._shuffled(size, generator, first * size, epoch))

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every vector once, in the order of the set."""
        return map(self._batch, self._in_order(size))

    def unscaled(self, size: int) -> Iterator[Tensor]:
        """Every vector once, in the order of the set, as it is in the file: (size, features)."""
        for rows, _ in self._in_order(size):
            yield rows.to(self.device)

    def _shuffled(
        self, size: int, generator: torch.Generator, skipped: int = 0, epoch: int = 0
    ) -> Iterator[Rows]:
        """Every vector once, in a random order, without the first ones: blocks in that of the
        epoch, and those of a buffer in that of the generator.

        What is drawn from the generator does not depend on `size` or `skipped`.
        """
        of_epoch = torch.Generator().manual_seed(epoch)
        order = torch.randperm(len(self.blocks), generator=of_epoch).tolist()
        seeds = torch.randint(1 << 62, (len(order),), generator=generator).tolist()

        def shuffled(number: int, count: int) -> Tensor:
            return torch.randperm(count, generator=torch.Generator().manual_seed(seeds[number]))

        return self._rows([self.blocks[number] for number in order], size, shuffled, skipped)

    def _in_order(self, size: int) -> Iterator[Rows]:
        return self._rows(self.blocks, size, lambda _, count: torch.arange(count))

    def _rows(
        self,
        blocks: Sequence[Block],
        size: int,
        order: Callable[[int, int], Tensor],
        skipped: int = 0,
    ) -> Iterator[Rows]:
        """The rows of blocks, `size` at a time, without the first ones; `order` gives that of the
        rows of a buffer, from its number and the number of its rows."""
        buffers = self._buffers(blocks)
        ends = np.cumsum([0, *(sum(map(len, spans)) for spans in buffers)])
        begin = int(np.searchsorted(ends, skipped, "right")) - 1
        skipped -= int(ends[begin])
        parts, missing = list[Rows](), size
        for number, held in enumerate(self.vectors.in_turn(buffers[begin:]), begin):
            places, vectors = order(number, len(held))[skipped:], torch.from_numpy(held)
            labels = None
            if self.labels is not None:
                labels = self.labels[torch.from_numpy(self.vectors.rows(buffers[number]))]
            skipped = 0
            while len(places):
                now, places = places[:missing], places[missing:]
                parts.append((vectors[now], None if labels is None else labels[now]))
                missing -= len(now)
                if not missing:
                    yield _joined(parts)
                    parts, missing = [], size
        if parts:
            yield _joined(parts)

    def _buffers(self, blocks: Sequence[Block]) -> list[list[Span]]:
        """The rows of as many blocks at a time as the buffer takes."""
        found, room = list[list[Span]](), 0
        for block in blocks:
            room -= _length(block)
            if room < 0 or not found:
                found.append([])
                room = self.buffer - _length(block)
            found[-1] += block
        return found

    @torch.no_grad()
    def _batch(self, rows: Rows) -> Batch:
        vectors, labels = rows
        of_rows = None if labels is None else placed(labels, self.device)
        return Batch(scaled(self.scaling, placed(vectors, self.device)), of_rows)


def split(
    vectors: StoredVectors,
    buffer: int,
    fraction: float,
    held_out: NDArray[np.int64] | None,
) -> tuple[list[Block], list[Block]]:
    """The blocks that are learnt, and those that are held out: of each block of the files, at a
    random place, the same fraction of its rows; or else the files of the rows `held_out`. All runs
    have the same.

    Raises ConfigError if one of the two would be empty, unless the fraction is 0.
    """
    blocks = vectors.blocks(max(1, buffer // PLACES))
    if held_out is not None:
        own = np.isin(vectors.starts[:-1], held_out)
        of_files: list[list[Block]] = [
            [(one,) for one in blocks if own[one.file] == held] for held in (False, True)
        ]
        return of_files[0], of_files[1]
    sizes = np.array(list(map(len, blocks)))
    ends = np.round(fraction * np.cumsum([0, *sizes])).astype(np.int64)
    refuse_empty(len(vectors), int(ends[-1]), fraction, "vectors")
    counts = np.diff(ends)
    skipped = np.random.default_rng(0).integers(sizes - counts, endpoint=True)
    learnt, held = list[Block](), list[Block]()
    for (file, first, end), gap, count in zip(
        blocks, skipped.tolist(), counts.tolist(), strict=True
    ):
        cut = first, first + gap, first + gap + count, end
        before, within, after = (Span(file, one, other) for one, other in itertools.pairwise(cut))
        learnt.append(tuple(span for span in (before, after) if len(span)))
        held.append((within,))
    return [one for one in learnt if one], [one for one in held if _length(one)]


def _length(block: Block) -> int:
    return sum(map(len, block))


def _joined(parts: Sequence[Rows]) -> Rows:
    """Rows, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    labels = [of_rows for _, of_rows in parts if of_rows is not None]
    return torch.cat([rows for rows, _ in parts]), torch.cat(labels) if labels else None
