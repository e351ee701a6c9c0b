"""The formats of a table: each turns rows into bytes, a block at a time."""

import dataclasses
import gzip
import io
import itertools
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import cell, spelt
from aectl.errors import OutputError
from aectl.files import write_all

if TYPE_CHECKING:
    from polars import DataFrame, DataType, Series

    from aectl.data.inputs import Position

Column = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Some rows: named columns of n values each (text in lists, numbers in arrays), and features.

    features: (n, d), float32 or float16; `position` is how far the inputs were read for them.
    """

    columns: dict[str, Column]
    features: NDArray[Any] | None = None
    position: "Position | None" = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class Format(Protocol):
    """What writes a block of rows; blocks one after another in a file are the table.

    But for an `Assembled` format, which makes the table of blocks that lie in a file each.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None: ...


class Csv:
    """Comma-separated values; a number has as few digits as give it back exactly.

    Text that a spreadsheet would compute is written as `cell` says. In the sparse layout a cell
    holds numbers with spaces between them.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines, after a header where these are the `first` rows."""
        columns = {name: _cells(name, column) for name, column in rows.columns.items()}
        frame = _frame(dataclasses.replace(rows, columns=columns), layout)
        if layout == "sparse":
            frame = _lists_as_text(frame)
        frame.write_csv(file, include_header=first, batch_size=THREAD_ROWS)


class CsvGz(Csv):
    """CSV, compressed: a gzip member a block, so that its bytes depend on when rows were written.

    What it decompresses to is a function of the rows alone.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines, after a header where these are the `first` rows."""
        text = io.BytesIO()
        super().write(rows, layout, first, text)
        write_all(file, gzip.compress(text.getbuffer(), compresslevel=6, mtime=0))


class JsonLines:
    """A JSON object a row; what JSON has no number for is null."""

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines."""
        _frame(rows, layout).write_ndjson(file)


class Assembled(ABC):
    """A format that cannot grow row by row: its blocks are Arrow files, of which it is made."""

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the rows as an Arrow file."""
        _frame(rows, layout).write_ipc(file)

    @abstractmethod
    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table; no more than a few blocks are in memory at a time."""


class Parquet(Assembled):
    """Parquet."""

    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table; no more than a few blocks are in memory at a time."""
        import polars

        polars.scan_ipc(list(blocks)).sink_parquet(file)


class Npz(Assembled):
    """NumPy arrays: one a column, and `features`, (n, d).

    The sparse layout is that of scipy.sparse.save_npz: a matrix in compressed rows.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the rows as an Arrow file, their features as vectors, or sparse."""
        if layout == "sparse" and rows.features is not None:
            width = np.full(len(rows), rows.features.shape[1])
            rows = dataclasses.replace(rows, columns={**rows.columns, WIDTH: width})
        super().write(rows, "sparse" if layout == "sparse" else "vector", first, file)

    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table; of the features no more than a block is in memory at a time."""
        import polars

        def parts(name: str) -> "Iterator[Series]":
            return (polars.read_ipc(block, columns=[name])[name] for block in blocks)

        names = list(polars.read_ipc_schema(blocks[0]))
        with zipfile.ZipFile(file, "w") as archive:
            if "indices" in names:
                lengths = [part.list.len().to_numpy() for part in parts("indices")]
                ends = np.cumsum(np.concatenate([[0], *lengths]))
                shape = np.array([len(ends) - 1, next(parts(WIDTH))[0]])
                matrix = {"format": np.array(b"csr"), "shape": shape, "indptr": ends}
                for name, array in matrix.items():
                    _save(archive, name, array.shape, [array])
                for name, column in (("indices", "indices"), ("data", "values")):
                    _save(archive, name, (int(ends[-1]),), map(_flat, parts(column)))
            for name in names:
                if name not in ("features", "indices", "values", WIDTH):
                    array = np.concatenate([_array(part) for part in parts(name)])
                    _save(archive, name, array.shape, [array])
                    count = len(array)
            if "features" in names:
                width = next(parts("features")).to_numpy().shape[1]
                _save(
                    archive, "features", (count, width), (x.to_numpy() for x in parts("features"))
                )


FORMATS: dict[str, Format] = {
    ".csv": Csv(),
    ".csv.gz": CsvGz(),
    ".jsonl": JsonLines(),
    ".parquet": Parquet(),
    ".npz": Npz(),
}
"""Every format of a table by the ending of its file."""

THREAD_ROWS = 512
"""Rows that a thread turns into text at a time."""

WIDTH = "width"
"""The column of a block that remembers how many units a sparse code has."""


def format_of(path: Path) -> Format:
    """The format that the ending of a file names. Raises OutputError where it names none."""
    for ending in FORMATS:
        if path.name.endswith(ending):
            return FORMATS[ending]
    raise OutputError(f"{path}: the ending of a table is one of {', '.join(FORMATS)}")


def _cells(name: str, column: Column) -> Column:
    """A column as CSV has it; a path never begins as a formula does, and stays as it is."""
    if isinstance(column, np.ndarray) or name == "path":
        return column
    return [value if value is None else cell(value) for value in column]


def _in_utf8(column: Sequence[str | None]) -> Sequence[str | None]:
    """Text as UTF-8 can hold it: a name of a file need not be."""
    try:
        "".join(value for value in column if value).encode()
    except UnicodeEncodeError:
        return [value if value is None else spelt(value) for value in column]
    return column


def _frame(rows: Rows, layout: str) -> "DataFrame":
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
    """What polars calls the type of an array's numbers."""
    import polars

    return polars.Series(numbers[:0]).dtype


def _lists_as_text(frame: "DataFrame") -> "DataFrame":
    import polars
    import polars.selectors as columns

    return frame.with_columns(columns.list().cast(polars.List(polars.String)).list.join(" "))


def _array(column: "Series") -> NDArray[Any]:
    """A column for NumPy, which has no text that is missing: an empty one stands in."""
    import polars

    if column.dtype == polars.String:
        return np.array([x or "" for x in column])
    return column.to_numpy()


def _flat(column: "Series") -> NDArray[Any]:
    """All values of the lists in a column."""
    return column.explode().drop_nulls().to_numpy()


def _save(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], parts: Iterable[NDArray[Any]]
) -> None:
    """One array of an .npz file, written part by part."""
    parts = iter(parts)
    first = next(parts)
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_2_0(file, header)
        for part in itertools.chain([first], parts):
            file.write(np.ascontiguousarray(part).data)
