"""Files that other programs run: each module writes one kind, and runs what it has written."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from aectl.config.exports import EXPORT_FORMATS
from aectl.models.model_card import ModelCard

if TYPE_CHECKING:
    import torch

Runner = Callable[[NDArray[Any]], list[NDArray[Any]]]
"""Gives the outputs of a file for inputs, (n, ...)."""


@dataclass(frozen=True, eq=False)
class Exported:
    """A function of one tensor to be written: the module, `inputs` as an example, at least two of
    them, and the names of input and outputs. `told`: what the file says of itself, texts by name;
    `card`: that of the model; `quantized`: the numbers that take the place of its weights, None for
    the weights themselves.
    """

    module: "torch.nn.Module"
    inputs: "torch.Tensor"
    takes: str
    gives: tuple[str, ...]
    told: Mapping[str, str]
    card: ModelCard
    quantized: str | None = None


class ExportWriter(Protocol):
    """A module that writes one kind of file."""

    def check(self, card: ModelCard) -> None:
        """Raises ConfigError where a package is missing, or the format has no such model."""

    def write(self, exported: Exported, path: Path) -> None:
        """Writes the file. Raises OutputError for what the format cannot hold."""

    def running(self, path: Path) -> Runner:
        """Loads a file that was just written, to run it."""

    def versions(self) -> dict[str, str]:
        """Those of all that wrote the file, and runs it, by name."""


def writer_of(name: str) -> ExportWriter:
    """The module that writes a format."""
    module = f"aectl.outputs.exports.{EXPORT_FORMATS[name].written_by}"
    written_by: Any = importlib.import_module(module)
    found: ExportWriter = written_by
    return found
