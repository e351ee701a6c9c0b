"""Reading codes back from a table that `encode` wrote, or another program."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.errors import DataError

if TYPE_CHECKING:
    from polars import DataFrame

VECTOR = "features"


class Codes(NamedTuple):
    """Codes, (n, units), and what each is called: its path in the table, else its row."""

    names: list[str]
    values: NDArray[np.float32]


def read_codes(path: Path, stdin: BinaryIO | None, units: int) -> Codes:
    """The codes in a .csv, .csv.gz, .jsonl, .parquet or .npz file; `-` is CSV on stdin.

    They stand in columns f0 ... fN, or as vectors in a column `features`. Raises DataError for any
    other table, for numbers that are missing or not finite, and for others than `units` a row.
    """
    try:
        names, values = _read(path, stdin)
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


def _read(path: Path, stdin: BinaryIO | None) -> tuple[list[str], NDArray[np.float32]]:
    import polars

    name = path.name.lower()
    if str(path) == "-":
        assert stdin is not None
        return _of_frame(polars.read_csv(stdin.read(), infer_schema_length=None))
    if name.endswith(".npz"):
        with np.load(path, allow_pickle=False) as arrays:
            values = np.asarray(arrays[VECTOR], np.float32)
            given = arrays["path"].tolist() if "path" in arrays else None
        return _names(given, len(values)), values
    if name.endswith((".csv", ".csv.gz")):
        return _of_frame(polars.read_csv(path, infer_schema_length=None))
    if name.endswith(".jsonl"):
        return _of_frame(polars.read_ndjson(path, infer_schema_length=None))
    if name.endswith(".parquet"):
        return _of_frame(polars.read_parquet(path))
    raise DataError(f"{path}: codes are read from .csv .csv.gz .jsonl .parquet .npz")


def _of_frame(frame: "DataFrame") -> tuple[list[str], NDArray[np.float32]]:
    given = frame["path"].to_list() if "path" in frame.columns else None
    if VECTOR in frame.columns:
        values = np.array(frame[VECTOR].to_list(), np.float32)
    else:
        columns = [name for name in frame.columns if name[:1] == "f" and name[1:].isdigit()]
        columns.sort(key=lambda name: int(name[1:]))
        values = frame.select(columns).to_numpy().astype(np.float32)
    return _names(given, len(frame)), values


def _names(given: list[Any] | None, rows: int) -> list[str]:
    if given is None:
        return [str(row) for row in range(rows)]
    return [
        name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
        for name in given
    ]


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
