"""File formats of tables, which convert rows to bytes, one block at a time."""

import dataclasses
import gzip
import io
import itertools
import json
import pkgutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import cell, spelt
from aectl.config.table_formats import TABLE_FORMATS
from aectl.errors import OutputError
from aectl.files import write_all
from aectl.outputs.rows import Column, Rows

if TYPE_CHECKING:
    from polars import DataFrame, DataType, Series


class Format(Protocol):
    """A format that writes blocks of rows; the table is the concatenation of its blocks.

    Only an `Assembled` format makes the table from blocks in separate files.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None: ...


class Csv:
    """Comma-separated values; a number has the fewest digits that represent it exactly.

    Text that a spreadsheet would compute is escaped by `cell`. In the sparse layout, a cell
    contains numbers separated by spaces.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines, after a header where these are the `first` rows."""
        columns = {name: _cells(name, column) for name, column in rows.columns.items()}
        frame = _frame(dataclasses.replace(rows, columns=columns), layout)
        if layout == "sparse":
            frame = _lists_as_text(frame)
        frame.write_csv(file, include_header=first, batch_size=THREAD_ROWS)


class CsvGz(Csv):
    """Compressed CSV, with one gzip member per block.

    The compressed bytes depend on the sizes of the blocks, the decompressed ones only on the rows.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines, after a header where these are the `first` rows."""
        text = io.BytesIO()
        super().write(rows, layout, first, text)
        write_all(file, gzip.compress(text.getbuffer(), compresslevel=6, mtime=0))


class JsonLines:
    """JSON Lines: one object per row; numbers that are not finite are null."""

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the lines."""
        _frame(rows, layout).write_ndjson(file)


class Assembled(ABC):
    """A format to which rows cannot be appended: it is assembled from blocks in Arrow files."""

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the rows as an Arrow file."""
        _frame(rows, layout).write_ipc(file)

    @abstractmethod
    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table; no more than a few blocks are in memory at a time."""


class Parquet(Assembled):
    """Parquet files."""

    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table; no more than a few blocks are in memory at a time."""
        import polars

        polars.scan_ipc(list(blocks)).sink_parquet(file)


class Npz(Assembled):
    """NumPy arrays: one per column, and `features`, (n, d).

    The sparse layout is that of scipy.sparse.save_npz: a matrix in compressed rows.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the rows as an Arrow file, their features as vectors, or sparse."""
        if layout == "sparse" and rows.features is not None:
            width = np.full(len(rows), rows.features.shape[1])
            rows = dataclasses.replace(rows, columns={**rows.columns, WIDTH: width})
        super().write(rows, "sparse" if layout == "sparse" else "vector", first, file)

    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table, with at most one block of features in memory at a time."""
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


class Array(Assembled):
    """An array of features alone, (n, d); what else is known of its rows is in a table beside it,
    at `ids_of` its path.
    """

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the rows as an Arrow file, their features as vectors. Raises OutputError."""
        if rows.features is None:
            raise OutputError("an array holds codes that are vectors: choose another extension")
        super().write(rows, "vector", first, file)

    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the array, with at most one block in memory at a time."""
        import polars

        def parts() -> Iterator[NDArray[Any]]:
            for block in blocks:
                yield polars.read_ipc(block, columns=["features"])["features"].to_numpy()

        rows = sum(map(len, parts()))
        first = next(parts())
        file.write(self.header(first.dtype, (rows, first.shape[1])))
        for part in parts():
            file.write(np.ascontiguousarray(part).data)

    def assemble_ids(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table beside the array."""
        import polars

        polars.scan_ipc(list(blocks)).drop("features").sink_parquet(file)

    @abstractmethod
    def header(self, kind: np.dtype[Any], shape: tuple[int, int]) -> bytes:
        """The bytes of the file before its numbers, which are in the order of the rows."""


class Npy(Array):
    """An array in NumPy's .npy format."""

    def header(self, kind: np.dtype[Any], shape: tuple[int, int]) -> bytes:
        """The header of numpy.lib.format, version 1.0."""
        made = io.BytesIO()
        described = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(made, described)
        return made.getvalue()


class Safetensors(Array):
    """A tensor `features` in a .safetensors file."""

    def header(self, kind: np.dtype[Any], shape: tuple[int, int]) -> bytes:
        """The header: its length, and JSON, filled up with spaces to a multiple of 8 bytes."""
        size = kind.itemsize * shape[0] * shape[1]
        name = f"F{8 * kind.itemsize}"
        tensor = {"dtype": name, "shape": list(shape), "data_offsets": [0, size]}
        text = json.dumps({"features": tensor}).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text


FORMATS: dict[str, Format] = {
    ending: pkgutil.resolve_name(row.writer)() for ending, row in TABLE_FORMATS.items()
}
"""The formats of tables by the extension of the file."""

THREAD_ROWS = 512
"""Number of rows that a thread converts to text at a time."""

WIDTH = "width"
"""The column of a block with the number of units of a sparse code."""


def format_of(path: Path) -> Format:
    """The format for the extension of a file. Raises OutputError for an unknown one."""
    for ending in FORMATS:
        if path.name.endswith(ending):
            return FORMATS[ending]
    raise OutputError(f"{path}: the extension of a table must be one of {', '.join(FORMATS)}")


def _cells(name: str, column: Column) -> Column:
    """A column as it is written in CSV; paths never start like a formula, and are unchanged."""
    if isinstance(column, np.ndarray) or name == "path":
        return column
    return [value if value is None else cell(value) for value in column]


def _in_utf8(column: Sequence[str | None]) -> Sequence[str | None]:
    """A column of text in valid UTF-8, which names of files need not be."""
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
    """The polars type of an array's numbers."""
    import polars

    return polars.Series(numbers[:0]).dtype


def _lists_as_text(frame: "DataFrame") -> "DataFrame":
    import polars
    import polars.selectors as columns

    return frame.with_columns(columns.list().cast(polars.List(polars.String)).list.join(" "))


def _array(column: "Series") -> NDArray[Any]:
    """A column as a NumPy array; missing text becomes an empty string."""
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
    """Writes one array of an .npz file, block by block."""
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
