"""Files that other programs wrote, read with suspicion: a config in JSON, and tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aectl.errors import ModelFileError
from aectl.files import opened
from aectl.models import metadata, tensor_file

LARGEST_CONFIG = 2**20
"""Bytes; a longer config is not read."""

A_COUNT = "it must be a whole number of at least 1"

SHOWN = 6
"""The number of names that a message lists."""


class ForeignConfig:
    """The fields of a config, each checked as it is read; `unread` are those that were not."""

    def __init__(self, path: Path, values: Mapping[str, Any], inside: str = "") -> None:
        self.path = path
        self.values = values
        self._inside = inside
        self._read: set[str] = set()

    @classmethod
    def of_file(cls, path: Path) -> "ForeignConfig":
        """Reads a JSON object. Raises ModelFileError."""
        try:
            with opened(path) as file:
                content = file.read(LARGEST_CONFIG + 1)
        except OSError as error:
            raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
        if len(content) > LARGEST_CONFIG:
            raise ModelFileError(f"{path} is no config: it has more than {LARGEST_CONFIG:,} bytes")
        try:
            return cls(path, metadata.parse(content.decode()))
        except UnicodeDecodeError:
            raise ModelFileError(f"{path} is not UTF-8") from None
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from None

    @property
    def unread(self) -> list[str]:
        """The names of the fields that no reader asked for."""
        return [name for name in self.values if name not in self._read]

    def get(self, name: str) -> Any:
        """The value of a field; None if it is absent or null."""
        self._read.add(name)
        return self.values.get(name)

    def text(self, name: str, default: str) -> str:
        """A field that is a string."""
        value = self.get(name)
        return default if value is None else str(self._of_type(name, value, str, "a string"))

    def flag(self, name: str, default: bool) -> bool:
        """A field that is true or false."""
        value = self.get(name)
        return default if value is None else bool(self._of_type(name, value, bool, "true or false"))

    def count(self, name: str) -> int | None:
        """A field that is a whole number of at least 1, if it is there."""
        value = self.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise self.refused(name, A_COUNT)
        return value

    def needed_count(self, name: str) -> int:
        """A field that must be a whole number of at least 1."""
        value = self.count(name)
        if value is None:
            raise self.refused(name, A_COUNT)
        return value

    def inner(self, name: str) -> "ForeignConfig":
        """A field that is an object; an empty one where it is absent."""
        value = self.get(name)
        found = {} if value is None else self._of_type(name, value, dict, "an object")
        return ForeignConfig(self.path, found, f"{self._inside}{name}.")

    def refused(self, name: str, why: str) -> ModelFileError:
        """The error for a field whose value cannot be taken."""
        given = metadata.shown(self.values.get(name))
        return ModelFileError(f"{self.path}: {self._inside}{name} is {given}: {why}")

    def _of_type(self, name: str, value: object, wanted: type, what: str) -> Any:
        if type(value) is not wanted:
            raise self.refused(name, f"it must be {what}")
        return value


class ForeignTensors:
    """The tensors of a safetensors file, each checked as it is taken."""

    def __init__(self, path: Path) -> None:
        """Raises ModelFileError for anything but a complete file of that format."""
        self.path = path
        try:
            self.left = tensor_file.read(path)[0]
        except ValueError as error:
            raise ModelFileError(f"{path} is not a safetensors file: {error}") from None
        except OSError as error:
            raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
        matrices = [one for one in self.left.values() if one.is_floating_point() and one.dim() > 1]
        self.note = _said_of_types({one.dtype for one in matrices} - {torch.float32})

    def __contains__(self, name: str) -> bool:
        return name in self.left

    def matrix_shape(self, name: str) -> tuple[int, int]:
        """The shape of a matrix that must be there, with at least one row and column."""
        found = self.left.get(name)
        if found is None:
            raise ModelFileError(f"{self.path} has no tensor {name!r}, but {self._listed()}")
        if found.dim() != 2 or not found.numel():
            raise ModelFileError(f"{self.path}: {name} is {list(found.shape)}, and no matrix")
        return found.shape[0], found.shape[1]

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor of numbers with this shape, in 32 bits. Raises ModelFileError."""
        found = self.left.pop(name, None)
        if found is None:
            raise ModelFileError(f"{self.path} has no tensor {name!r}, but {self._listed()}")
        if found.shape != shape or not found.is_floating_point():
            kind = str(found.dtype).removeprefix("torch.")
            raise ModelFileError(
                f"{self.path}: {name} is {kind} {list(found.shape)}, not numbers {list(shape)}"
            )
        return found.float()

    def refuse_others(self) -> None:
        """Raises ModelFileError if tensors are left that nothing was made of."""
        if self.left:
            raise ModelFileError(
                f"{self.path} has tensors that this model does not have: {self._listed()}"
            )

    def _listed(self) -> str:
        return listed({name: tuple(value.shape) for name, value in self.left.items()})


def listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Names and shapes of tensors for a message, the first of many."""
    said = [f"{metadata.shown(name)[1:-1]} {list(shape)}" for name, shape in shapes.items()]
    more = f" and {len(said) - SHOWN:,} more" if len(said) > SHOWN else ""
    return ", ".join(said[:SHOWN]) + more or "none"


def notes_on(config: ForeignConfig, tensors: ForeignTensors) -> tuple[str, ...]:
    """Sentences on the fields that have no effect, and on numbers that change their type."""
    unread = [metadata.shown(name)[1:-1] for name in config.unread]
    more = f" and {len(unread) - SHOWN:,} more" if len(unread) > SHOWN else ""
    ignored = f"{config.path.name}: not used: {', '.join(unread[:SHOWN])}{more}" if unread else ""
    return tuple(filter(None, (ignored, tensors.note)))


def _said_of_types(kinds: set[torch.dtype]) -> str:
    if not kinds:
        return ""
    names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    return f"its weights are {names}; aectl stores and computes float32"
