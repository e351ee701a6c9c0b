"""Rows of tables: the columns that verbs share, and rows left out, sorted and joined."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aectl.data.named_inputs import Position
    from aectl.data.storage.folders import OnBad

NOT_FINITE = "the model's output for it is not finite"

BEYOND_HALF = "its code has numbers above 65,504, the limit of float16; use --dtype float32"

Column = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Rows of a table: named columns of n values (text in lists, numbers in arrays), and features.

    features: (n, d), float32 or float16; `position`: the position in the inputs after these rows.
    """

    columns: dict[str, Column]
    features: NDArray[Any] | None = None
    position: "Position | None" = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def finite_rows(rows: Rows, on_bad: "OnBad") -> Rows:
    """The rows whose numbers are all finite; `on_bad` is called with the paths of the others.

    Tables of aectl contain only finite numbers, because JSON has no others, and the mean of a
    column with one would not be finite either.
    """
    numbers = [
        c for c in rows.columns.values() if isinstance(c, np.ndarray) and c.dtype.kind == "f"
    ]
    if rows.features is not None:
        numbers.append(rows.features)
    sound = np.ones(len(rows), bool)
    for array in numbers:
        sound &= np.isfinite(array).reshape(len(rows), -1).all(1)
    if sound.all():
        return rows
    half = rows.features is not None and rows.features.dtype == np.float16
    for number in np.flatnonzero(~sound).tolist():
        on_bad(rows.columns["path"][number], BEYOND_HALF if half else NOT_FINITE)
    kept = np.flatnonzero(sound)
    columns = {name: _taken(column, kept) for name, column in rows.columns.items()}
    features = None if rows.features is None else rows.features[kept]
    return Rows(columns, features, rows.position)


def _taken(column: Column, rows: NDArray[np.int64]) -> Column:
    """The values of a column in some rows, in their order."""
    return column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows]


def leading_columns(
    batch: Any, labelled: bool, truncated: Collection[int] | None = None
) -> dict[str, Column]:
    """The first columns of each table: `path`; `label` if inputs have labels; and, if `truncated`,
    the indices of truncated images, is given, a column that is 1 for those, else 0.
    """
    columns: dict[str, Column] = {"path": batch.paths}
    if labelled:
        columns["label"] = batch.labels
    if truncated is not None:
        rows = range(len(batch.paths))
        columns["truncated"] = np.array([row in truncated for row in rows], np.uint8)
    return columns


def class_columns(
    classes: Sequence[str], predictions: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, Column]:
    """Columns of the most probable classes and their probabilities, most probable first: (n, k)."""
    columns: dict[str, Column] = {}
    for rank in range(predictions.shape[1]):
        suffix = f"_{rank + 1}" if rank else ""
        columns["prediction" + suffix] = [classes[i] for i in predictions[:, rank]]
        columns["probability" + suffix] = probabilities[:, rank]
    return columns


def size_of(rows: Rows) -> int:
    """The number of values that are most of what rows take: features, else the rows."""
    return len(rows) if rows.features is None else rows.features.size


def joined(parts: Sequence[Rows]) -> Rows:
    """Concatenates rows with the same columns."""
    columns: dict[str, Column] = {}
    for name, column in parts[0].columns.items():
        pieces = [part.columns[name] for part in parts]
        if isinstance(column, np.ndarray):
            columns[name] = np.concatenate(pieces)
        else:
            columns[name] = [value for piece in pieces for value in piece]
    features = [part.features for part in parts if part.features is not None]
    return Rows(columns, np.concatenate(features) if features else None, parts[-1].position)


def sorted_rows(parts: Iterable[Rows], by: str, descending: bool) -> Iterator[Rows]:
    """All rows at once, sorted by a column; rows with equal values keep their order."""
    if not (all_parts := list(parts)):
        return
    rows = joined(all_parts)
    values = np.asarray(rows.columns[by])
    order = np.argsort(-values if descending else values, kind="stable")
    yield Rows({name: _taken(column, order) for name, column in rows.columns.items()})
