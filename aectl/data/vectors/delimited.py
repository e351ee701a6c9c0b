"""Reads CSV and TSV as columns, piece by piece: all cells of a table as text take several times the
memory of the file."""

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.code_lines import unpacked
from aectl.data.codes.table_content import TableError
from aectl.data.vectors.columns import NAMELESS, Columns, Texts, Wanted
from aectl.errors import first_line

if TYPE_CHECKING:
    from polars import DataFrame

MISSING = ("NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
"""Words that stand for a missing value, as an empty cell does."""

BOM = b"\xef\xbb\xbf"
"""The mark at the start of UTF-8 text that some programs write."""

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")

PIECE, ROWS = 8 << 20, 1000
"""Bytes and, about, rows of a table that are read at a time, at least: each column takes time."""

Cells = NDArray[Any] | Texts


def of_delimited(path: Path, room: int, wanted: Wanted) -> Columns:
    """Reads CSV, or TSV by the extension, compressed or not. Raises TableError."""
    name = path.name.lower()
    content = unpacked(path, room) if name.endswith(".gz") else path.read_bytes()
    tabs = name.removesuffix(".gz").endswith(".tsv")
    return of_delimited_content(content, wanted, "\t" if tabs else None)


def of_delimited_content(content: bytes, wanted: Wanted, separator: str | None = None) -> Columns:
    """Reads CSV. A first line of numbers alone is a row, and columns have no names then; without a
    comma in it, semicolons separate. Columns that name or label rows are text, as it stands there.

    Raises TableError.
    """
    try:
        first = content.removeprefix(BOM).split(b"\n", 1)[0].decode().strip()
    except UnicodeDecodeError:
        raise TableError("it is not UTF-8") from None
    if not first:
        raise TableError("it is empty, or begins with an empty line")
    separator = separator or ("," if "," in first or ";" not in first else ";")
    has_header = not all(map(NUMBER.fullmatch, first.split(separator)))
    found = _columns(_pieces(content, max(PIECE, ROWS * len(first))), separator, has_header, wanted)
    if any(len({*map(type, parts)}) > 1 for parts in found.values()):  # text in some pieces alone
        found = _columns([content], separator, has_header, wanted)
    return {name: _joined(found.pop(name)) for name in [*found]}


def _pieces(content: bytes, size: int) -> Iterator[bytes]:
    """The lines of a table, at least `size` bytes at a time; all at once where there are quotes,
    within which a line may end."""
    start, quoted = 0, b'"' in content
    while start < len(content):
        end = content.find(b"\n", start + size) + 1
        if quoted or not end or len(content) - end < size:
            end = len(content)
        yield content[start:end]
        start = end


def _columns(
    pieces: Iterable[bytes], separator: str, has_header: bool, wanted: Wanted
) -> dict[str, list[Cells]]:
    """The columns of a table by name, each in as many parts as there are pieces."""
    found: dict[str, list[Cells]] = {}
    rows = 0
    for piece in pieces:
        names = f"{separator.join(found)}\n".encode() if found else b""
        frame = _frame(names + piece, separator, has_header or bool(found))
        rows += len(frame)
        for name, column in _cells(frame, wanted):
            found.setdefault(name, []).append(column)
    if not rows:
        raise TableError("it has no rows")
    return found


def _frame(content: bytes, separator: str, has_header: bool) -> "DataFrame":
    """Some lines of a table as text."""
    import polars
    from polars.exceptions import PolarsError

    try:
        frame = polars.read_csv(
            io.BytesIO(content), separator=separator, has_header=has_header, infer_schema=False,
            null_values=list(MISSING),
        )  # fmt: skip
    except PolarsError as error:
        said = first_line(error)
        raise TableError(_in_words(said)) from None
    if again := [name for name in frame.columns if "_duplicated_" in name]:  # so polars calls them
        raise TableError(f"it has two columns {again[0].partition('_duplicated_')[0] or NAMELESS}")
    return frame


def _cells(frame: "DataFrame", wanted: Wanted) -> Iterator[tuple[str, Cells]]:
    """Each column of text by its name, as numbers if all its cells are numbers or missing."""
    import polars

    stripped = frame.with_columns(polars.all().str.strip_chars().replace("", None))
    numbers = stripped.with_columns(polars.all().cast(polars.Float32, strict=False))
    before, after = stripped.null_count().row(0), numbers.null_count().row(0)
    for name, missing, left in zip(frame.columns, before, after, strict=True):
        is_number = missing == left and not wanted.as_text(name)
        yield name, numbers[name].to_numpy() if is_number else frame[name].to_list()


def _joined(parts: list[Any]) -> Cells:
    """The parts of a column as one."""
    if len(parts) == 1:
        return parts[0]  # type: ignore[no-any-return]
    if isinstance(parts[0], list):
        return [*chain.from_iterable(parts)]
    return np.concatenate(parts)


def _in_words(said: str) -> str:
    if "utf-8" in said.lower():
        return "it is not UTF-8"
    if "more fields than defined" in said:
        return "a row has more values than the first line has names"
    if said.startswith("could not parse"):
        return "a quote is not closed, or stands where none can"
    return said
