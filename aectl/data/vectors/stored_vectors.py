"""Vectors that stay in their files, of which blocks are read at a time."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.data.vectors.vector_file import Floats32, VectorFile
from aectl.errors import DataError

READERS = 4
"""Blocks that are read at a time: with fewer, a disk waits between them."""


class Span(NamedTuple):
    """Rows of the file with a number, from `first` on, before `end`."""

    file: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


@dataclass
class _Buffer:
    """The rows of a group of spans, or `room` into which they are yet to be read; `users` go
    through them, or will next."""

    group: tuple[Span, ...]
    room: Floats32
    rows: Future[Floats32]
    users: int = 0

    @property
    def failed(self) -> bool:
        """Whether the rows could not be read."""
        return self.rows.done() and self.rows.exception() is not None


@dataclass(frozen=True)
class StoredVectors:
    """The vectors of several files as one set: (n, features)."""

    files: tuple[VectorFile, ...]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The row of the set that is the first of each file, and the number of all rows."""
        return np.cumsum([0, *map(len, self.files)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def shape(self) -> tuple[int, int]:
        """The number of vectors, and of their features."""
        return len(self), self.files[0].width

    @property
    def nbytes(self) -> int:
        """Bytes that they need in memory, as float32."""
        rows, width = self.shape
        return 4 * rows * width

    def blocks(self, rows: int) -> list[Span]:
        """All rows, in blocks of at most so many, each of one file."""
        return [
            Span(number, first, min(first + rows, len(file)))
            for number, file in enumerate(self.files)
            for first in range(0, len(file), rows)
        ]

    def spans(self, first: int, end: int) -> list[Span]:
        """The rows of the set from `first` on, before `end`, by their files."""
        found = []
        for number, (start, after) in enumerate(itertools.pairwise(self.starts.tolist())):
            if first < after and start < end:
                found.append(Span(number, max(first, start) - start, min(end, after) - start))
        return found

    def rows(self, spans: Sequence[Span]) -> NDArray[np.int64]:
        """The places of rows in the set."""
        found = [self.starts[one.file] + np.arange(one.first, one.end) for one in spans]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def in_turn(self, groups: Sequence[Sequence[Span]]) -> Iterator[Floats32]:
        """The rows of each group of spans, which are read while those before are used, and stand
        until the next are asked for.

        Several who go through the same groups side by side share what is read: a group is read once
        if everyone asks for it before someone asks for the next but one.
        """
        most = max((sum(map(len, group)) for group in groups), default=0)
        using: list[_Buffer] = []
        try:
            for number in range(len(groups)):
                for group in groups[number + len(using) : number + 2]:
                    using.append(self._buffer(tuple(group), most))
                yield using[0].rows.result()
                using.pop(0).users -= 1
        finally:
            for buffer in using:
                buffer.users -= 1

    def _buffer(self, group: tuple[Span, ...], most: int) -> "_Buffer":
        """The buffer with the rows of a group, to be read if none has them, for one more user; it
        has room for so many rows."""
        buffers, reader = self._buffers
        found = next((one for one in buffers if one.group == group and not one.failed), None)
        if found is None:
            room = None
            if idle := next((one for one in buffers if not one.users), None):
                buffers.remove(idle)
                room = idle.room
            if room is None or not most <= len(room) < 2 * most:
                room = np.empty((most, self.shape[1]), np.float32)
            found = _Buffer(group, room, reader.submit(self.read, group, room))
            buffers.append(found)
        found.users += 1
        return found

    @cached_property
    def _buffers(self) -> "tuple[list[_Buffer], ThreadPoolExecutor]":
        """The buffers, and the thread that reads into them, one after the other."""
        return [], ThreadPoolExecutor(1)

    def read(self, spans: Sequence[Span], into: Floats32) -> Floats32:
        """Reads rows into the first of `into`, which are given. Raises DataError."""
        ends = np.cumsum([0, *map(len, spans)])
        with ThreadPoolExecutor(READERS) as readers:
            parts = [into[first:end] for first, end in itertools.pairwise(ends)]
            for _ in readers.map(self._read, spans, parts):
                pass
        return into[: ends[-1]]

    def _read(self, span: Span, into: Floats32) -> None:
        file = self.files[span.file]
        try:
            file.read(span.first, into, alone=True)
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
