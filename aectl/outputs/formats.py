"""File formats of tables, which convert rows to bytes, one block at a time."""

import dataclasses
import gzip
import io
import pkgutil
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

import numpy as np

from aectl.config.spelling import cell
from aectl.config.table_formats import TABLE_FORMATS
from aectl.errors import OutputError
from aectl.files import write_all
from aectl.outputs.frames import frame_of
from aectl.outputs.journal import PIECE
from aectl.outputs.rows import Column, Rows

if TYPE_CHECKING:
    from polars import DataFrame


class Format(Protocol):
    """A format that writes blocks of rows; the table is the concatenation of its blocks.

    Only an `Assembled` format makes the table from blocks in separate files. `join` makes the table
    whose consecutive parts are tables of the format themselves; it raises OutputError for parts
    with different columns.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None: ...
    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None: ...


class Csv:
    """Comma-separated values; a number has the fewest digits that represent it exactly.

    Text that a spreadsheet would compute is escaped by `cell`. In the sparse layout, a cell
    contains numbers separated by spaces.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines, after a header where these are the `first` rows."""
        columns = {name: _cells(name, column) for name, column in rows.columns.items()}
        frame = frame_of(dataclasses.replace(rows, columns=columns), layout)
        if layout == "sparse":
            frame = _lists_as_text(frame)
        frame.write_csv(file, include_header=first, batch_size=THREAD_ROWS)

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the lines of all parts after one header."""
        header = b""
        for part in parts:
            with self._opened(part) as lines:
                own = lines.readline()
                if own != (header or own):
                    raise OutputError(f"{part} has other columns than {parts[0]}")
                if not header:
                    file.write(own)
                header = own
                shutil.copyfileobj(lines, file, PIECE)

    def _opened(self, part: Path) -> IO[bytes]:
        return part.open("rb")


class CsvGz(Csv):
    """Compressed CSV, with one gzip member per block.

    The compressed bytes depend on the sizes of the blocks, the decompressed ones only on the rows.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines, after a header where these are the `first` rows."""
        text = io.BytesIO()
        super().write(rows, layout, first, text)
        write_all(file, gzip.compress(text.getbuffer(), compresslevel=6, mtime=0))

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the lines of all parts after one header."""
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
            super().join(parts, cast("IO[bytes]", compressed))

    def _opened(self, part: Path) -> IO[bytes]:
        return cast("IO[bytes]", gzip.open(part, "rb"))


class JsonLines:
    """JSON Lines: one object per row; numbers that are not finite are null."""

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines."""
        frame_of(rows, layout).write_ndjson(file)

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the lines of all parts."""
        for part in parts:
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, file, PIECE)


FORMATS: dict[str, Format] = {
    ending: pkgutil.resolve_name(row.writer)() for ending, row in TABLE_FORMATS.items()
}
"""The formats of tables by the extension of the file."""

THREAD_ROWS = 512
"""Number of rows that a thread converts to text at a time."""


def format_of(path: Path) -> Format:
    """The format for the extension of a file. Raises OutputError for an unknown one."""
    return FORMATS[extension_of(path)]


def extension_of(path: Path) -> str:
    """The extension that sets the format of a file. Raises OutputError for an unknown one."""
    for ending in FORMATS:
        if path.name.endswith(ending):
            return ending
    raise OutputError(f"{path}: the extension of a table must be one of {', '.join(FORMATS)}")


def _cells(name: str, column: Column) -> Column:
    """A column as it is written in CSV; paths never start like a formula, and are unchanged."""
    if isinstance(column, np.ndarray) or name == "path":
        return column
    return [value if value is None else cell(value) for value in column]


def _lists_as_text(frame: "DataFrame") -> "DataFrame":
    import polars
    import polars.selectors as columns

    return frame.with_columns(columns.list().cast(polars.List(polars.String)).list.join(" "))
