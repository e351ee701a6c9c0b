"""Sources: what a word of INPUT or --dataset means, which is decided here alone.

Their files are found in `named_inputs`, and the splits of those to train on in
`training_sources`.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from aectl.config.declaration import near_miss
from aectl.config.spelling import guarded
from aectl.data.endings import PARQUET, is_archive
from aectl.data.series import files_of, is_series
from aectl.data.storage.places import is_folder_at
from aectl.data.storage.urls import is_url, refuse_secrets
from aectl.errors import DataError, UnknownInputError

STDIN = "-"

DIGITS = 16
"""Hexadecimal digits of the digest of a path."""


class SourceKind(Enum):
    """The kinds of sources."""

    STDIN = "stdin"
    DATASET = "dataset"
    PATCHES = "patches of the images in a folder"
    FOLDER = "folder"
    ARCHIVE = "archive"
    SERIES = "series of files"
    FILE = "file"


SEARCHED = (
    SourceKind.STDIN, SourceKind.PATCHES, SourceKind.FOLDER, SourceKind.ARCHIVE, SourceKind.SERIES
)  # fmt: skip
"""Kinds of sources that may hold several files, among which options choose."""


class DatasetName(NamedTuple):
    """A word such as `mnist:test/17`; a split or a place that it does not have is empty."""

    name: str
    split: str
    place: str

    @classmethod
    def of(cls, word: str) -> "DatasetName":
        """The name in a word."""
        whole, _, place = word.partition("/")
        name, _, split = whole.partition(":")
        return cls(name, split, place)


@dataclass(frozen=True)
class Source:
    """A word, interpreted. `name`: of a dataset, with the options that make it, if any, or the word
    in front of the folder of patches.

    `part`: the array of the file that the word names behind a colon.

    Of the files of a folder, those are read whose `path_digest` is in `only`, if that is not empty,
    and not in `without`.
    """

    word: str
    kind: SourceKind
    name: str = ""
    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    part: str = ""

    @property
    def file(self) -> str:
        """The path of the file or the folder."""
        return self.word.removesuffix(f":{self.part}") if self.part else self.word

    @property
    def is_dataset(self) -> bool:
        """Whether it is a dataset that is known by name."""
        return self.kind is SourceKind.DATASET

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which is searched."""
        return self.kind is SourceKind.FOLDER

    @property
    def scenes(self) -> str:
        """The folder that patches are cut from; empty for other sources."""
        return self.word.partition(":")[2] if self.kind is SourceKind.PATCHES else ""

    @property
    def in_memory(self) -> bool:
        """Whether it is loaded as a whole."""
        return self.kind in (SourceKind.DATASET, SourceKind.PATCHES)

    @property
    def hides(self) -> str | None:
        """The folder of the same name that is not read; None if there is none."""
        return f"./{self.word}" if self.in_memory and os.path.isdir(self.word) else None

    @property
    def without_split(self) -> "Source":
        """The same source; if it is a split of a dataset, the dataset."""
        return Source(self.name, self.kind, self.name) if self.is_dataset else self

    def takes(self, path: str) -> bool:
        """Whether a file of the folder is read."""
        if not self.only and not self.without:
            return True
        digest = path_digest(path)
        return digest not in self.without and (not self.only or digest in self.only)

    def called(self, split: str) -> str:
        """The word, with the split if it names a dataset without one."""
        alone = self.is_dataset and ":" not in self.word
        return f"{self.word}:{split}" if alone else self.word


@dataclass(frozen=True)
class Names:
    """The words that name data of a modality: datasets, and `patches`, in front of a folder.

    `endings` are the extensions of files that no other modality reads, `unread` those of files that
    hold such data, but in formats that are not read, and `parted` those of files with several
    arrays, of which a word may name one: `acts.npz:layer-3`. `made` are the datasets that are made
    by options in their words: `synthetic:dim=64`. `reads_parquet`: whether a Parquet file holds
    such data, which its extension does not tell. `in_series`: whether a word may name a series of
    files, `data-{000..123}.tar`. `listed_by`: the option that names a column of paths in a table.
    """

    datasets: Collection[str] = ()
    patches: Collection[str] = ()
    endings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    parted: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    reads_parquet: Callable[[str], bool] | None = None
    in_series: bool = False
    listed_by: str = ""

    def has(self, word: str) -> bool:
        """Whether a word, with or without a split, names a dataset."""
        return word.partition(":")[0] in self.datasets

    def claims(self, word: str) -> bool:
        """Whether a word can only name data of this modality, which are there."""
        there = is_url(word) or (os.path.lexists(word) and not os.path.isdir(word))
        return self.has(word) or (there and self._reads(word)) or bool(self._part(word))

    def _reads(self, file: str) -> bool:
        """Whether a file is of this modality alone."""
        if file.lower().endswith(PARQUET) and (is_url(file) or os.path.isfile(file)):
            return self.reads_parquet is not None and self.reads_parquet(file)
        return self.looks_like(file)

    def looks_like(self, word: str) -> bool:
        """Whether a word ends as the name of a file of this modality, whatever it is; behind a
        colon, it may name a part of that."""
        names = word.rstrip("/"), word.rpartition(":")[0]
        return any(name.lower().endswith(self.endings + self.unread) for name in names)

    def _part(self, word: str) -> str:
        """The part of a file that a word names; empty if it names none."""
        file, colon, part = word.rpartition(":")
        there = is_url(file) or (not os.path.lexists(word) and os.path.isfile(file))
        there = bool(colon and part) and there
        return part if there and file.lower().endswith(self.parted) else ""

    def _without_parts(self, word: str) -> str:
        """The end of a message, where a word names a part of a file that has none."""
        file = word.rpartition(":")[0]
        if not self.parted or not os.path.isfile(file):
            return ""
        return f"; {file} is there, but only {' and '.join(self.parted)} have arrays with names"

    def without_train(self, words: Iterable[str]) -> tuple[str, ...]:
        """The words, those of datasets without the split train, which is the usual one."""
        return tuple(word.removesuffix(":train") if self.has(word) else word for word in words)

    def source(self, word: str) -> Source:
        """The source that a word names. Raises UnknownInputError if it names nothing."""
        name, _, rest = word.partition(":")
        if word == STDIN:
            return Source(word, SourceKind.STDIN)
        if self.in_series and is_series(word) and not os.path.lexists(word):
            return _series(word)
        if is_url(word):
            refuse_secrets(word)
            part = self._part(word)
            return Source(word, SourceKind.FILE, part=part) if part else _at_url(word)
        if name in self.patches and is_url(rest):
            raise UnknownInputError(
                f"{name}: cuts patches from a folder of this machine, not from a URL; copy it first"
            )
        if name in self.patches and rest:
            return Source(word, SourceKind.PATCHES, name)
        if self.has(word):
            return Source(word, SourceKind.DATASET, word if name in self.made else name)
        if os.path.isdir(word):
            return Source(word, SourceKind.FOLDER)
        if part := self._part(word):
            return Source(word, SourceKind.FILE, part=part)
        if not os.path.lexists(word):
            raise UnknownInputError(
                f"no dataset, file or folder '{word}'"
                f"{near_miss(name, self.datasets) or self._without_parts(word)}"
            )
        return file_source(word)

    def sources(self, words: Iterable[str], stdin: object) -> list[Source]:
        """The sources that words name. Raises UnknownInputError for a word that names nothing, and
        DataError for `-` without a stream `stdin`.
        """
        found = [self.source(word) for word in words]
        if stdin is None and any(source.kind is SourceKind.STDIN for source in found):
            raise DataError(f"{STDIN} reads stdin, which is closed")
        return found


def path_digest(path: str) -> str:
    """The start of the SHA-256 of a path as tables have it: by it, a model file tells files that it
    does not name."""
    return hashlib.sha256(os.fsencode(guarded(path))).hexdigest()[:DIGITS]


def _series(word: str) -> Source:
    """The source of a series of files, of which the first must be there, unless it is at a URL.

    Raises UnknownInputError, and DataError for too many files, or a URL that holds credentials.
    """
    refuse_secrets(word)
    first = next(files_of(word))
    if not is_url(word) and not os.path.lexists(first):
        raise UnknownInputError(f"no file '{first}', with which the series '{word}' begins")
    return Source(word, SourceKind.SERIES)


def _at_url(url: str) -> Source:
    """The source that a URL names. Raises UnknownInputError where nothing is there."""
    try:
        if is_folder_at(url):
            return Source(url, SourceKind.FOLDER)
    except FileNotFoundError:
        raise UnknownInputError(f"no file or folder '{url}'") from None
    except OSError:
        pass  # as a file, it is left out for the reason
    return file_source(url)


def file_source(path: str) -> Source:
    """The source of a path that is not a folder."""
    return Source(path, SourceKind.ARCHIVE if is_archive(path) else SourceKind.FILE)
