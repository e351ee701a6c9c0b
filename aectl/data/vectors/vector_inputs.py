"""Vectors that a user names: files of arrays and tables, folders of them, and `-` for CSV."""

import contextlib
import dataclasses
import math
import os
import shutil
import stat
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from aectl.config.table_formats import IDS, ids_of
from aectl.data.codes.code_tables import LEAST_ROOM, ROOM_PER_BYTE
from aectl.data.codes.table_content import TableError
from aectl.data.found import Found
from aectl.data.named_inputs import NamedInputs
from aectl.data.selection import Selection
from aectl.data.sources import Names, SourceKind
from aectl.data.storage.folders import OnBad, Walk, WalkedOnce
from aectl.data.storage.objects import copied
from aectl.data.storage.parquet_footer import image_column
from aectl.data.storage.urls import is_url
from aectl.data.vectors.columns import ALL, Columns, Wanted, labels_in, names_in, vectors_of
from aectl.data.vectors.delimited import NUMBER, of_delimited, of_delimited_content
from aectl.data.vectors.synthetic import SYNTHETIC, Synthetic
from aectl.data.vectors.vector_arrays import LABEL, PATH, of_npy, of_npz, of_safetensors
from aectl.data.vectors.vector_file import VectorFile
from aectl.data.vectors.vector_tables import (
    of_json_lines,
    of_parquet,
)
from aectl.errors import ConfigError, DataError
from aectl.progress import silent

OfArrays = Callable[[Path, str, int], VectorFile]
OfTables = Callable[[Path, int, Wanted], Columns]

ARRAYS: dict[str, OfArrays] = {".npy": of_npy, ".npz": of_npz, ".safetensors": of_safetensors}
"""The readers of arrays by the extension of the file."""

TABLES: dict[str, OfTables] = {
    ".csv": of_delimited,
    ".csv.gz": of_delimited,
    ".tsv": of_delimited,
    ".tsv.gz": of_delimited,
    ".jsonl": lambda path, room, _: of_json_lines(path, room),
    ".parquet": lambda path, room, _: of_parquet(path, room),
}
"""The readers of tables by the extension of the file."""

ENDINGS = (*ARRAYS, *TABLES)
EVERY_VECTOR = Selection(ENDINGS)

LEAST_MEMORY = {
    ".npz": 1,
    ".csv": 4,
    ".tsv": 4,
    ".csv.gz": 8,
    ".tsv.gz": 8,
    ".jsonl": 4,
    ".parquet": 2,
}
"""Bytes of memory that reading a file takes at least, for each of its bytes; of other files, only
the rows that are asked for are read."""

UNREAD = (
    ".arrow", ".feather", ".h5", ".hdf5", ".joblib", ".mat", ".npy.gz", ".ods", ".pickle", ".pkl",
    ".pt", ".pth", ".xls", ".xlsx", ".zarr",
)  # fmt: skip
"""Extensions of files of vectors that cannot be read; a message names those that can."""

VECTOR_NAMES = Names(
    (SYNTHETIC,), endings=ENDINGS, unread=UNREAD, parted=(".npz", ".safetensors"),
    made=(SYNTHETIC,), reads_parquet=lambda path: image_column(path) is None,
)  # fmt: skip
"""The words that name vectors."""

GIB, IN_BLOCKS = 1 << 30, ".npy and .safetensors are read in blocks"

PEEKED = 1 << 16
"""Bytes at the start of a file that tell whether it is a table of numbers."""

OF_STDIN = "stdin"
"""The name of stdin in a table."""


class FileRows(NamedTuple):
    """The names and labels of the rows of a file; where it has none, they are named after it, and
    labelled by the folder that it lies in."""

    name: str
    ids: Sequence[str] = ()
    labels: Sequence[str | None] = ()
    folder: str | None = None

    def path(self, row: int) -> str:
        """The entry of a row in the `path` column of a table, such as `acts.npy:17`, counted from
        0."""
        return self.ids[row] if self.ids else f"{self.name}:{row}"

    def label(self, row: int) -> str | None:
        """The label of a row."""
        return self.labels[row] if self.labels else self.folder


class NamedVectors(NamedTuple):
    """The vectors of a file, and the names and labels of its rows."""

    file: VectorFile
    rows: FileRows

    @classmethod
    def of(cls, name: str, file: VectorFile, folder: str | None = None) -> "NamedVectors":
        """Those of a file by its name, and the label that the folder gives which it lies in."""
        return cls(file, FileRows(name, file.ids, file.labels, folder))

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.rows.name


@dataclass(frozen=True)
class VectorInputs(NamedInputs):
    """Vectors that the user named; `wanted` are the columns of tables, and `notice` is told what
    was guessed of them. `memory`: bytes that there are for files that are read as a whole;
    `beside`: whether the names and labels in tables beside arrays are read."""

    selection: Selection = EVERY_VECTOR
    walk: Walk = field(default_factory=WalkedOnce)
    wanted: Wanted = field(default_factory=Wanted)
    notice: Callable[[str], None] = silent
    memory: float = math.inf
    beside: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigError for --ext with an extension that vectors do not have."""
        for ext in self.selection.ext:
            if not ending_of(f".{ext.removeprefix('.')}"):
                raise ConfigError(
                    f"--ext {ext}: vectors are read from files that end in {' '.join(ENDINGS)}"
                )

    def files(self, on_bad: OnBad) -> Iterator[NamedVectors]:
        """The vectors of each file; `on_bad` is called for those that cannot be read.

        Raises DataError for a file that does not fit into memory.
        """
        for source in self.sources:
            if source.is_dataset:
                if self.is_new(Found(source.word)):
                    vectors = Synthetic.of(source.word).vectors(self.split)
                    yield NamedVectors.of(source.word, VectorFile(vectors))
                continue
            if source.kind is SourceKind.STDIN:
                assert self.stdin is not None
                yield from self._read(OF_STDIN, None, on_bad, partial(self._of_stdin, self.stdin))
                continue
            for found in self.to_read(source, self.files_of(source)):
                assert found is not None
                if source.is_folder and found.path.endswith(IDS):
                    continue  # of an array beside it
                if found.reason:
                    on_bad(found.path, found.reason)
                    continue
                file, part = found.file, source.part
                remote = is_url(file)
                name = self.naming(file if remote else str(Path(file))) + f":{part}" * bool(part)
                read = self._of_url if remote else self._of_file
                yield from self._read(name, found.label, on_bad, partial(read, file, part))

    def _of_file(self, path: str, part: str) -> VectorFile:
        """The vectors of a local file. Raises TableError, OSError, and DataError."""
        self._refuse_large(Path(path))
        return of_file(Path(path), part, self.wanted, self.beside)

    def _of_url(self, url: str, part: str) -> VectorFile:
        """The vectors of a file at a URL, of which there is a copy as long as they are used."""
        beside = [IDS] if self.beside and ending_of(url) in ARRAYS else []
        copy = copied(url, self.data_dir, *beside)
        try:
            file = self._of_file(str(copy), part)
        except BaseException:
            shutil.rmtree(copy.parent)
            raise
        weakref.finalize(file, shutil.rmtree, copy.parent, ignore_errors=True)
        return file

    def _refuse_large(self, path: Path) -> None:
        """Raises DataError for a file that is read as a whole, and does not fit into memory."""
        ending = ending_of(path.name)
        with contextlib.suppress(OSError):
            needed = LEAST_MEMORY.get(ending, 0) * path.stat().st_size
            if needed > self.memory:
                raise DataError(
                    f"{path}: {ending} is read as a whole, which takes at least"
                    f" {needed / GIB:,.1f} GiB of memory, and there are {self.memory / GIB:,.1f};"
                    f" {IN_BLOCKS}"
                )

    def _read(
        self, name: str, label: str | None, on_bad: OnBad, read: Callable[[], VectorFile]
    ) -> Iterator[NamedVectors]:
        try:
            file = read()
        except TableError as error:
            on_bad(name, str(error))
        except OSError as error:
            on_bad(name, error.strerror or str(error))
        else:
            for remark in file.remarks:
                self.notice(remark)
            yield NamedVectors.of(name, file, label)

    def _of_stdin(self, stdin: BinaryIO) -> VectorFile:
        """The vectors of CSV on stdin. Raises TableError."""
        pieces = iter(lambda: stdin.read(1 << 20), b"")
        return vectors_of(of_delimited_content(b"".join(pieces), self.wanted), self.wanted)


def is_labelled_text(word: str) -> bool:
    """Whether a word names a .tsv file of labels and texts, whose first lines have no numbers."""
    if not word.lower().endswith(".tsv") or not os.path.isfile(word):
        return False
    with open(word, "rb") as file:
        lines = file.read(PEEKED).decode("utf-8", "replace").splitlines()[:2]
    return not any(NUMBER.fullmatch(cell) for line in lines for cell in line.split("\t"))


def of_file(path: Path, part: str = "", wanted: Wanted = ALL, beside: bool = True) -> VectorFile:
    """The vectors of a file; with `beside`, their names in a table beside an array.

    Raises TableError or OSError.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise TableError("it is not a regular file")
    if not status.st_size:
        raise TableError("it is empty")
    room = max(LEAST_ROOM, ROOM_PER_BYTE * status.st_size)
    ending = ending_of(path.name)
    if ending in ARRAYS:
        file = ARRAYS[ending](path, part, room)
        return file if file.ids or not beside else _with_ids(file, ids_of(path), room)
    if ending in TABLES:
        return vectors_of(TABLES[ending](path, room, wanted), wanted)
    raise TableError(f"vectors are read from files that end in {' '.join(ENDINGS)}")


def _with_ids(file: VectorFile, beside: Path, room: int) -> VectorFile:
    """The vectors of an array, with the paths and labels in the table beside it, if there is one of
    as many rows. Raises TableError for one that is damaged."""
    if not beside.is_file():
        return file
    try:
        columns = of_parquet(beside, room)
    except TableError as error:
        raise TableError(f"{beside} beside it: {error}") from None
    ids, labels = names_in(columns, PATH), labels_in(columns, LABEL)
    if len(ids) != len(file):
        raise TableError(f"it has {len(file):,} rows, and {beside} beside it {len(ids):,}")
    return dataclasses.replace(file, ids=ids, labels=labels)


def ending_of(name: str) -> str:
    """The extension that tells how vectors are read; empty for any other file."""
    return next((one for one in ENDINGS if name.lower().endswith(one)), "")
