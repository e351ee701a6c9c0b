"""The rows of a file of vectors, read in blocks."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.table_content import TableError
from aectl.errors import DataError

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

    @property
    def stays(self) -> bool:
        """Whether the rows stay in the file, one behind the other, until some are read."""
        return isinstance(self.rows, np.memmap) and bool(self.rows.flags.c_contiguous)

    def block(self, first: int, end: int) -> Floats32:
        """The rows from `first` on, before `end`, as float32: numbers beyond its range are
        infinite."""
        found = np.empty((len(self.rows[first:end]), self.width), np.float32)
        self.read(first, found)
        return found

    def read(self, first: int, into: Floats32, alone: bool = False) -> None:
        """The same for as many rows as `into` has, without more memory than that; `alone`, if the
        rows after them are not read next.

        Raises DataError where the file has become shorter, and OSError.
        """
        if not self.stays:
            self._convert(self.rows[first : first + len(into)], into)
        elif self.rows.dtype == np.dtype("<f4") == into.dtype:
            self._read(first, into, alone)
        else:
            found = np.empty(into.shape, self.rows.dtype)
            self._read(first, found, alone)
            self._convert(found, into)

    def _read(self, first: int, into: NDArray[Any], alone: bool) -> None:
        """Reads rows as they are in the file; pages that are mapped would stay in memory."""
        assert isinstance(self.rows, np.memmap)
        left = into.data.cast("B")
        with open(str(self.rows.filename), "rb", buffering=0) as file:
            if alone:  # else the system reads what follows, too
                with contextlib.suppress(AttributeError, OSError):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            file.seek(self.rows.offset + first * self.rows.strides[0])
            while left:
                got = file.readinto(left)
                if not got:
                    raise DataError(f"{self.rows.filename} became shorter while it was read")
                left = left[got:]

    def _convert(self, rows: NDArray[Any], into: Floats32) -> None:
        if self.bfloat16:
            bits = into.view(np.uint32)
            np.left_shift(rows, np.uint32(16), out=bits, dtype=np.uint32, casting="unsafe")
            return
        with np.errstate(over="ignore"):
            into[...] = rows


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
