"""Rows as data frames of polars, as formats of tables write them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import spelt
from aectl.outputs.rows import Rows

if TYPE_CHECKING:
    from polars import DataFrame, DataType


def _in_utf8(column: Sequence[str | None]) -> Sequence[str | None]:
    """A column of text in valid UTF-8, which names of files need not be."""
    try:
        "".join(value for value in column if value).encode()
    except UnicodeEncodeError:
        return [value if value is None else spelt(value) for value in column]
    return column


def frame_of(rows: Rows, layout: str) -> "DataFrame":
    """The frame of some rows, with their features in a layout: columns, vector or sparse."""
    import polars

    frame = polars.DataFrame(
        [
            polars.Series(name, column)
            if isinstance(column, np.ndarray)
            else polars.Series(name, _in_utf8(column), dtype=polars.String)
            for name, column in rows.columns.items()
        ]
    )
    if rows.features is None:
        return frame
    features = np.ascontiguousarray(rows.features)
    if layout == "columns":
        names = [f"f{number}" for number in range(features.shape[1])]
        return frame.hstack(polars.from_numpy(features, schema=names))
    if layout == "vector":
        return frame.with_columns(features=polars.Series(features))
    active, indices = np.nonzero(features)
    ends = np.cumsum(np.bincount(active, minlength=len(features)))[:-1]
    found = {"indices": indices.astype(np.uint32), "values": features[active, indices]}
    return frame.with_columns(
        polars.Series(name, np.split(numbers, ends)).cast(polars.List(_kind(numbers)))
        for name, numbers in found.items()
    )


def _kind(numbers: NDArray[Any]) -> "DataType":
    """The polars type of an array's numbers."""
    import polars

    return polars.Series(numbers[:0]).dtype
