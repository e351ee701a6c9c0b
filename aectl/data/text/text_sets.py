"""Training sets of text, in memory."""

import hashlib
import itertools
import logging
import math
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aectl.data.layout import layout_of
from aectl.data.selection import Selection, Skipped
from aectl.data.storage.folders import OnBad
from aectl.data.text.text_inputs import EVERY_TEXT, Account, Line, TextInputs
from aectl.errors import DataError

log = logging.getLogger(__name__)

BYTES_A_TOKEN = 3.2
"""Mean bytes per token of English text, with a vocabulary of 2,000."""

HEADING = re.compile(r"= [^=](.*[^=])? =")


@dataclass(frozen=True)
class TextSet:
    """A training set of lines of text."""

    name: str
    lines: tuple[Line, ...]

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


def load(
    word: str,
    data_dir: Path,
    on_bad: OnBad,
    account: Account,
    selection: Selection = EVERY_TEXT,
    skipped: Skipped | None = None,
) -> TextSet:
    """Loads all lines of a dataset, a file or a folder, to train on.

    If all files of a folder are in sub-folders, these are the classes. In a folder with `train/`
    beside `val/` or `test/`, only `train/` is used. Raises DataError if there is no readable text.
    """
    layout = layout_of(word, selection, to_train=True)
    part = layout.training if layout else word
    if part != word:
        log.info("%s is the training set; other folders of %s are ignored", part, word)
    inputs = TextInputs(
        [part], data_dir, labels_from_folders=os.path.isdir(word), split="train", account=account,
        selection=selection, skipped=skipped or Skipped(), loose_labels=False,
    )  # fmt: skip
    lines = tuple(line for line in inputs.lines(on_bad) if line is not None)
    if not lines:
        looked = f" (looked for {selection})" if os.path.isdir(word) else ""
        raise DataError(f"there is no text in {word}{looked}")
    return TextSet(word if part != word else inputs.called(word), lines)
