"""Vectors in batches for a model, from a position on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aectl.config.spelling import first_of
from aectl.data.named_inputs import Passing, Position
from aectl.data.shares import listing
from aectl.data.storage.folders import OnBad
from aectl.data.vectors.vector_file import Floats32, VectorFile
from aectl.data.vectors.vector_inputs import NamedVectors, VectorInputs
from aectl.errors import Alike

MOST_NAMED = 3


class VectorBatch(NamedTuple):
    """A batch of vectors, (n, features), with paths and labels, n each.

    `size`: the number of vectors in a full batch; `position`: the position after the last one.
    """

    paths: list[str]
    labels: list[str | None]
    vectors: Floats32
    size: int
    position: Position


@dataclass(frozen=True)
class Fitting:
    """The vectors that a model takes: of a number of features, which may have names; with
    `may_lack`, values may be missing."""

    features: int
    columns: tuple[str, ...] = ()
    may_lack: bool = False

    def refusal(self, file: VectorFile) -> str:
        """The reason why the model does not take the vectors of a file; empty if it does."""
        if file.width != self.features:
            return f"has {file.width:,} features; the model takes {self.features:,}"
        if file.columns and self.columns and file.columns != self.columns:
            others = [name for name in file.columns if name not in self.columns]
            return f"has other columns than the model: {first_of(others, MOST_NAMED)}"
        return ""

    def flaw(self, vector: Floats32, columns: tuple[str, ...]) -> str:
        """The reason why a vector of a file cannot be used; empty if it can."""
        sound = np.isfinite(vector)
        if self.may_lack:
            sound |= np.isnan(vector)
        if sound.all():
            return ""
        place = int(np.argmin(sound))
        where = f"column {columns[place]}" if columns else f"feature {place}"
        if np.isnan(vector[place]):
            return f"lacks a value, {where}"
        return f"has a value beyond 32-bit floats, {where}"


def vector_batches(
    inputs: VectorInputs,
    fitting: Fitting,
    size: int,
    on_bad: OnBad,
    after: Position | None = None,
    most: int | None = None,
) -> Iterator[VectorBatch]:
    """The first `most` vectors, or all, in batches of at most `size`, each of one file.

    With `after`, the vectors up to that position are skipped. Raises DataError if they differ from
    those of the first run.
    """
    reading, left = Passing(after, on_bad, inputs.share), most
    for named in inputs.files(reading.on_bad):
        if reading.is_past:
            break
        if reason := fitting.refusal(named.file):
            reading.on_bad(named.name, reason)
            continue
        bad, rows_read = _BadRows(named, fitting), reading.within(len(named.file))
        for first in rows_read[::size]:
            end = min(first + size, rows_read.stop)
            vectors = named.file.block(first, end)
            if not reading.is_behind(f"{named.rows.path(first)} {end}", len(vectors), vectors.data):
                continue
            rows = bad.without(first, vectors, on_bad)
            rows = rows if left is None else rows[:left]
            if len(rows):
                yield VectorBatch(
                    [named.rows.path(first + row) for row in rows],
                    [named.rows.label(first + row) for row in rows],
                    vectors[rows],
                    size,
                    reading.position,
                )
            if left is not None:
                left -= len(rows)
                if not left:
                    return
    reading.refuse_fewer()


def listed(inputs: VectorInputs, fitting: Fitting) -> Iterator[tuple[str, int]]:
    """The name and the number of vectors of each file; one that cannot be used counts as one."""
    return listing(
        inputs.files,
        lambda named: (named.name, 1 if fitting.refusal(named.file) else len(named.file)),
    )


class _BadRows:
    """Reports the rows of a file that are left out: the first for each reason; further ones are
    only counted."""

    def __init__(self, named: NamedVectors, fitting: Fitting) -> None:
        self._named, self._fitting = named, fitting
        self._first: dict[str, str] = {}

    def without(self, first: int, vectors: Floats32, on_bad: OnBad) -> list[int]:
        """The places of the vectors of a block that can be used."""
        sound = np.isfinite(vectors).all(1)
        usable = set(np.flatnonzero(sound).tolist())
        for row in np.flatnonzero(~sound).tolist():
            reason = self._fitting.flaw(vectors[row], self._named.file.columns)
            if not reason:
                usable.add(row)
                continue
            path, kind = self._named.rows.path(first + row), reason.partition(",")[0]
            before = self._first.setdefault(kind, path)
            on_bad(path, reason if before == path else Alike(f"{kind}, like {before}"))
        return sorted(usable)
