"""The names and labels of the rows of several files of vectors, one after the other."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aectl.data.vectors.vector_inputs import FileRows, NamedVectors


@dataclass(frozen=True)
class RowNames:
    """The names and labels of rows; `ends`: the number of the row after the last of each file."""

    files: Sequence[FileRows] = ()
    ends: Sequence[int] = ()

    @classmethod
    def of(cls, named: Sequence[NamedVectors]) -> "RowNames":
        """Those of the rows of some files."""
        ends = np.cumsum([len(one.file) for one in named]).tolist()
        return cls([one.rows for one in named], ends)

    def path(self, row: int) -> str:
        """The name of a row, such as `acts.npy:17`."""
        file, within = self._place(row)
        return file.path(within)

    def label(self, row: int) -> str | None:
        """The label of a row."""
        file, within = self._place(row)
        return file.label(within)

    def _place(self, row: int) -> tuple[FileRows, int]:
        number = bisect_right(self.ends, row)
        return self.files[number], row - (self.ends[number - 1] if number else 0)
