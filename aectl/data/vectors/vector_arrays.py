"""Reads vectors from NumPy's .npy and .npz, and from .safetensors; none of them as a pickle.

.npy and .safetensors are mapped into memory, so that only the rows that are asked for are read.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import first_of
from aectl.data.codes.code_arrays import Arrays, damage_as_table_error
from aectl.data.codes.table_content import VECTOR, TableError
from aectl.data.vectors.vector_file import VectorFile, checked
from aectl.errors import first_line

MAGIC, PICKLE = b"\x93NUMPY", b"\x80"
"""The first bytes of an .npy file, and of a pickle."""

PATH, LABEL = "path", "label"
"""The arrays of a table that `encode` wrote with the identity and the label of each row."""

MOST_NAMED = 10

TENSOR_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
"""The types of tensors that are read, as NumPy has them; it has no bfloat16."""


def of_npy(path: Path, part: str, room: int) -> VectorFile:
    """Reads an array of two dimensions. Raises TableError for anything else."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OverflowError, TypeError) as error:
        said = first_line(error)
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        if not start.startswith((MAGIC, PICKLE)):
            raise TableError("it is not an .npy file") from None
        if start.startswith(PICKLE) or said.startswith("Object arrays"):
            raise TableError(
                "it holds Python objects, which only a pickle could give; save an array of numbers"
            ) from None
        raise TableError(f"it is not an .npy file, or is damaged ({said})") from None
    if not isinstance(rows, np.ndarray):
        raise TableError("it is not an .npy file")
    return VectorFile(checked(rows))


def of_npz(path: Path, part: str, room: int) -> VectorFile:
    """Reads the array that `part` names, else `features`, else the only one of two dimensions; and
    the arrays `path` and `label` of a table that `encode` wrote.

    Raises TableError for anything else, and if they need more than `room` bytes.
    """
    with path.open("rb") as file, damage_as_table_error(), zipfile.ZipFile(file) as archive:
        arrays = Arrays(archive, room)
        if "indptr" in arrays.names:
            raise TableError(
                "its vectors are sparse: write them with --layout columns, or with scipy's"
                " .toarray()"
            )
        name = part or _only(path.name, arrays.names, arrays.headers())
        rows = checked(arrays[name], name)
        texts = [arrays.text(key) if key in arrays.names and not part else [] for key in KEYS]
    for key, column in zip(KEYS, texts, strict=True):
        if column and len(column) != len(rows):
            raise TableError(f"its array {key} has {len(column)} values for {len(rows)} rows")
    return VectorFile(rows, ids=texts[0], labels=texts[1])


KEYS = (PATH, LABEL)


def of_safetensors(path: Path, part: str, room: int) -> VectorFile:
    """Reads the tensor that `part` names, else `features`, else the only one of two dimensions.

    Raises TableError for anything else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:  # checks the whole header
            names = list(file.keys())
    except (SafetensorError, ValueError) as error:
        said = first_line(error)
        raise TableError(f"it is not a .safetensors file, or is damaged ({said})") from None
    with path.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        header = json.loads(content.read(length))
    shapes = {
        name: (header[name]["dtype"], tuple(header[name]["shape"]))
        for name in names
        if header[name]["dtype"] in TENSOR_TYPES
    }
    name = part or _only(path.name, names, {name: shape for name, (_, shape) in shapes.items()})
    if name not in names:
        raise TableError(f"it has no tensor {name}; it has {first_of(names, MOST_NAMED)}")
    if name not in shapes:
        raise TableError(f"its tensor {name} is of type {header[name]['dtype']}, which is not read")
    kind, shape = shapes[name]
    if 0 in shape:
        raise TableError(f"its tensor {name} is empty")
    start = 8 + length + header[name]["data_offsets"][0]
    rows: NDArray[Any] = np.memmap(path, TENSOR_TYPES[kind], "r", start, shape)
    return VectorFile(checked(rows, name), bfloat16=kind == "BF16")


def _only(file: str, names: list[str], shapes: dict[str, tuple[int, ...]]) -> str:
    """The array that holds vectors, from the names of all and the shapes of those of numbers."""
    found = [name for name, shape in shapes.items() if len(shape) == 2]
    if VECTOR in found:
        return VECTOR
    if len(found) == 1:
        return found[0]
    if not found:
        there = f"; it has {first_of(names, MOST_NAMED)}" if names else ""
        raise TableError(f"it has no array of two dimensions, rows and features{there}")
    raise TableError(
        f"it has several arrays ({first_of(found, MOST_NAMED)}): name one, such as"
        f" {file}:{found[0]}"
    )
