"""File formats of tables to which rows cannot be appended: they are assembled from blocks."""

import dataclasses
import io
import json
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.errors import OutputError
from aectl.outputs.frames import frame_of
from aectl.outputs.rows import Rows

if TYPE_CHECKING:
    from polars import LazyFrame, Series

WIDTH = "width"
"""The column of a block with the number of units of a sparse code."""

WIDE = ("features", "indices", "data")
"""The arrays of a table that may be large, of which one part is in memory at a time."""

TYPES = {"F16": "f2", "F32": "f4"}
"""The types of numbers in a .safetensors file, as NumPy names them."""

GROUP_VALUES, MOST_GROUPED = 1 << 22, 1 << 17
"""Numbers, and at most rows, of a row group of Parquet; without them, the groups would depend on
the sizes of the blocks."""


class Assembled(ABC):
    """A format to which rows cannot be appended: it is assembled from blocks in Arrow files."""

    def write(self, rows: Rows, layout: str, first: bool, file: IO[bytes]) -> None:
        """Writes the rows as an Arrow file."""
        frame_of(rows, layout).write_ipc(file)

    @abstractmethod
    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table; no more than a few blocks are in memory at a time."""

    @abstractmethod
    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table whose parts are tables; no more than a few are in memory at a time.

        Raises OutputError for parts with different columns.
        """


class Parquet(Assembled):
    """Parquet files."""

    def assemble(self, blocks: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table; no more than a few blocks are in memory at a time."""
        import polars

        _sink(polars.scan_ipc(list(blocks)), file)

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the rows of all parts."""
        _sink(_scanned(parts), file)


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
                ends = _ends(lengths)
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

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the arrays of all parts, with one array of one part in memory at a time."""
        names = _arrays(parts[0])
        for part in parts:
            if _arrays(part) != names:
                raise OutputError(f"{part} has other columns than {parts[0]}")

        def each(name: str) -> Iterator[NDArray[Any]]:
            return (_loaded(part, name) for part in parts)

        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                if name == "format":
                    _save(archive, name, (), [_loaded(parts[0], name)])
                elif name == "shape":
                    shapes = list(each(name))
                    shape = np.array([sum(int(one[0]) for one in shapes), shapes[0][1]])
                    _save(archive, name, shape.shape, [shape])
                elif name == "indptr":
                    ends = _ends([np.diff(one) for one in each(name)])
                    _save(archive, name, ends.shape, [ends])
                elif name in WIDE:
                    sizes = [_shape(part, name) for part in parts]
                    whole = (sum(one[0] for one in sizes), *sizes[0][1:])
                    _save(archive, name, whole, each(name))
                else:
                    array = np.concatenate(list(each(name)))
                    _save(archive, name, array.shape, [array])


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

        _sink(polars.scan_ipc(list(blocks)).drop("features"), file)

    def join(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the array of all parts, with one in memory at a time."""
        shapes = [self.read(part).shape for part in parts]
        for part, shape in zip(parts, shapes, strict=True):
            if shape[1] != shapes[0][1]:
                raise OutputError(f"{part} has other columns than {parts[0]}")
        first = self.read(parts[0])
        file.write(self.header(first.dtype, (sum(rows for rows, _ in shapes), first.shape[1])))
        for part in parts:
            file.write(np.ascontiguousarray(self.read(part)).data)

    def join_ids(self, parts: Sequence[Path], file: IO[bytes]) -> None:
        """Writes the table beside the array of all parts, of those beside the parts."""
        _sink(_scanned(parts), file)

    @abstractmethod
    def read(self, part: Path) -> NDArray[Any]:
        """The array in a file, (n, d)."""

    @abstractmethod
    def header(self, kind: np.dtype[Any], shape: tuple[int, int]) -> bytes:
        """The bytes of the file before its numbers, which are in the order of the rows."""


class Npy(Array):
    """An array in NumPy's .npy format."""

    def read(self, part: Path) -> NDArray[Any]:
        """The array in a file, (n, d)."""
        found: NDArray[Any] = np.load(part, mmap_mode="r", allow_pickle=False)
        return found

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

    def read(self, part: Path) -> NDArray[Any]:
        """The array in a file, (n, d)."""
        with part.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            tensor = json.loads(file.read(start - 8))["features"]
        return np.memmap(part, f"<{TYPES[tensor['dtype']]}", "r", start, tuple(tensor["shape"]))

    def header(self, kind: np.dtype[Any], shape: tuple[int, int]) -> bytes:
        """The header: its length, and JSON, filled up with spaces to a multiple of 8 bytes."""
        size = kind.itemsize * shape[0] * shape[1]
        name = f"F{8 * kind.itemsize}"
        tensor = {"dtype": name, "shape": list(shape), "data_offsets": [0, size]}
        text = json.dumps({"features": tensor}).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text


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
        for part in chain([first], parts):
            file.write(np.ascontiguousarray(part).data)


def _ends(lengths: "Sequence[NDArray[Any]]") -> NDArray[np.int64]:
    """Where the values of each row of a sparse matrix begin and end, of their numbers."""
    return np.cumsum(np.concatenate([[0], *lengths]))


def _arrays(part: Path) -> list[str]:
    """The names of the arrays in an .npz file, in their order."""
    with np.load(part, allow_pickle=False) as archive:
        return list(archive.files)


def _loaded(part: Path, name: str) -> NDArray[Any]:
    with np.load(part, allow_pickle=False) as archive:
        found: NDArray[Any] = archive[name]
        return found


def _shape(part: Path, name: str) -> tuple[int, ...]:
    """The shape of an array that `_save` wrote; its numbers are not read."""
    with zipfile.ZipFile(part) as archive, archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        return np.lib.format.read_array_header_2_0(file)[0]


def _scanned(parts: Sequence[Path]) -> "LazyFrame":
    """The rows of Parquet files. Raises OutputError where one has other columns than the first."""
    import polars

    schemas = [polars.read_parquet_schema(part) for part in parts]
    for part, schema in zip(parts, schemas, strict=True):
        if schema != schemas[0]:
            raise OutputError(f"{part} has other columns than {parts[0]}")
    return polars.scan_parquet(list(parts), glob=False)


def _sink(frame: "LazyFrame", file: IO[bytes]) -> None:
    """Writes a frame as Parquet, block by block, in row groups that depend on its columns alone."""
    import polars

    kinds = frame.collect_schema().dtypes()
    width = sum(kind.size if isinstance(kind, polars.Array) else 1 for kind in kinds)
    frame.sink_parquet(file, row_group_size=max(1, min(MOST_GROUPED, GROUP_VALUES // width)))
