"""Reads codes from CSV and JSON Lines."""

import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.table_content import FEATURE, VECTOR, Held, Sparse, TableError
from aectl.errors import first_line

if TYPE_CHECKING:
    from polars import DataFrame

LONGEST_LINE = 16 << 20
"""Maximum bytes of a line of JSON; reading takes up to twenty times as much memory."""

PIECE = 1 << 20
WHOLE = re.compile(r"[0-9]{1,18}")


def of_csv(path: Path, room: int) -> Held:
    """Reads a CSV file. Raises TableError."""
    return of_csv_content(path.read_bytes())


def of_csv_gz(path: Path, room: int) -> Held:
    """Reads a compressed CSV file. Raises TableError, also beyond `room` bytes."""
    return of_csv_content(unpacked(path, room))


def unpacked(path: Path, room: int) -> bytes:
    """Decompresses a file. Raises TableError if it gives more than `room` bytes."""
    pieces, left = [], room
    try:
        with gzip.open(path) as file:
            while piece := file.read(PIECE):
                left -= len(piece)
                if left < 0:
                    raise TableError("it expands to more than 256 MiB and 50 times its size")
                pieces.append(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(f"it is not a gzip file, or is damaged ({error})") from None
    return b"".join(pieces)


def of_csv_content(content: bytes) -> Held:
    """Reads columns f0 ... fN, or `indices` and `values` with spaces between the numbers."""
    import polars
    from polars.exceptions import PolarsError

    try:
        names = polars.read_csv(io.BytesIO(content), n_rows=0, infer_schema=False).columns
        features = in_order(names)
        kinds = dict.fromkeys(names, polars.String) | dict.fromkeys(features, polars.Float32)
        frame = polars.read_csv(io.BytesIO(content), schema_overrides=kinds)
    except PolarsError as error:
        raise TableError(first_line(error)) from None
    paths = _names(frame["path"].to_list()) if "path" in names else None
    if {"indices", "values"} <= set(names):
        return Held(paths, _of_cells(frame))
    return Held(paths, frame.select(features).to_numpy())


def in_order(names: Sequence[str]) -> list[str]:
    """The names of the columns f0, f1, ... in this order.

    Raises TableError if one is missing or occurs twice.
    """
    if again := [name for name in names if "_duplicated_" in name]:  # so polars calls them
        raise TableError(f"it has two columns {again[0].partition('_duplicated_')[0]}")
    found = sorted((name for name in names if FEATURE.fullmatch(name)), key=lambda x: int(x[1:]))
    for number, name in enumerate(found):
        if name != f"f{number}":
            raise TableError(f"it has a column {name}, but no column f{number}")
    return found


def _of_cells(frame: "DataFrame") -> Sparse:
    """Lists of numbers in text, as polars reads them from CSV."""
    cells = {name: [(x or "").split() for x in frame[name].to_list()] for name in SPARSE}
    for row, words in enumerate(cells["indices"]):
        if not all(map(WHOLE.fullmatch, words)):
            raise TableError(f"row {row + 1} has an index that is not a whole number")
    try:
        values = [[float(word) for word in words] for words in cells["values"]]
    except ValueError as error:
        raise TableError(str(error)[:100]) from None
    return joined([list(map(int, words)) for words in cells["indices"]], values)


SPARSE = ("indices", "values")


def joined(indices: Sequence[Sequence[int]], values: Sequence[Sequence[float]]) -> Sparse:
    """Rows of indices and values, one after another."""
    lengths = []
    for row, (some, others) in enumerate(zip(indices, values, strict=True)):
        if len(some) != len(others):
            raise TableError(f"row {row + 1} has {len(some)} indices and {len(others)} values")
        lengths.append(len(some))
    flat = itertools.chain.from_iterable
    try:
        numbers = np.fromiter(flat(values), np.float64)
    except OverflowError:
        raise TableError("it has a feature that is not a finite 32-bit number") from None
    return Sparse(np.cumsum([0, *lengths]), np.fromiter(flat(indices), np.int64), numbers)


def of_json_lines(path: Path, room: int) -> Held:
    """Reads one object per line: f0 ... fN, or `features`, or `indices` and `values`.

    Raises TableError.
    """
    rows = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    if not rows:
        raise TableError("it has no rows")
    keys = list(_object(rows[0], 1))
    names: list[Any] | None = [] if "path" in keys else None
    features, sparse = in_order(keys), set(SPARSE) <= set(keys)
    indices: list[list[int]] = []
    dense: list[NDArray[np.float32]] = []
    lists: list[list[float]] = []
    for number, line in enumerate(rows, 1):
        row = _object(line, number)
        if names is not None:
            names.append(row.get("path"))
        if sparse:
            indices.append(_whole_numbers(row.get("indices"), number))
            lists.append(_numbers(row.get("values"), number))
        else:
            held = row.get(VECTOR) if VECTOR in keys else [row.get(name) for name in features]
            dense.append(_vector(held, number, dense))
    paths = None if names is None else _names(names)
    return Held(paths, joined(indices, lists) if sparse else np.stack(dense))


def _object(line: bytes, number: int) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise TableError(f"row {number} has more than {LONGEST_LINE:,} bytes")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise TableError(f"row {number} is not a JSON object")
    return row


def _numbers(held: Any, row: int) -> list[Any]:
    """Checks that a JSON value is a list of numbers; a boolean is not a number."""
    if not isinstance(held, list) or not {*map(type, held)} <= {int, float}:
        raise TableError(f"row {row} has a feature that is not a finite 32-bit number")
    return held


def _whole_numbers(held: Any, row: int) -> list[int]:
    """Checks that a JSON value is a list of whole numbers."""
    if not isinstance(held, list) or not {*map(type, held)} <= {int}:
        raise TableError(f"row {row} has an index that is not a whole number")
    if not all(abs(value) < 2**63 for value in held):
        raise TableError(f"row {row} has an index that is too large")
    return held


def _vector(held: Any, row: int, before: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """A row of features, (features,), as many as in the rows `before`. Raises TableError."""
    values = _numbers(held, row)
    if before and len(values) != len(before[0]):
        raise TableError(f"row {row} has {len(values)} features, row 1 {len(before[0])}")
    try:
        with np.errstate(over="ignore"):
            return np.array(values, np.float64).astype(np.float32)
    except OverflowError:
        raise TableError(f"row {row} has a feature that is not a finite 32-bit number") from None


def _names(held: list[Any]) -> list[str]:
    return ["" if name is None else str(name) for name in held]
