"""Training sets of vectors, in memory."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aectl.config.shapes import VectorShape
from aectl.data import splits_found
from aectl.data.layout import Layout
from aectl.data.storage.folders import OnBad
from aectl.data.training_sources import split_up
from aectl.data.vectors.vector_batches import Fitting
from aectl.data.vectors.vector_file import Floats32, VectorFile
from aectl.data.vectors.vector_inputs import NamedVectors, VectorInputs
from aectl.errors import DataError


@dataclass(frozen=True)
class VectorSet:
    """A training set of vectors: (n, features), NaN where a value is missing.

    `columns`: the names of the features, if they have some; labels: (n,), indices into `classes`,
    or None; held_out: the rows of the set's own validation set, or None if it has none.
    """

    words: tuple[str, ...]
    vectors: Floats32
    columns: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    held_out: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        """The name of the set for messages."""
        return " ".join(self.words)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def shape(self) -> VectorShape:
        """The number of features."""
        return VectorShape(self.vectors.shape[1])

    @property
    def constant(self) -> list[str]:
        """The names of the features that have the same value everywhere, or their numbers."""
        same = (self.vectors == self.vectors[0]).all(0)
        return [self.feature(place) for place in np.flatnonzero(same).tolist()]

    def deviations(self, most: int) -> NDArray[np.float64]:
        """The standard deviation of each feature over at most so many vectors, at equal distances;
        0 where all values are missing."""
        some = self.vectors[:: -(-len(self) // most)].astype(np.float64)
        there = np.isfinite(some)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, some, 0).sum(0) / count
        squares = np.where(there, some - mean, 0) ** 2
        found: NDArray[np.float64] = np.sqrt(squares.sum(0) / count)
        return found

    def feature(self, place: int) -> str:
        """The name of a feature, or its number."""
        return self.columns[place] if self.columns else f"f{place}"

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the vectors as little-endian float32, then the names of the columns, if any, a
        line each, the labels and the rows of the validation set, as little-endian int64.
        """
        found = hashlib.sha256(np.ascontiguousarray(self.vectors, "<f4").data)
        for name in self.columns:
            found.update(f"{name}\n".encode())
        for rows in (self.labels, self.held_out):
            if rows is not None:
                found.update(np.ascontiguousarray(rows, "<i8").data)
        return found.hexdigest()


def load(
    inputs: VectorInputs,
    layouts: Sequence[Layout | None],
    on_bad: OnBad,
    may_lack: bool,
    labelled: bool,
) -> VectorSet:
    """Loads all vectors of the inputs, to train on; with `labelled`, their labels too.

    `layouts` are those of the sources: of a folder with splits, the training set is used for
    training, and the validation set is held out. Raises DataError for an input without readable
    vectors, for values that are missing, unless they `may_lack`, or infinite, and for files whose
    vectors do not have the same features.
    """
    named: list[NamedVectors] = []
    for source, layout in zip(inputs.sources, layouts, strict=True):
        whole = dataclasses.replace(inputs, sources=split_up([source], [layout], validation=True))
        found = list(whole.files(on_bad))
        if not found:
            looked = f" (looked for {inputs.selection})" if source.is_folder else ""
            raise DataError(f"there are no vectors in {source.word}{looked}")
        named += found
    first = named[0]
    fitting = Fitting(first.file.width, first.file.columns, may_lack)
    vectors = np.empty((sum(len(one.file) for one in named), first.file.width), np.float32)
    end = 0
    for one in named:
        if reason := fitting.refusal(one.file):
            raise DataError(f"{one.name} {reason.replace('the model takes', first.name + ' has')}")
        for start, block in _blocks(one.file):
            _refuse_flaws(one, start, block, fitting)
            vectors[end : end + len(block)] = block
            end += len(block)
    labels, classes = _labels(named) if labelled else (None, ())
    held = splits_found.rows_held_out(layouts, [one.name for one in named])
    return VectorSet(
        tuple(inputs.called()), vectors, first.file.columns, labels, classes, _rows(named, held)
    )


def _blocks(file: VectorFile) -> Iterator[tuple[int, Floats32]]:
    """The first row of each block, and its rows."""
    for start in range(0, len(file), file.block_rows):
        yield start, file.block(start, min(start + file.block_rows, len(file)))


def _refuse_flaws(one: NamedVectors, start: int, block: Floats32, fitting: Fitting) -> None:
    """Raises DataError for a value that cannot be trained on."""
    for row in np.flatnonzero(~np.isfinite(block).all(1)).tolist():
        if reason := fitting.flaw(block[row], one.file.columns):
            way = "; --missing mean fills such places" if reason.startswith("lacks") else ""
            raise DataError(f"{one.path(start + row)} {reason}{way}")


def _labels(named: Sequence[NamedVectors]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """The label of each row, as an index into the sorted classes; none if no row has one.

    Raises DataError if only some have one.
    """
    labels = [one.label_of(row) for one in named for row in range(len(one.file))]
    if all(label is None for label in labels):
        return None, ()
    if None in labels:
        without = next(
            one.path(row)
            for one in named
            for row in range(len(one.file))
            if one.label_of(row) is None
        )
        raise DataError(f"{without} has no label, and others have one")
    classes = tuple(sorted({label for label in labels if label is not None}, key=_in_order))
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[str(label)] for label in labels], np.int64), classes


def _in_order(label: str) -> tuple[bool, float, str]:
    """Sorts whole numbers by their value, before other labels."""
    number = label.isascii() and label.isdigit()
    return not number, int(label) if number else 0, label


def _rows(
    named: Sequence[NamedVectors], files: NDArray[np.int64] | None
) -> NDArray[np.int64] | None:
    """The rows of some of the files."""
    if files is None:
        return None
    held = np.isin(np.arange(len(named)), files)
    return np.flatnonzero(np.repeat(held, [len(one.file) for one in named]))
