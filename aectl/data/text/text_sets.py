"""Training sets of text, in memory."""

import dataclasses
import hashlib
import itertools
import logging
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aectl.data.layout import Layout
from aectl.data.storage.folders import OnBad
from aectl.data.text.text_inputs import Line, TextInputs
from aectl.data.training_sources import split_up
from aectl.errors import DataError

log = logging.getLogger(__name__)

BYTES_A_TOKEN = 3.2
"""Mean bytes per token of English text, with a vocabulary of 2,000."""

HEADING = re.compile(r"= [^=](.*[^=])? =")


@dataclass(frozen=True)
class TextSet:
    """A training set of lines of text."""

    words: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def name(self) -> str:
        """The name of the set for messages."""
        return " ".join(self.words)

    def __len__(self) -> int:
        return len(self.lines)

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
        """SHA-256 of the lines, each with its label before it."""
        found = hashlib.sha256()
        for line in self.lines:
            found.update(os.fsencode(f"{line.label or ''}\t{line.text}\n"))
        return found.hexdigest()


def load(inputs: TextInputs, layouts: Sequence[Layout | None], on_bad: OnBad) -> TextSet:
    """Loads all lines of the inputs, to train on.

    `layouts` are those of the sources: of a folder with splits, only the training set is used.
    Raises DataError if there is no readable text.
    """
    for word, layout in zip(inputs.words, layouts, strict=True):
        if layout:
            log.info(
                "%s is the training set; other folders of %s are ignored", layout.training, word
            )
    sources = split_up(inputs.sources, layouts, validation=False)
    whole = dataclasses.replace(inputs, sources=sources)
    lines = tuple(line for line in whole.lines(on_bad) if line is not None)
    if not lines:
        folder = any(source.is_folder for source in inputs.sources)
        looked = f" (looked for {inputs.selection})" if folder else ""
        raise DataError(f"there is no text in {' '.join(inputs.words)}{looked}")
    return TextSet(tuple(inputs.called()), lines)
