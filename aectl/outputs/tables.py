"""Tables of results, written row by row; the ending of the file chooses the format."""

import contextlib
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from aectl.errors import OutputError
from aectl.files import refuse_existing, replacing

if TYPE_CHECKING:
    from polars import DataFrame

    from aectl.data.inputs import InputBatch

Column = Sequence[Any] | NDArray[Any]


class Rows(NamedTuple):
    """Some rows: named columns of n values each, and features (n, d), the columns f0 ... fd-1."""

    columns: dict[str, Column]
    features: NDArray[np.float32] | None = None


class Writer(Protocol):
    """Takes the rows of a table; `close` writes what is still missing."""

    def write(self, rows: Rows) -> None: ...

    def close(self) -> None: ...


class CsvWriter:
    """Comma-separated values; a float32 is written with as few digits as give it back exactly."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._header = stream, True

    def write(self, rows: Rows) -> None:
        text = io.BytesIO()
        _frame(rows).write_csv(text, include_header=self._header)
        self._stream.write(text.getbuffer())
        self._stream.flush()
        self._header = False

    def close(self) -> None:
        pass


class CsvGzWriter(CsvWriter):
    """CSV, compressed; the same rows give the same bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._packed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
        super().__init__(self._packed)  # type: ignore[arg-type]

    def close(self) -> None:
        self._packed.close()


class JsonLinesWriter:
    """A JSON object a row."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, rows: Rows) -> None:
        _frame(rows).write_ndjson(self._stream)

    def close(self) -> None:
        pass


class _Collecting:
    """A format that is written in one piece, at the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rows: list[Rows] = []

    def write(self, rows: Rows) -> None:
        self._rows.append(rows)


class ParquetWriter(_Collecting):
    """Parquet, a column a feature."""

    def close(self) -> None:
        import polars

        frames = [_frame(rows) for rows in self._rows]
        polars.concat(frames, how="vertical_relaxed").write_parquet(self._stream)


class NpzWriter(_Collecting):
    """NumPy arrays: one a column, and `features` as one of shape (n, d)."""

    def close(self) -> None:
        arrays = {
            name: np.concatenate([_array(rows.columns[name]) for rows in self._rows])
            for name in self._rows[0].columns
        }
        features = [rows.features for rows in self._rows if rows.features is not None]
        if features:
            arrays["features"] = np.concatenate(features)
        np.savez(self._stream, **arrays)  # type: ignore[arg-type]


FORMATS: dict[str, Callable[[IO[bytes]], Writer]] = {
    ".csv": CsvWriter,
    ".csv.gz": CsvGzWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
    ".npz": NpzWriter,
}
"""Every format of a table by the ending of its file."""


def check_destination(path: Path | None, overwrite: bool) -> None:
    """Raises OutputError where a table cannot or must not be written to `path`; None is stdout."""
    if path is not None:
        _format(path)
        refuse_existing(path, overwrite)


def write_table(path: Path | None, stdout: IO[bytes], tables: Iterator[Rows]) -> int:
    """Writes rows as they come to a file, or to stdout as CSV where `path` is None.

    Returns how many rows there were. With none, nothing is written. Raises OutputError.
    """
    first = next(tables, None)
    if first is None:
        return 0
    with _destination(path, stdout) as writer:
        count = _count(first)
        writer.write(first)
        for rows in tables:
            writer.write(rows)
            count += _count(rows)
    return count


@contextlib.contextmanager
def _destination(path: Path | None, stdout: IO[bytes]) -> Iterator[Writer]:
    if path is None:
        writer: Writer = CsvWriter(stdout)
        yield writer
        writer.close()
        return
    with replacing(path) as temporary, temporary.open("wb") as stream:
        writer = FORMATS[_format(path)](stream)
        yield writer
        writer.close()


def _format(path: Path) -> str:
    for ending in FORMATS:
        if path.name.endswith(ending):
            return ending
    raise OutputError(f"{path}: the ending of a table is one of {', '.join(FORMATS)}")


def _count(rows: Rows) -> int:
    return len(next(iter(rows.columns.values())))


def _array(column: Column) -> NDArray[Any]:
    """A column for NumPy, which has no text that is missing: an empty one stands in."""
    if isinstance(column, np.ndarray):
        return column
    return np.array(["" if value is None else value for value in column])


def _frame(rows: Rows) -> "DataFrame":
    import polars

    frame = polars.DataFrame(rows.columns)
    if rows.features is None:
        return frame
    names = [f"f{number}" for number in range(rows.features.shape[1])]
    return frame.hstack(polars.from_numpy(np.ascontiguousarray(rows.features), schema=names))


def leading_columns(batch: "InputBatch", labelled: bool) -> dict[str, Column]:
    """The columns with which each table begins: `path`, and `label` where the inputs have them."""
    return {"path": batch.paths, "label": batch.labels} if labelled else {"path": batch.paths}
