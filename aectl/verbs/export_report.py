"""The outcome of an export: what was written, and how far it is from the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aectl.config.exports import ENCODER, GIVES
from aectl.inference.agreement import Agreement

REPORT = ".json"
"""The name of a report ends so, behind that of the file."""


@dataclass(frozen=True)
class Export:
    """A file that was written, and how far its outputs are from those of the model: the `results`
    by the names of the outputs, for so many `inputs`, in batches of some `sizes`. `takes` and
    `gives`: what goes in and comes out, in words; `versions`: of what wrote and ran it.
    """

    path: Path
    model: Path
    parts: tuple[str, ...]
    format: str
    quantized: str | None
    takes: str
    gives: str
    results: Mapping[str, Agreement]
    inputs: int
    sizes: Sequence[int]
    tolerance: float
    versions: Mapping[str, str]

    @property
    def report(self) -> Path:
        """The path of the report."""
        return report_of(self.path)

    def told(self) -> list[str]:
        """Two lines: what was written, and how far it is from the model."""
        sizes = [f"{one:,}" for one in self.sizes]
        distances = [self._distance(part, GIVES[part][0]) for part in self.parts]
        return [
            f"{self.path}: {self.takes} -> {self.gives}; {_size(self.path):,} bytes",
            f"checked on {self.inputs:,} inputs, {', '.join(sizes[:-1])} and {sizes[-1]} at once:"
            f" the largest difference from the model is {', and '.join(distances)}",
        ]

    def _distance(self, part: str, name: str) -> str:
        """How far the output of a part is from that of the model."""
        found, support = self.results[name], ""
        if part == ENCODER:
            support = f"; {found.mismatches:,} units active in one alone"
        of = f" of the {name}" if len(self.parts) > 1 else ""
        rms = f"; root mean square {found.relative_rms:.1e} of it" if self.quantized else ""
        largest = f"{found.difference:.1e}{of}, {found.relative:.1e} of the largest output"
        return largest + rms + support

    def to_json(self) -> dict[str, Any]:
        """The report."""
        return {
            "file": str(self.path), "bytes": _size(self.path), "model": str(self.model),
            "what": " and ".join(self.parts), "format": self.format, "quantized": self.quantized,
            "takes": self.takes, "gives": self.gives,
            "inputs": self.inputs, "batch_sizes": [*self.sizes], "tolerance": self.tolerance,
            "outputs": {name: found._asdict() for name, found in self.results.items()},
            "versions": dict(self.versions),
        }  # fmt: skip


def report_of(path: Path) -> Path:
    """The path of the report on an exported file."""
    return Path(f"{path}{REPORT}")


def described(name: str, numbers: NDArray[Any]) -> str:
    """Its name, type and shape, in words."""
    sides = ", ".join(["batch", *map(str, numbers.shape[1:])])
    return f"{name}: {numbers.dtype} ({sides})"


def _size(path: Path) -> int:
    """Bytes of a file, or of the files of a folder."""
    files = path.iterdir() if path.is_dir() else (path,)
    return sum(one.stat().st_size for one in files)
