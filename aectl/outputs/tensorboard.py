"""Training logs for TensorBoard: scalars, histograms, pictures and codes."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aectl.config.spelling import spelt
from aectl.errors import ConfigError
from aectl.files import writing


class TensorBoard:
    """Writes the logs of a run to a folder, from the epoch `first` on.

    Raises ConfigError if the package is missing, OutputError if the logs cannot be written.
    """

    def __init__(self, folder: Path, first: int = 1) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            needed = "pip install 'aectl[tensorboard]'"
            raise ConfigError(f"--tensorboard needs a package: {needed}") from None
        self._folder, self._opened = folder, contextlib.ExitStack()
        with writing(folder):
            path = self._opened.enter_context(_in_utf8(folder))
            self._writer: Any = SummaryWriter(path, purge_step=first)

    def epoch(self, row: Mapping[str, float], weights: Mapping[str, NDArray[Any]]) -> None:
        """Writes the metrics of an epoch, and histograms of the weights after it."""
        with writing(self._folder):
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(_tag(name), value, row["epoch"])
            for name, values in weights.items():
                self._writer.add_histogram(f"weights/{name}", values, row["epoch"])
            self._writer.flush()  # otherwise a run that is killed and resumed would have a gap

    def pictures(self, pictures: Mapping[str, Image.Image], epoch: int) -> None:
        """Writes pictures, given by name."""
        with writing(self._folder):
            for name, picture in pictures.items():
                pixels = np.asarray(picture.convert("RGB"))
                self._writer.add_image(name, pixels, epoch, dataformats="HWC")

    def codes(
        self,
        codes: NDArray[np.float32],
        images: NDArray[np.uint8],
        names: Sequence[str],
        epoch: int,
    ) -> None:
        """Writes codes, (n, units), for the projector, with the names and images of the inputs."""
        import torch

        one_line = [" ".join(spelt(name).split()) or "-" for name in names]
        with writing(self._folder):
            self._writer.add_embedding(
                torch.from_numpy(codes), one_line, torch.from_numpy(images) / 255, epoch, "codes"
            )

    def close(self) -> None:
        """Writes the remaining logs."""
        with self._opened, writing(self._folder):
            self._writer.close()


@contextlib.contextmanager
def _in_utf8(folder: Path) -> Iterator[str]:
    """A UTF-8 path of a folder, which is created, because TensorBoard opens no other paths."""
    if spelt(str(folder)) == str(folder):
        yield str(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _tag(name: str) -> str:
    """`train/mse` for `train_mse`, so that TensorBoard groups the metrics by split."""
    for split in ("train", "validation"):
        if name.startswith(f"{split}_"):
            return f"{split}/{name.removeprefix(f'{split}_')}"
    return name
