"""The content of a table of codes as its reader found it, which nothing has checked."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

VECTOR = "features"
"""The name of a column that holds all features of a row."""

FEATURE = re.compile(r"f(0|[1-9][0-9]{0,8})")
"""The name of a column that holds one feature."""


class TableError(Exception):
    """A table that does not contain codes; the message gives the reason, without its name."""


class Sparse(NamedTuple):
    """Values in compressed rows, unchecked: row r has those from ends[r] to ends[r + 1].

    ends: (n + 1,); indices, values: (values,). `units`: the number of units of a row, if the table
    states it.
    """

    ends: NDArray[Any]
    indices: NDArray[Any]
    values: NDArray[Any]
    units: int | None = None


class Held(NamedTuple):
    """The content of a table, unchecked: the names of its rows, if any, and their features.

    A dense array of features is (n, units).
    """

    names: Sequence[str] | None
    features: "NDArray[Any] | Sparse"
