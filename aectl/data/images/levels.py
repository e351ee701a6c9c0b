"""Scales pixel values of any depth to 8 bits, by the values of black and of white."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.decoding import Remark
from aectl.errors import ImageError

ValueRange = tuple[float, float]

DOUBTFUL, DARK = 4095, 16383
"""The largest values of 12 and of 14 bits, which cameras and microscopes keep in 16."""

OPTION = "train with --value-range LOW,HIGH, the values of black and of white"

CONVERT = "convert it to grey or RGB"

BLOCK = 1 << 18
"""Number of values that are converted at a time, because each needs 8 bytes meanwhile."""

TABLE = 1 << 16
"""The number of 16-bit values; for a large image, the shade of each is computed only once."""

KINDS = {"b": "bits", "u": "unsigned integers", "i": "signed integers", "f": "real numbers"}


class Levels:
    """Scales the values of one image to 0 to 255, some values at a time.

    Unsigned integers of up to 8 bits: white is the largest number of that depth. Others: the range
    that the user `asked` for, where values outside it are clipped; else the range that the file has
    `declared`; else 0 to the largest number of up to 16 unsigned bits, and 0 to 1 for floats.
    Values outside a range that was not asked for are refused; so are images to which no rule
    applies.
    """

    called, way_out = "values", OPTION

    def __init__(
        self,
        kind: str,
        bits: int,
        asked: ValueRange | None = None,
        declared: ValueRange | None = None,
    ) -> None:
        """`kind`: the kind of a NumPy type, b, u, i or f. Raises ImageError."""
        if kind not in KINDS:
            raise ImageError("has pixels that are not real numbers")
        self.identity = kind == "u" and bits == 8
        shallow = kind == "b" or (kind == "u" and bits <= 8)
        self.asked = not shallow and asked is not None
        self.guessed = False
        self.lowest, self.highest = np.inf, -np.inf
        if self.asked:
            assert asked is not None
            self.black, self.white = asked
        elif not shallow and declared is not None and declared[0] < declared[1]:
            self.black, self.white = declared
        elif shallow or (kind == "u" and bits <= 16):
            self.black, self.white = 0, 2**bits - 1
            self.guessed = bits == 16
        elif kind == "f":
            self.black, self.white = 0, 1
        else:
            raise ImageError(
                f"has {KINDS[kind]} of {bits} bits, and its white is not known: {OPTION}"
            )

    def __call__(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Values, of any shape, as 8 bits. Raises ImageError."""
        if self.identity:
            return values
        many = values.dtype.kind == "u" and values.itemsize <= 2 and values.size > 2 * TABLE
        made = np.empty(values.shape, np.uint8)
        rows = max(1, BLOCK * len(values) // max(1, values.size))
        for top in range(0, len(values), rows):
            part = values[top : top + rows]
            self._see(part)
            made[top : top + rows] = (
                self._table.take(part) if many else self._scaled(part.astype(np.float64))
            )
        return made

    def remarks(self) -> tuple[Remark, ...]:
        """The remarks, after all values were scaled.

        Raises ImageError for 16-bit images without a value above 4,095: such an image may be that
        dark, but more often it has 12 bits and should be 16 times as bright. An image that is
        all black is black either way.
        """
        if not self.guessed or self.highest > DARK or self.highest == 0:
            return ()
        if self.highest > DOUBTFUL:
            return (Remark.DARK,)
        raise ImageError(
            f"has 16 bits, but no value above {self.highest:.0f}: train with --value-range"
            f" 0,{DOUBTFUL} if {DOUBTFUL} is white, with --value-range 0,65535 if it is that dark"
        )

    @cached_property
    def _table(self) -> NDArray[np.uint8]:
        """The shade of each 16-bit value: (65536,)."""
        return self._scaled(np.arange(TABLE, dtype=np.float64))

    def _see(self, values: NDArray[Any]) -> None:
        """Updates the lowest and highest value. Raises ImageError for values outside the range."""
        lowest, highest = float(values.min()), float(values.max())
        if not np.isfinite(lowest + highest):
            raise ImageError("has pixels that are not finite numbers")
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
        if not self.asked and (lowest < self.black or highest > self.white):
            raise ImageError(
                f"has {self.called} from {self.lowest:g} to {self.highest:g}, where black is"
                f" {self.black:g} and white {self.white:g}: {self.way_out}"
            )

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        scaled = (values - self.black) * 255 / (self.white - self.black)
        eight: NDArray[np.uint8] = np.rint(scaled.clip(0, 255)).astype(np.uint8)
        return eight


class Opacity(Levels):
    """Scales an alpha channel: opaque is 1 in floats, else the largest number of up to 16 bits."""

    called, way_out = "an alpha channel", CONVERT

    def __init__(self, kind: str, bits: int) -> None:
        """Raises ImageError for signed integers, and integers of more than 16 bits."""
        if kind == "i" or (kind == "u" and bits > 16):
            raise ImageError(f"has an alpha channel of {bits}-bit integers: {CONVERT}")
        super().__init__(kind, bits)

    def check(self) -> None:
        """Raises ImageError, after all values were scaled, if 16 bits are more likely to be 12."""
        if self.guessed and 0 < self.highest <= DOUBTFUL:
            raise ImageError(
                f"has an alpha channel of 16 bits, but no value in it above {self.highest:.0f}:"
                f" {CONVERT}"
            )
