"""The rows of a file of vectors, read in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.table_content import TableError

Floats32 = NDArray[np.float32]

BLOCK_BYTES = 1 << 24
"""Bytes of a block of rows as float32, which is read at a time."""

NUMBERS = "fiub"
"""NumPy's kinds of numbers: floating, whole, whole without sign, and truth values."""


@dataclass(frozen=True)
class VectorFile:
    """The vectors of a file: `rows`, (n, features), numbers of any type, which may be mapped into
    memory; bfloat16 as its bits, uint16.

    `columns`: the names of the features; `ids`, `labels`: the identity and the label of each row;
    `remarks`: what was guessed of its columns. Each is empty where the file has none.
    """

    rows: NDArray[Any]
    bfloat16: bool = False
    columns: tuple[str, ...] = ()
    ids: Sequence[str] = ()
    labels: Sequence[str | None] = ()
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """The number of features."""
        return int(self.rows.shape[1])

    @property
    def block_rows(self) -> int:
        """The number of rows of a block."""
        return max(1, BLOCK_BYTES // (4 * self.width))

    def block(self, first: int, end: int) -> Floats32:
        """The rows from `first` on, before `end`, as float32: numbers beyond its range are
        infinite."""
        part = self.rows[first:end]
        if self.bfloat16:
            return (part.astype(np.uint32) << np.uint32(16)).view(np.float32)
        with np.errstate(over="ignore"):
            return np.array(part, np.float32, order="C")  # a copy, which may be written to


def checked(rows: NDArray[Any], name: str = "") -> NDArray[Any]:
    """The array, if it holds vectors. Raises TableError."""
    called = f"its array {name}" if name else "it"
    if rows.dtype.kind not in NUMBERS or rows.dtype.names:
        raise TableError(f"{called} does not hold numbers ({rows.dtype})")
    if rows.ndim != 2:
        raise TableError(
            f"{called} has the shape {rows.shape}; a file of vectors has two dimensions, rows and"
            " features: reshape it"
        )
    if not len(rows):
        raise TableError(f"{called} has no rows")
    if not rows.shape[1]:
        raise TableError(f"{called} has no features")
    return rows
