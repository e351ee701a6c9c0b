"""Index files: tables with a column of paths of images, and one of labels, read row by row."""

import csv
import gzip
import itertools
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from aectl.config.spelling import from_table, spelt
from aectl.data.codes.table_content import TableError
from aectl.data.endings import PARQUET
from aectl.data.found import Found
from aectl.data.frame_process import rows_apart
from aectl.data.images.parquet_images import MEMORY, class_names, frames, labels_of, plain_columns
from aectl.data.images.table_columns import USUAL_LABELS, LabelColumn, refuse_absent
from aectl.data.selection import EVERY_IMAGE, Selection
from aectl.data.sources import Source, SourceKind
from aectl.data.storage.objects import local_copy, refused_at
from aectl.data.storage.parquet_footer import image_column, read_footer
from aectl.data.storage.urls import is_url
from aectl.errors import ConfigError

TABS, LINES = (".tsv", ".tsv.gz"), (".jsonl",)
TEXTS = (".csv", ".csv.gz", *TABS, *LINES)
ENDINGS = (*TEXTS, PARQUET)

LONGEST_LINE = 1 << 20
"""Maximum characters of a line."""

ROWS = "aectl.data.images.index_files:path_rows"

OPTION = "--paths-column"

NO_NAME = "has a path with a character that no name of a file has"


class IndexColumns(NamedTuple):
    """The columns of an index file that are read: that of the paths, and that of the labels."""

    paths: str
    labels: LabelColumn = USUAL_LABELS


class _Row(NamedTuple):
    """The path and the label in a row, or the reason why it cannot be read."""

    path: str | None
    label: str | None
    reason: str | None = None


def is_index(file: str) -> bool:
    """Whether a file may list images: a table, and of Parquet, one that does not hold them."""
    if file.lower().endswith(PARQUET):
        return image_column(file) is None
    return file.lower().endswith(TEXTS)


def refuse_without_index(column: str | None, sources: Iterable[Source]) -> None:
    """Raises ConfigError for a column of paths, if all sources are other files than tables."""
    kinds = (SourceKind.FILE, SourceKind.ARCHIVE)
    if column and all(one.kind in kinds and not is_index(one.file) for one in sources):
        raise ConfigError(
            f"{OPTION} names the column of paths in a table (.csv, .tsv, .jsonl or .parquet), and"
            " none of the inputs is one"
        )


def listed_in(
    file: str,
    columns: IndexColumns,
    room: Path | None = None,
    selection: Selection = EVERY_IMAGE,
) -> Iterator[Found]:
    """The files that an index file lists, with their labels; paths are relative to its folder, and
    the selection chooses among them as they are written.

    A row without a path is found with a reason, and so is a file that is damaged, or lacks a
    column, after its readable rows; one at a URL is copied to the folder `room` as long as it is
    read.
    """
    folder = os.path.dirname(file)
    try:
        with local_copy(file, room) as copy:
            for number, row in enumerate(_rows(copy, columns)):
                reason = row.reason or _reason(row.path, columns.paths)
                if reason is not None:
                    yield Found(f"{file}:{number}", reason=reason)
                elif selection.keeps(from_table(row.path or "")):
                    yield _found(folder, row)
    except (TableError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        yield Found(file, reason=f"cannot be read as a list of images: {said or repr(error)}")


def starts_table(line: str, column: str) -> bool:
    """Whether a line is the first of a table of text with such a column."""
    cells = (cell.strip().strip('"') for cell in re.split("[,;\t]", line))
    return column in cells or column in (_object(line) or {})


def has_labels(file: str, columns: IndexColumns) -> bool:
    """Whether an index file has a column of labels, as one of text at a URL may."""
    try:
        if file.lower().endswith(PARQUET):
            names = plain_columns(read_footer(file, groups=False).columns)
        elif is_url(file):
            return True
        else:
            names = _names_in(file)
        return columns.labels.among(names) is not None
    except (TableError, OSError):
        return False


def path_rows(
    path: str, paths: str, asked: str | None, before: str | None
) -> Iterator[list[tuple[Any, bytes]]]:
    """The path and the label in each row of Parquet, for `rows_apart`; `asked` and `before`: those
    of `LabelColumn`. Raises TableError."""
    import polars

    footer = read_footer(path)
    names = plain_columns(footer.columns)
    refuse_absent(names, paths, OPTION)
    label = LabelColumn(asked, before).among(names)
    classes = class_names(path).get(label or "", ())
    for _, frame in frames(path, footer, list({paths, label or paths})):
        if frame[paths].dtype != polars.String:
            raise TableError(f"its column {paths} holds no paths, but {frame[paths].dtype}")
        labels = labels_of(frame[label], classes) if label else [None] * len(frame)
        yield [(row, b"") for row in zip(frame[paths].to_list(), labels, strict=True)]


def _reason(path: str | None, column: str) -> str | None:
    """Why a row lists no file; None if it may."""
    if not path:
        return f"has no path in the column {column}"
    try:
        named = b"\0" not in os.fsencode(from_table(path))
    except UnicodeEncodeError:  # of a surrogate, which JSON may hold
        named = False
    return None if named else NO_NAME


def _found(folder: str, row: _Row) -> Found:
    """The file that a row lists."""
    path = from_table(row.path or "")
    if is_url(path):
        return refused_at(path) or Found(path, row.label, path, from_table=True)
    path = os.path.join(folder, path)
    return Found(path, row.label, path, from_table=True)


def _rows(file: str, columns: IndexColumns) -> Iterator[_Row]:
    """The rows of an index file. Raises TableError, or OSError."""
    if file.lower().endswith(PARQUET):
        memory = MEMORY + os.stat(file).st_size
        for described, _ in rows_apart(ROWS, Path(file), memory, columns.paths, *columns.labels):
            yield _Row(*described)
        return
    with _opened(file) as opened:
        try:
            yield from (_of_json if file.lower().endswith(LINES) else _of_cells)(
                file, _lines(opened), columns
            )
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise TableError(f"it is not a gzip file, or is damaged ({error})") from None


def _opened(file: str) -> IO[str]:
    if file.lower().endswith(".gz"):
        return gzip.open(file, "rt", 9, "utf-8-sig", "surrogateescape", "")
    return open(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _lines(file: IO[str]) -> Iterator[str]:
    """The lines of a file. Raises TableError for one that is too long."""
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise TableError(f"it has a line of more than {LONGEST_LINE:,} characters")
        yield line


def _of_cells(file: str, lines: Iterator[str], columns: IndexColumns) -> Iterator[_Row]:
    """The rows of CSV or TSV."""
    rows = _cells(file, lines)
    names = next(rows, [])
    refuse_absent(names, columns.paths, OPTION)
    label = columns.labels.among(names)
    place, of_label = names.index(columns.paths), names.index(label) if label else len(names)
    for row in rows:
        if row:
            path, found = (row[at] if at < len(row) else "" for at in (place, of_label))
            yield _Row(path, spelt(found) if found else None)


def _cells(file: str, lines: Iterator[str]) -> Iterator[list[str]]:
    """The cells of each line; without a comma in the first, semicolons separate. Raises
    TableError."""
    first = next(lines, "")
    separator = "," if "," in first or ";" not in first else ";"
    separator = "\t" if file.lower().endswith(TABS) else separator
    reader = csv.reader(itertools.chain([first], lines), delimiter=separator)
    try:
        yield from reader
    except csv.Error as error:
        raise TableError(f"line {reader.line_num} cannot be read ({error})") from None


def _of_json(file: str, lines: Iterator[str], columns: IndexColumns) -> Iterator[_Row]:
    """The rows of JSON Lines: an object each, of which the first has all columns."""
    label, begun = None, False
    for line in lines:
        if not line.strip():
            continue
        row = _object(line)
        if row is None:
            yield _Row(None, None, "is no JSON object")
            continue
        if not begun:
            refuse_absent([*row], columns.paths, OPTION)
            label, begun = columns.labels.among([*row]), True
        path, found = row.get(columns.paths), row.get(label or "")
        known = isinstance(found, str | int | float) and found != ""
        yield _Row(path if isinstance(path, str) else None, spelt(str(found)) if known else None)


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _names_in(file: str) -> list[str]:
    """The columns of an index file of text. Raises TableError, or OSError."""
    with _opened(file) as opened:
        if file.lower().endswith(LINES):
            return [*(_object(next(_lines(opened), "")) or {})]
        return next(_cells(file, _lines(opened)), [])
