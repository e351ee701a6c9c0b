"""Codes from a table that `encode` or another program wrote, checked before anything uses them."""

import os
import pkgutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import from_table
from aectl.config.table_formats import TABLE_FORMATS
from aectl.data.codes.code_lines import of_csv_content
from aectl.data.codes.table_content import VECTOR, Held, Sparse, TableError
from aectl.errors import DataError

LEAST_ROOM, ROOM_PER_BYTE = 256 << 20, 50
"""Bytes that a file of any size may expand to, and further bytes for each of its bytes."""


@dataclass(frozen=True)
class Codes:
    """The codes of n inputs, and the name of each: its path in the table, else its row.

    A sparse table stays sparse in memory; `part` gives some rows of either kind.
    """

    names: Sequence[str]
    units: int
    _features: "NDArray[np.float32] | Sparse"

    def __len__(self) -> int:
        return len(self.names)

    def part(self, rows: slice) -> NDArray[np.float32]:
        """The codes of some rows: (rows, units)."""
        held = self._features
        if not isinstance(held, Sparse):
            return held[rows]
        first, last, _ = rows.indices(len(self))
        ends = held.ends[first : last + 1]
        codes = np.zeros((last - first, self.units), np.float32)
        within = slice(ends[0], ends[-1])
        places = np.repeat(np.arange(last - first), np.diff(ends))
        codes[places, held.indices[within]] = held.values[within]
        return codes


def read_codes(path: Path, stdin: BinaryIO | None, units: int) -> Codes:
    """Reads the codes in a file of one of TABLE_FORMATS; `-` is CSV on stdin.

    Codes are in columns f0 ... fN, vectors in a column `features`, or the `indices` and `values` of
    the sparse layout. Raises DataError for any other table, for one that expands beyond
    `LEAST_ROOM` and `ROOM_PER_BYTE`, and for codes that are not `units` finite numbers per row.
    """
    try:
        held = _read(path, stdin)
        features = _checked(held.features, units)
        rows = len(features.ends) - 1 if isinstance(features, Sparse) else len(features)
        names = _checked_names(held.names, rows)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except TableError as error:
        raise DataError(f"cannot read {path}: {error}") from None
    return Codes(names, units, features)


def _read(path: Path, stdin: BinaryIO | None) -> Held:
    if str(path) == "-":
        assert stdin is not None
        return of_csv_content(stdin.read())
    for ending, row in TABLE_FORMATS.items():
        if path.name.lower().endswith(ending):
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise TableError("it is not a regular file (use - for CSV on stdin)")
            reader: Callable[[Path, int], Held] = pkgutil.resolve_name(row.reader)
            return reader(path, _room(path))
    raise TableError(f"codes are read from files that end in {' '.join(TABLE_FORMATS)}")


def _room(path: Path) -> int:
    """The number of bytes that a file may expand to."""
    return max(LEAST_ROOM, ROOM_PER_BYTE * os.stat(path).st_size)


def _checked_names(names: Sequence[str] | None, rows: int) -> Sequence[str]:
    """One name per row: that in the table, else the number of the row, from 0."""
    if names is None:
        return [str(row) for row in range(rows)]
    if len(names) != rows:
        raise TableError(f"it has {len(names)} paths for {rows} rows")
    try:
        "".join(names).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise TableError("it has a path with an unpaired surrogate") from None
    return list(map(from_table, names))


def _checked(held: "NDArray[Any] | Sparse", units: int) -> "NDArray[np.float32] | Sparse":
    """The features as float32, after all values that libraries would trust are checked."""
    if isinstance(held, Sparse):
        return _checked_sparse(held, units)
    if held.ndim != 2:
        raise TableError(f"its features have {held.ndim} dimensions, not 2")
    _check_width(held.shape[1], units)
    _check_rows(len(held))
    values, finite = _numbers(held)
    if not finite.all():
        _refuse_value(int(np.argmin(finite.all(1))))
    return values


def _checked_sparse(held: Sparse, units: int) -> Sparse:
    ends, indices = _whole(held.ends, "indptr"), _whole(held.indices, "indices")
    values, finite = _numbers(held.values)
    if values.ndim != 1 or len(values) != len(indices):
        raise TableError(f"it has {len(indices)} indices for {values.size} values")
    if not len(ends) or ends[0] != 0 or ends[-1] != len(indices) or (np.diff(ends) < 0).any():
        raise TableError("its indptr does not rise from 0 to the number of its values")
    if held.units is not None:
        _check_width(held.units, units)
    _check_rows(len(ends) - 1)
    rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    outside = (indices < 0) | (indices >= units)
    if outside.any():
        first = int(np.argmax(outside))
        raise TableError(
            f"row {rows[first] + 1} has unit {indices[first]}, beyond the {units} of the model's"
            " code, counted from 0"
        )
    order = np.lexsort((indices, rows))
    same = (np.diff(rows[order]) == 0) & (np.diff(indices[order]) == 0)
    if same.any():
        raise TableError(f"row {rows[order][int(np.argmax(same))] + 1} has the same unit twice")
    if not finite.all():
        _refuse_value(int(rows[int(np.argmin(finite))]))
    return Sparse(ends, indices, values, units)


def _whole(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    """An array of whole numbers, in one dimension, as int64."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TableError(f"its {name} are not a list of whole numbers")
    if array.dtype.kind == "u" and len(array) and array.max() > np.iinfo(np.int64).max:
        raise TableError(f"its {name} are too large")
    return array.astype(np.int64)


def _numbers(array: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Numbers as float32, and whether each is finite as float32."""
    if array.dtype.kind not in "fiu":
        raise TableError(f"its features are not numbers ({array.dtype})")
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(array, np.float32)
    return values, np.isfinite(values)


def _refuse_value(row: int) -> None:
    raise TableError(f"row {row + 1} has a feature that is not a finite 32-bit number")


def _check_width(held: int, units: int) -> None:
    if not held:
        raise TableError(
            f"it has no features: columns f0 to f{units - 1} separated by commas, {VECTOR}, or"
            " indices and values"
        )
    if held != units:
        raise TableError(f"it has {held} features a row; the model's code has {units} units")


def _check_rows(rows: int) -> None:
    if not rows:
        raise TableError("it has no rows")
