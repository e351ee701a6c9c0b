"""Training sets of text, in memory."""

import dataclasses
import hashlib
import itertools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aectl.data import splits_found
from aectl.data.layout import Layout
from aectl.data.storage.folders import OnBad
from aectl.data.text.text_inputs import Line, TextInputs
from aectl.data.training_sources import split_up
from aectl.errors import DataError

BYTES_A_TOKEN = 3.2
"""Mean bytes per token of English text, with a vocabulary of 2,000."""

HEADING = re.compile(r"= [^=](.*[^=])? =")


@dataclass(frozen=True)
class TextSet:
    """A training set of lines of text.

    `held_out`: the rows of the set's own validation set, (n,), or None if it has none. `prior`: the
    text that a language model learns from instead.
    """

    words: tuple[str, ...]
    lines: tuple[Line, ...]
    held_out: NDArray[np.int64] | None = None
    prior: "TextSet | None" = None

    @property
    def name(self) -> str:
        """The name of the set for messages."""
        return " ".join(self.words)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def without_held_out(self) -> "TextSet":
        """The lines that are not of the set's own validation set."""
        held_out = set() if self.held_out is None else set(self.held_out.tolist())
        lines = (line for row, line in enumerate(self.lines) if row not in held_out)
        return TextSet(self.words, tuple(lines))

    def parts(self, length: int) -> int:
        """The approximate number of pieces of `length` tokens in all lines."""
        part = length * BYTES_A_TOKEN
        return sum(math.ceil(len(line.text.encode()) / part) for line in self.lines)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The sorted labels, if every line has one; else none."""
        labels = {line.label for line in self.lines}
        return () if None in labels else tuple(sorted(filter(None, labels)))

    @cached_property
    def documents(self) -> NDArray[np.int64]:
        """The number of the document that each line belongs to: (n,).

        In files with headings of the form ` = Title = `, such as those of WikiText, a heading
        starts a document; in other files, each line is a document.
        """
        starts = []
        for _, group in itertools.groupby(self.lines, lambda line: line.file):
            headings = [bool(HEADING.fullmatch(line.text)) for line in group]
            starts += [True, *headings[1:]] if any(headings) else [True] * len(headings)
        return np.cumsum(starts) - 1

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the lines, each with its label before it, then the rows of the validation
        set, if any, as little-endian int64, and the digest of the prior, if any.
        """
        found = hashlib.sha256()
        for line in self.lines:
            found.update(os.fsencode(f"{line.label or ''}\t{line.text}\n"))
        if self.held_out is not None:
            found.update(np.ascontiguousarray(self.held_out, "<i8").data)
        if self.prior is not None:
            found.update(bytes.fromhex(self.prior.checksum))
        return found.hexdigest()


def load(inputs: TextInputs, layouts: Sequence[Layout | None], on_bad: OnBad) -> TextSet:
    """Loads all lines of the inputs, to train on.

    `layouts` are those of the sources: of a folder with splits, the training set is used for
    training, and the validation set is held out. Raises DataError for an input without readable
    text.
    """
    lines: list[Line] = []
    for source, layout in zip(inputs.sources, layouts, strict=True):
        whole = dataclasses.replace(inputs, sources=split_up([source], [layout], validation=True))
        found = [line for line in whole.lines(on_bad) if line is not None]
        if not found:
            looked = f" (looked for {inputs.selection})" if source.is_folder else ""
            raise DataError(f"there is no text in {source.word}{looked}")
        lines += found
    files = [line.file for line in lines]
    rows = splits_found.rows_held_out(layouts, files)
    if not all(source.is_dataset for source in inputs.sources):
        labels = [line.label for line in lines]
        splits_found.tell(inputs, layouts, labels, files, rows, "text")
    return TextSet(tuple(inputs.called()), tuple(lines), rows)
