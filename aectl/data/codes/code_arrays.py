"""Reads codes from NumPy's .npz files; refuses files whose arrays do not match their headers."""

import ast
import contextlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.table_content import VECTOR, Held, Sparse, TableError
from aectl.errors import first_line

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
PIECE = 1 << 20
TYPE = re.compile(r"[<>|=]?(?:[iuf][1248]|[US]\d{1,6})")
"""Types of arrays that are read: numbers and text. NumPy needs a pickle for none of them."""

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compressions that NumPy uses."""

DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    OverflowError, OSError, UnicodeError, ValueError,
)  # fmt: skip
"""Exceptions that `zipfile` raises for a damaged file."""


def of_npz(path: Path, room: int) -> Held:
    """Reads the arrays `path` and `features`, or those of scipy.sparse.save_npz.

    Raises TableError for anything else, and if they need more than `room` bytes.
    """
    with path.open("rb") as file, damage_as_table_error(), zipfile.ZipFile(file) as archive:
        arrays = Arrays(archive, room)
        names = arrays.text("path") if "path" in arrays else None
        if "indptr" not in arrays and "format" not in arrays:
            if VECTOR not in arrays:
                raise TableError(f"it has no array {VECTOR}")
            return Held(names, arrays[VECTOR])
        return Held(names, _compressed_rows(arrays))


def _compressed_rows(arrays: "Arrays") -> Sparse:
    kind = arrays.text("format", 0)[0]
    if kind != "csr":
        raise TableError("its matrix is not in CSR format; convert it with scipy's .tocsr()")
    shape = arrays["shape"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or (shape < 0).any():
        raise TableError("the shape of its matrix is not two whole numbers")
    rows, units = map(int, shape)
    ends = arrays["indptr"]
    if ends.shape != (rows + 1,):
        raise TableError(f"its indptr has {ends.size} numbers, not {rows + 1} for {rows} rows")
    return Sparse(ends, arrays["indices"], arrays["data"], units)


class Arrays:
    """The arrays of an archive, read one by one; together they may need `room` bytes."""

    def __init__(self, archive: zipfile.ZipFile, room: int) -> None:
        self._archive, self._room = archive, room
        self._names = set(archive.namelist())

    @property
    def names(self) -> list[str]:
        """The names of the arrays, in order."""
        return sorted(name.removesuffix(".npy") for name in self._names if name.endswith(".npy"))

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._names

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self:
            raise TableError(f"it has no array {name}")
        info = self._archive.getinfo(f"{name}.npy")
        if info.compress_type not in PACKED:
            raise TableError(f"its array {name} has a compression that NumPy does not use")
        with self._archive.open(info) as file:
            kind, in_columns, shape, header = _header(file, name)
            size = kind.itemsize * _product(shape)
            if size != info.file_size - header:
                raise TableError(f"its array {name} does not have its stated length")
            self._room -= size
            if self._room < 0:
                raise TableError("it expands to more than 256 MiB and 50 times its size")
            flat = _filled(file, size, name).view(kind) if size else np.empty(0, kind)
        return flat.reshape(shape[::-1]).T if in_columns else flat.reshape(shape)

    def headers(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array of numbers, by its name."""
        shapes = {}
        for name in self.names:
            with self._archive.open(f"{name}.npy") as file, contextlib.suppress(TableError):
                kind, _, shape, _ = _header(file, name)
                if kind.kind in "iuf":
                    shapes[name] = shape
        return shapes

    def text(self, name: str, dimensions: int = 1) -> list[str]:
        """An array of text as a list."""
        array = self[name]
        if array.dtype.kind not in "US" or array.ndim != dimensions:
            raise TableError(f"its array {name} is not a list of strings")
        return [
            x.decode("utf-8", "surrogateescape") if isinstance(x, bytes) else str(x)
            for x in array.ravel().tolist()
        ]


def _header(file: IO[bytes], name: str) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """The type of an array, whether it is in Fortran order, its shape, and the bytes of the header.

    See numpy.lib.format, versions 1.0 and 2.0.
    """
    start = file.read(8)
    wide = start[6:] == b"\x02\x00"
    if start[:6] != MAGIC or not (wide or start[6:] == b"\x01\x00"):
        raise TableError(f"its array {name} is not in NumPy's format")
    length = int.from_bytes(file.read(4 if wide else 2), "little")
    if length > LONGEST_HEADER:
        raise TableError(f"the header of its array {name} has {length:,} bytes")
    try:
        header = ast.literal_eval(file.read(length).decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        header = None
    match header:
        case {"descr": str(descr), "fortran_order": bool(in_columns), "shape": tuple(shape)}:
            if len(shape) > 2:
                raise TableError(f"its array {name} has {len(shape)} dimensions, not at most 2")
            if all(type(n) is int and 0 <= n < 2**63 for n in shape) and TYPE.fullmatch(descr):
                with contextlib.suppress(TypeError):
                    return np.dtype(descr), in_columns, shape, (12 if wide else 10) + length
    raise TableError(f"its array {name} has neither numbers nor strings")


def _product(shape: tuple[int, ...]) -> int:
    """The number of values of an array; unlike NumPy's, Python's integers do not overflow."""
    product = 1
    for size in shape:
        product *= size
    return product


def _filled(file: IO[bytes], size: int, name: str) -> NDArray[np.uint8]:
    """The next `size` bytes, which must be all that is left. Raises TableError."""
    content = np.empty(size, np.uint8)
    first = 0
    while first < size:
        piece = file.read(min(PIECE, size - first))
        if not piece:
            raise TableError(f"its array {name} is cut short")
        content[first : first + len(piece)] = np.frombuffer(piece, np.uint8)
        first += len(piece)
    if file.read(1):  # reading to the end also verifies the checksum
        raise TableError(f"its array {name} is longer than stated")
    return content


@contextlib.contextmanager
def damage_as_table_error() -> Iterator[None]:
    """Converts errors of `zipfile` to TableError."""
    try:
        yield
    except DAMAGE as error:
        said = first_line(error)
        raise TableError(f"it is not an .npz file, or is damaged ({said})") from None
