"""A picture of reconstructions, below their originals where there are any."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aectl.config.spelling import spelt_out
from aectl.data.images.pixels import Pixels, to_bytes
from aectl.outputs import pictures
from aectl.outputs.captions import distinguished

TITLE = "original above, reconstruction below, and the mean squared error"


class Reconstructions:
    """Collects the first images of some results, at most `most`, and draws them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._paths: list[str] = []
        self._labels: list[str | None] = []
        self._originals: list[Pixels] = []
        self._made: list[NDArray[np.float32]] = []

    def add(self, result: Any) -> None:
        """Adds a result: its `paths`, `labels`, `reconstruction`, (n, channels, height, width), and
        `originals`, of the same shape, 0 to 255, or None.
        """
        room = self._most - len(self._paths)
        if room <= 0 or not result.paths:
            return
        self._paths += result.paths[:room]
        self._labels += result.labels[:room]
        self._made.append(result.reconstruction[:room])
        if result.originals is not None:
            self._originals.append(result.originals[:room])

    def drawn(self, separate: bool = False) -> list[Image.Image]:
        """A single picture, or one of the originals and one of the reconstructions; none if there
        are no images.
        """
        if not self._made:
            return []
        names, made = self._names(), np.concatenate(self._made)
        if not self._originals:
            return [pictures.image_grid(to_bytes(made), names)]
        originals = np.concatenate(self._originals)
        errors = pictures.errors(originals, made)
        captions = [f"{name}\n{error}" for name, error in zip(names, errors, strict=True)]
        if separate:
            below = pictures.image_grid(to_bytes(made), captions)
            return [pictures.image_grid(originals, names), below]
        return [pictures.reconstruction_grid(originals, made, captions, TITLE)]

    def _names(self) -> Sequence[str]:
        """The label of each image, or as much of its path as is needed to distinguish it."""
        named = zip(distinguished(self._paths), self._labels, strict=True)
        return [spelt_out(name if label is None else label) for name, label in named]
