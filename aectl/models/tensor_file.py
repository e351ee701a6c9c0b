"""Files of tensors in the safetensors format, written and read tensor by tensor.

The format: 8 bytes, the length of a JSON header (little-endian); the header; the values of all
tensors, one after the other. https://github.com/huggingface/safetensors#format
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from aectl.files import write_all

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {
    "U64": "uint64", "I64": "int64", "F64": "float64", "F32": "float32", "U32": "uint32",
    "I32": "int32", "BF16": "bfloat16", "F16": "float16", "I16": "int16", "I8": "int8",
    "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""Names of types in the format and in torch, in the order of the tensors in a file."""

METADATA = "__metadata__"
ALIGNED = 8
LONGEST_HEADER = 100_000_000
"""Bytes: the limit of the safetensors library."""

MOST_DIMENSIONS = 64
"""The limit of torch."""


def write(path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str]) -> None:
    """Writes a file; needs at most as much extra memory as the largest tensor.

    The file is the same, byte for byte, as that of the safetensors library. Raises OSError.
    """
    header, ordered = described(tensors), in_order(tensors)
    content = {METADATA: dict(metadata), **header}
    encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % ALIGNED)
    with path.open("wb", buffering=0) as file:
        file.write(len(encoded).to_bytes(8, "little"))
        write_all(file, encoded)
        for name in ordered:
            write_all(file, values(tensors[name]))


def described(tensors: Mapping[str, "Tensor"]) -> dict[str, dict[str, Any]]:
    """The entry of each tensor in the header, by name: type, shape and offsets of its data."""
    header, end = dict[str, dict[str, Any]](), 0
    for name in in_order(tensors):
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        shape = list(tensor.shape)
        header[name] = {"dtype": _dtype(tensor), "shape": shape, "data_offsets": [begin, end]}
    return header


def in_order(tensors: Mapping[str, "Tensor"]) -> list[str]:
    """The names of tensors in the order of a file: by type, then by name."""
    ranks = list(DTYPES)
    return sorted(tensors, key=lambda name: (ranks.index(_dtype(tensors[name])), name))


def values(tensor: "Tensor") -> memoryview:
    """The values of a tensor as bytes: its own memory if it is contiguous and on the CPU."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if len(flat) else memoryview(b"")


def read(path: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """The tensors of a file and its metadata.

    Raises ValueError for a file that is not of this format or is incomplete, and OSError.
    """
    with path.open("rb", buffering=0) as file:
        room = os.fstat(file.fileno()).st_size
        header, start = _header(file, room)
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(map(_is_text, metadata.values())):
            raise ValueError("its metadata are not strings")
        places = sorted(_place(name, entry) for name, entry in header.items())
        end = 0
        for place in places:
            if place.begin != end:
                raise ValueError("its tensors have gaps or overlap")
            end = place.end
        if start + end != room:
            raise ValueError("it is cut short, or too long")
        return {one.name: _read_one(file, one.dtype, one.shape) for one in places}, metadata


def _dtype(tensor: "Tensor") -> str:
    names = {f"torch.{torch_name}": name for name, torch_name in DTYPES.items()}
    return names[str(tensor.dtype)]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _header(file: IO[bytes], room: int) -> tuple[dict[str, Any], int]:
    """The header of a file of `room` bytes, and the offset of the first tensor's data."""
    length = int.from_bytes(file.read(8), "little")
    if length > min(room - 8, LONGEST_HEADER):
        raise ValueError("its header is longer than the file")
    try:
        header = json.loads(file.read(length))
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header, 8 + length


class _Place(NamedTuple):
    """Start and end of a tensor's data, its name, the torch name of its type, and its shape."""

    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def _place(name: str, entry: object) -> _Place:
    if not isinstance(entry, dict):
        raise ValueError(f"tensor {name!r} is not described")
    dtype, place = entry.get("dtype"), _sizes(entry.get("data_offsets"))
    shape = _sizes(entry.get("shape"))
    if dtype not in DTYPES or shape is None or place is None or len(place) != 2:
        raise ValueError(f"tensor {name!r} lacks a type, a shape or an offset")
    if place[1] - place[0] != math.prod(shape) * _itemsize(dtype):
        raise ValueError(f"tensor {name!r} has a size that does not match its shape")
    return _Place(place[0], place[1], name, DTYPES[dtype], shape)


def _sizes(value: object) -> tuple[int, ...] | None:
    """A list of at most MOST_DIMENSIONS integers >= 0, as a tuple; None for anything else."""
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS:
        return None
    return tuple(value) if all(type(one) is int and 0 <= one < 2**62 for one in value) else None


def _itemsize(dtype: str) -> int:
    return 1 if dtype == "BOOL" else int(dtype.lstrip("BFIU")) // 8


def _read_one(file: IO[bytes], dtype: str, shape: tuple[int, ...]) -> "Tensor":
    import torch

    try:
        tensor = torch.empty(shape, dtype=getattr(torch, dtype))
    except RuntimeError as error:
        raise ValueError(f"a tensor of shape {list(shape)} cannot be created: {error}") from None
    left = values(tensor)
    while left:
        read = file.readinto(left)  # type: ignore[attr-defined]
        if not read:
            raise ValueError("it became shorter while it was read")
        left = left[read:]
    if dtype == "bool" and (tensor.view(torch.uint8) > 1).any():
        raise ValueError("it has boolean values other than 0 and 1")
    return tensor
