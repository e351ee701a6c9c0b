"""Reads codes from .npy and .safetensors, with their names in the table beside the array."""

from pathlib import Path

from aectl.data.codes.table_content import Held
from aectl.data.vectors.vector_inputs import of_file


def of_array(path: Path, room: int) -> Held:
    """Reads the array, and the paths beside it, if they are there. Raises TableError."""
    file = of_file(path)
    return Held(file.ids or None, file.block(0, len(file)))
