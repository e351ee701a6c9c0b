"""Reads tables of numbers as columns: JSON Lines and Parquet."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import is_utf_8
from aectl.data.codes.code_lines import LONGEST_LINE
from aectl.data.codes.table_content import TableError
from aectl.data.frame_process import Sent, read_apart
from aectl.data.storage.parquet_footer import image_column
from aectl.data.vectors.columns import NAMELESS, Columns, Texts

if TYPE_CHECKING:
    from polars import DataFrame, Series

EXACT = 1 << 53
"""The whole numbers up to which 64-bit floats hold all."""


def of_json_lines(path: Path, room: int) -> Columns:
    """Reads one object a line, whose values are numbers, lists of numbers, or texts; or one list of
    numbers a line. Raises TableError.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip():
            rows.append(_object(line, number))
    if not rows:
        raise TableError("it has no rows")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not all(map(is_utf_8, names)):
        raise TableError("the name of a column holds an unpaired surrogate")
    return {name: _column(name, [row.get(name) for row in rows]) for name in names}


def _object(line: bytes, number: int) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise TableError(f"line {number} has more than {LONGEST_LINE:,} bytes")
    try:
        row = json.loads(line, object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        raise TableError(f"line {number} is not JSON") from None
    if isinstance(row, list):
        return {"features": row}
    if not isinstance(row, dict):
        raise TableError(f"line {number} is neither an object nor a list of numbers")
    return row


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The values of an object by name. Raises TableError for two of the same name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for name in names if names.count(name) > 1)
        raise TableError(f"it has two columns {again or NAMELESS}")
    return found


def _column(name: str, values: list[Any]) -> "NDArray[Any] | Texts":
    """The values of a column as numbers, vectors or texts."""
    kinds = {*map(type, values)} - {type(None)}
    try:
        if kinds == {int}:
            return _whole_numbers(values)
        if kinds <= {int, float, bool}:
            return np.array([np.nan if value is None else value for value in values], np.float64)
        if kinds == {list}:
            return _vectors(name, values)
    except OverflowError:
        raise TableError(f"its column {name} has a number beyond 64-bit floats") from None
    return [value if value is None or isinstance(value, str) else repr(value) for value in values]


def _whole_numbers(values: list[int | None]) -> "NDArray[Any]":
    """Whole numbers exactly, as names of rows must be, with NaN for None; as Python's own where no
    type of NumPy can hold them. Raises OverflowError beyond 64-bit floats.
    """
    known = [value for value in values if value is not None]
    largest = max(map(abs, known))
    if len(known) == len(values) and largest < 1 << 63:
        return np.array(known, np.int64)
    kind = np.float64 if float(largest) <= EXACT else object
    return np.array([np.nan if value is None else value for value in values], kind)


def _vectors(name: str, values: Sequence[list[Any] | None]) -> "NDArray[Any] | Texts":
    """Lists of numbers as rows of one width; a missing list is a row without values."""
    widths = [None if value is None else len(value) for value in values]
    width = next(one for one in widths if one is not None)
    for number, (value, one) in enumerate(zip(values, widths, strict=True)):
        if one is not None and one != width:
            raise TableError(
                f"its rows have different numbers of values in {name}: row {number} (from 0) has"
                f" {one}, row 0 {width}"
            )
        if value and not {*map(type, value)} <= {int, float, bool, type(None)}:
            raise TableError(f"its column {name} holds lists of other things than numbers")
    empty = [None] * width
    return np.array(
        [[np.nan if one is None else one for one in value or empty] for value in values], np.float64
    )


def of_parquet(path: Path, room: int) -> Columns:
    """Reads columns of numbers, of lists of numbers, or of text.

    Raises TableError for a file of images, for one that is damaged, and if it needs more than
    `room` bytes of memory.
    """
    if image := image_column(str(path)):
        raise TableError(f"its column {image} holds images, which a model of images reads")
    described, arrays = read_apart("aectl.data.vectors.vector_tables:columns_of_frame", path, room)
    found, left = dict[str, NDArray[Any] | Texts](), iter(arrays)
    for name, values in described:
        found[name] = next(left) if values is None else _column(name, values)
    return found


def columns_of_frame(frame: "DataFrame") -> Sent:
    """The name of each column, with its values if these are text, or whole numbers that an array
    would round; the numbers of the others."""
    described, arrays = list[tuple[str, list[Any] | None]](), []
    for name in frame.columns:
        column = frame[name]
        if _would_be_rounded(column):
            described.append((name, column.to_list()))
        elif (numbers := _numbers(column)) is None:
            described.append((name, _texts(column)))
        else:
            described.append((name, None))
            arrays.append(numbers)
    return Sent(described, arrays)


def _numbers(column: "Series") -> "NDArray[Any] | None":
    """The numbers, (n,), or vectors, (n, width), of a column; None for any other."""
    import polars

    kind = column.dtype
    if isinstance(kind, polars.Array):
        column, kind = column.arr.to_list(), polars.List(kind.inner)
    if isinstance(kind, polars.List):
        inner = kind.inner
        if inner is None or not (inner.is_numeric() or inner == polars.Null):
            return None
        return _lists(column)
    if kind == polars.Boolean:
        column = column.cast(polars.UInt8)
    elif kind == polars.Null or kind.is_decimal():
        column = column.cast(polars.Float64)
    elif not kind.is_numeric():
        return None
    return column.to_numpy()


def _would_be_rounded(column: "Series") -> bool:
    """Whether whole numbers become floats, since one is missing, that cannot hold them."""
    if not column.dtype.is_integer() or not column.null_count():
        return False
    ends: list[Any] = [column.max() or 0, column.min() or 0]
    return bool(max(map(abs, ends)) > EXACT)


def _lists(column: "Series") -> "NDArray[Any]":
    """Lists of numbers as rows of one width; a missing list is a row without values."""
    import polars

    lengths = column.list.len()
    width = int(lengths.max() or 0)  # type: ignore[arg-type]
    if not width:
        raise TableError(f"its column {column.name} holds empty lists")
    if (lengths.fill_null(width) != width).any():
        raise TableError(f"its rows have different numbers of values in {column.name}")
    if column.null_count():
        empty = polars.Series([[None] * width], dtype=column.dtype)
        column = column.fill_null(polars.lit(empty.first(), dtype=column.dtype))
    return column.explode().to_numpy().reshape(len(column), width)


def _texts(column: "Series") -> Texts:
    import polars

    if column.dtype == polars.Binary:
        found = column.to_list()
        return [None if one is None else one.decode("utf-8", "surrogateescape") for one in found]
    return [None if one is None else str(one) for one in column.to_list()]
