"""Reading codes back from a table that `encode` wrote, or another program."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.errors import DataError

if TYPE_CHECKING:
    from polars import DataFrame, Series

VECTOR = "features"


class Codes(NamedTuple):
    """Codes, (n, units), and what each is called: its path in the table, else its row."""

    names: list[str]
    values: NDArray[np.float32]


def read_codes(path: Path, stdin: BinaryIO | None, units: int) -> Codes:
    """The codes in a .csv, .csv.gz, .jsonl, .parquet or .npz file; `-` is CSV on stdin.

    They stand in columns f0 ... fN, as vectors in a column `features`, or as the `indices` and
    `values` of a sparse layout. Raises DataError for any other table, for numbers that are missing
    or not finite, and for others than `units` a row.
    """
    try:
        names, values = _read(path, stdin, units)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"cannot read {path}: {_reason(error)}") from None
    except Exception as error:  # polars has a tree of its own
        if type(error).__module__.partition(".")[0] != "polars":
            raise
        raise DataError(f"cannot read {path}: {_reason(error)}") from None
    if values.ndim != 2 or values.shape[1] != units:
        held = values.shape[1] if values.ndim == 2 else 0
        raise DataError(f"{path} has {held} features a row; the model's code has {units} units")
    if not len(values):
        raise DataError(f"{path} has no rows")
    finite = np.isfinite(values).all(1)
    if not finite.all():
        raise DataError(f"{path}: row {int(np.argmin(finite)) + 1} has a feature that is no number")
    return Codes(names, values)


def _read(path: Path, stdin: BinaryIO | None, units: int) -> tuple[list[str], NDArray[np.float32]]:
    import polars

    name = path.name.lower()
    if str(path) == "-":
        assert stdin is not None
        return _of_frame(polars.read_csv(stdin.read(), infer_schema_length=None), units)
    if name.endswith(".npz"):
        return _of_arrays(path)
    if name.endswith((".csv", ".csv.gz")):
        return _of_frame(polars.read_csv(path, infer_schema_length=None), units)
    if name.endswith(".jsonl"):
        return _of_frame(polars.read_ndjson(path, infer_schema_length=None), units)
    if name.endswith(".parquet"):
        return _of_frame(polars.read_parquet(path), units)
    raise DataError(f"{path}: codes are read from .csv .csv.gz .jsonl .parquet .npz")


def _of_arrays(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    from scipy import sparse

    if path.exists() and not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz file")
    with np.load(path, allow_pickle=False) as arrays:
        given = arrays["path"].tolist() if "path" in arrays else None
        is_sparse = "indptr" in arrays
        values = np.zeros(0) if is_sparse else arrays[VECTOR]
    if is_sparse:
        values = sparse.load_npz(path).toarray()
    return _names(given, len(values)), np.asarray(values, np.float32)


def _of_frame(frame: "DataFrame", units: int) -> tuple[list[str], NDArray[np.float32]]:
    given = frame["path"].to_list() if "path" in frame.columns else None
    if {"indices", "values"} <= set(frame.columns):
        values = np.zeros((len(frame), units), np.float32)
        columns = _lists(frame["indices"], "UInt32"), _lists(frame["values"], "Float32")
        for row, (active, found) in enumerate(zip(*columns, strict=True)):
            if len(active) != len(found):
                raise ValueError(f"row {row + 1} names {len(active)} units and {len(found)} values")
            if len(active) and active.max() >= units:
                raise ValueError(f"row {row + 1} has a unit beyond the {units} of the model's code")
            values[row, active.to_numpy()] = found.to_numpy()
    elif VECTOR in frame.columns:
        values = np.array(frame[VECTOR].to_list(), np.float32)
    else:
        features = [name for name in frame.columns if name[:1] == "f" and name[1:].isdigit()]
        features.sort(key=lambda name: int(name[1:]))
        values = frame.select(features).to_numpy().astype(np.float32)
    return _names(given, len(frame)), values


def _lists(column: "Series", kind: Literal["UInt32", "Float32"]) -> "Series":
    """A column of lists of numbers, which CSV holds as text with spaces."""
    import polars

    if column.dtype != polars.List:
        column = column.cast(polars.String).fill_null("").str.extract_all(r"\S+")
    return column.cast(polars.List(getattr(polars, kind)))


def _names(given: list[Any] | None, rows: int) -> list[str]:
    if given is None:
        return [str(row) for row in range(rows)]
    return [
        name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
        for name in given
    ]


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
