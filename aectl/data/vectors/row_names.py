"""The names and labels of the rows of several files of vectors, one after the other."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aectl.data.vectors.vector_inputs import NamedVectors


@dataclass(frozen=True)
class RowNames:
    """The names and labels of rows. Of each file: `ends`, the number of the row after its last;
    and its name, and the names and labels of its rows, if it has some; `folders`: the label that
    all its rows have.
    """

    ends: Sequence[int] = ()
    files: Sequence[str] = ()
    ids: Sequence[Sequence[str]] = ()
    labels: Sequence[Sequence[str | None]] = ()
    folders: Sequence[str | None] = ()

    @classmethod
    def of(cls, named: Sequence[NamedVectors]) -> "RowNames":
        """Those of the rows of some files."""
        return cls(
            np.cumsum([len(one.file) for one in named]).tolist(),
            [one.name for one in named],
            [one.file.ids for one in named],
            [one.file.labels for one in named],
            [one.label for one in named],
        )

    def path(self, row: int) -> str:
        """The name of a row, such as `acts.npy:17`, as `NamedVectors.path` gives it."""
        file, within = self._place(row)
        return self.ids[file][within] if len(self.ids[file]) else f"{self.files[file]}:{within}"

    def label(self, row: int) -> str | None:
        """The label of a row, as `NamedVectors.label_of` gives it."""
        file, within = self._place(row)
        return self.labels[file][within] if len(self.labels[file]) else self.folders[file]

    def _place(self, row: int) -> tuple[int, int]:
        file = bisect_right(self.ends, row)
        return file, row - (self.ends[file - 1] if file else 0)
