"""IDX, the file format of MNIST and similar datasets, plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from aectl.data.images.pixels import Pixels
from aectl.errors import DataError


def present(path: Path) -> bool:
    """Whether an IDX file exists, plain or with the extension `.gz`."""
    return path.is_file() or _packed(path).is_file()


def read(path: Path) -> Pixels:
    """Reads an IDX file of bytes: magic 0 0 8 d, d big-endian sizes, then the values.

    Raises FileNotFoundError, or DataError for a file that is damaged or of another format.
    """
    if not present(path):
        raise FileNotFoundError(f"no {path.name}")
    content = np.fromfile(path, np.uint8) if path.is_file() else _unpacked(_packed(path))
    start = content[:1024].tobytes()
    header = 4 + 4 * (start[3] if len(start) > 3 else 0)
    sizes = tuple(int.from_bytes(start[at : at + 4], "big") for at in range(4, header, 4))
    if start[:3] != b"\0\0\x08" or len(content) != header + math.prod(sizes):
        raise DataError(f"{path} is not an IDX file of bytes, or is cut short")
    return content[header:].reshape(sizes)


def _packed(path: Path) -> Path:
    return path.with_name(path.name + ".gz")


def _unpacked(packed: Path) -> Pixels:
    try:
        return np.array(np.frombuffer(gzip.decompress(packed.read_bytes()), np.uint8))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{packed} is damaged ({error}); without it, it is downloaded again"
        ) from None
