"""Reads codes from Parquet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.code_lines import in_order
from aectl.data.codes.table_content import VECTOR, Held, Sparse, TableError
from aectl.data.frame_process import Sent, read_apart

if TYPE_CHECKING:
    from polars import DataFrame, Series


def of_parquet(path: Path, room: int) -> Held:
    """Reads columns f0 ... fN, or `features`, or `indices` and `values`.

    Raises TableError for anything else, and if they need more than `room` bytes of memory.
    """
    names, arrays = read_apart("aectl.data.codes.code_frames:codes_of_frame", path, room)
    if len(arrays) == 1:
        return Held(names, arrays[0])
    ends, indices, values = arrays
    return Held(names, Sparse(ends, indices, values))


def codes_of_frame(frame: "DataFrame") -> Sent:
    """The names of the rows, and the features or the arrays of `Sparse`."""
    held = _held(frame)
    features = held.features
    arrays = [*features[:3]] if isinstance(features, Sparse) else [features]
    return Sent(held.names, arrays)


def _held(frame: "DataFrame") -> Held:
    columns = set(frame.columns)
    names = None
    if "path" in columns:
        names = [
            x.decode("utf-8", "surrogateescape") if isinstance(x, bytes) else str(x or "")
            for x in frame["path"].to_list()
        ]
    if {"indices", "values"} <= columns:
        (ends, indices), (others, values) = _flat(frame["indices"]), _flat(frame["values"])
        if not np.array_equal(ends, others):
            raise TableError("a row has different numbers of indices and values")
        return Held(names, Sparse(ends, indices, values))
    if VECTOR in columns:
        ends, values = _flat(frame[VECTOR])
        width = int(ends[1]) if len(ends) > 1 else 0
        if (np.diff(ends) != width).any():
            raise TableError("its rows have different numbers of features")
        return Held(names, values.reshape(len(ends) - 1, width))
    return Held(names, frame.select(in_order(frame.columns)).to_numpy())


def _flat(column: "Series") -> tuple[NDArray[Any], NDArray[Any]]:
    """The ends of the lists in a column, (n + 1,), and their values, (values,)."""
    import polars

    kind = column.dtype
    if isinstance(kind, polars.Array):
        column = column.arr.to_list()
    elif not isinstance(kind, polars.List):
        raise TableError(f"its column {column.name} does not hold lists ({kind})")
    column = column.fill_null([])
    lengths = column.list.len().to_numpy()
    values = column.filter(column.list.len() > 0).explode().to_numpy()
    return np.cumsum([0, *lengths.tolist()]), values
