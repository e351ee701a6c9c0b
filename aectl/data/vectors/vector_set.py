"""Training sets of vectors, in memory or in their files."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.shapes import VectorShape
from aectl.data import splits_found
from aectl.data.layout import Layout
from aectl.data.storage.folders import OnBad
from aectl.data.training_sources import split_up
from aectl.data.vectors.row_names import RowNames
from aectl.data.vectors.stored_vectors import READERS, Span, StoredVectors
from aectl.data.vectors.vector_batches import Fitting
from aectl.data.vectors.vector_file import Floats32
from aectl.data.vectors.vector_inputs import GIB, IN_BLOCKS, NamedVectors, VectorInputs
from aectl.data.vectors.vector_survey import Survey
from aectl.errors import ConfigError, DataError
from aectl.progress import SILENT, Progress

ALMOST = 0.9
"""The fraction of the memory that files which are read as a whole may take."""


@dataclass(frozen=True)
class VectorSet:
    """A training set of vectors: (n, features), NaN where a value is missing; in memory, or in
    their files.

    `survey` has seen all; `columns`: the names of the features, if they have some; labels: (n,),
    indices into `classes`, or None; held_out: the rows of the set's own validation set, or None if
    it has none; `names`: those of the rows. `fitted`: the scalings that a run has fitted to what is
    learnt of vectors in their files, for other runs.
    """

    words: tuple[str, ...]
    vectors: Floats32 | StoredVectors
    survey: Survey
    columns: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    held_out: NDArray[np.int64] | None = None
    names: RowNames = field(default_factory=RowNames)
    fitted: dict[str, dict[str, Any]] = field(default_factory=dict)

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

    def at(self, rows: NDArray[np.int64]) -> Floats32:
        """Some of the vectors, in ascending order, in memory: (k, features). Raises DataError."""
        if isinstance(self.vectors, np.ndarray):
            return self.vectors[rows]
        ends = np.flatnonzero(np.diff(rows, append=len(self) + 1) != 1)
        neighbours = np.split(rows, ends[:-1] + 1) if len(rows) else []
        spans = [one for part in neighbours for one in self.vectors.spans(part[0], part[-1] + 1)]
        return self.vectors.read(spans, np.empty((len(rows), self.shape.features), np.float32))

    @property
    def constant(self) -> list[str]:
        """The names of the features that have the same value everywhere, or their numbers."""
        return [self.feature(place) for place in np.flatnonzero(self.survey.same).tolist()]

    def feature(self, place: int) -> str:
        """The name of a feature, or its number."""
        return self.columns[place] if self.columns else f"f{place}"

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the vectors as little-endian float32, then the names of the columns, if any, a
        line each, the labels and the rows of the validation set, as little-endian int64.
        """
        found = self.survey.hash.copy()
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
    memory: float = math.inf,
    progress: Progress = SILENT,
    whole_for: str = "",
) -> VectorSet:
    """Loads all vectors of the inputs, to train on; with `labelled`, their labels too. If they need
    more than `memory` bytes, they stay in their files, as far as these are arrays.

    `whole_for`: an option that needs all vectors in memory; it is refused where they stay in their
    files. `layouts` are those of the sources: of a folder with splits, the training set is used for
    training, and the validation set is held out. Raises DataError for an input without readable
    vectors, for values that are missing, unless they `may_lack`, or infinite, and for files whose
    vectors do not have the same features; ConfigError for `whole_for`.
    """
    named = _named(inputs, layouts, on_bad)
    first = named[0]
    fitting = Fitting(first.file.width, first.file.columns, may_lack)
    for one in named:
        if reason := fitting.refusal(one.file):
            raise DataError(f"{one.name} {reason.replace('the model takes', first.name + ' has')}")
    stored = StoredVectors(tuple(one.file for one in named))
    kept = np.empty(stored.shape, np.float32) if stored.nbytes <= memory else None
    if whole_for and kept is None:
        raise ConfigError(
            f"{whole_for} needs all vectors in memory, and {' '.join(inputs.called())} is read from"
            " disk in blocks; --memory GIB allows more"
        )
    survey = Survey(*stored.shape)
    with progress.lasting("reading the vectors"):
        for span, block in _blocks(stored, kept):
            _refuse_flaws(named[span.file], span.first, block, fitting)
            survey.add(block)
    labels, classes = _labels(named) if labelled else (None, ())
    held = _rows(named, splits_found.rows_held_out(layouts, [one.name for one in named]))
    vectors, columns = stored if kept is None else kept, first.file.columns
    return VectorSet(
        tuple(inputs.called()), vectors, survey, columns, labels, classes, held, RowNames.of(named)
    )


def _named(
    inputs: VectorInputs, layouts: Sequence[Layout | None], on_bad: OnBad
) -> list[NamedVectors]:
    """The files of the inputs. Raises DataError for an input without any that can be read, and for
    files that are read as a whole and, together, do not fit into memory."""
    named, whole_files = list[NamedVectors](), 0
    for source, layout in zip(inputs.sources, layouts, strict=True):
        whole = dataclasses.replace(inputs, sources=split_up([source], [layout], validation=True))
        before = len(named)
        for one in whole.files(on_bad):
            named.append(one)
            whole_files += 0 if one.file.stays else one.file.rows.nbytes
            if whole_files > ALMOST * inputs.memory:
                raise DataError(
                    f"the vectors up to those of {one.name} take {whole_files / GIB:,.1f} GiB of"
                    f" memory, and there are {inputs.memory / GIB:,.1f}; {IN_BLOCKS}"
                )
        if len(named) == before:
            looked = f" (looked for {inputs.selection})" if source.is_folder else ""
            raise DataError(f"there are no vectors in {source.word}{looked}")
    return named


def _blocks(stored: StoredVectors, kept: Floats32 | None) -> Iterator[tuple[Span, Floats32]]:
    """All blocks in order, each with its rows, which are put into `kept`, if it is given."""
    blocks = stored.blocks(stored.files[0].block_rows)
    groups = [blocks[first : first + READERS] for first in range(0, len(blocks), READERS)]
    if kept is None:
        found = stored.in_turn(groups)
    else:
        firsts = [stored.starts[group[0].file] + group[0].first for group in groups]
        found = (stored.read(group, kept[at:]) for group, at in zip(groups, firsts, strict=True))
    for group, rows in zip(groups, found, strict=True):
        for span in group:
            yield span, rows[: len(span)]
            rows = rows[len(span) :]


def _refuse_flaws(one: NamedVectors, start: int, block: Floats32, fitting: Fitting) -> None:
    """Raises DataError for a value that cannot be trained on."""
    for row in np.flatnonzero(~np.isfinite(block).all(1)).tolist():
        if reason := fitting.flaw(block[row], one.file.columns):
            way = "; --missing mean fills such places" if reason.startswith("lacks") else ""
            raise DataError(f"{one.rows.path(start + row)} {reason}{way}")


def _labels(named: Sequence[NamedVectors]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """The label of each row, as an index into the sorted classes; none if no row has one.

    Raises DataError if only some have one.
    """
    labels = [one.rows.label(row) for one in named for row in range(len(one.file))]
    if all(label is None for label in labels):
        return None, ()
    if None in labels:
        without = next(
            one.rows.path(row)
            for one in named
            for row in range(len(one.file))
            if one.rows.label(row) is None
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
