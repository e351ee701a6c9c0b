"""A set of images in memory, with labels and classes."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aectl.config.shapes import Shape, Sides
from aectl.data.images.pixels import Pixels, fit_all

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels.

    images: (n, channels, height, width), 0 to 255; labels: (n,), indices into `classes`, or None;
    held_out: the rows of the set's own validation set, or None if it has none.
    """

    name: str
    images: Pixels
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    paths: tuple[str, ...] | None = None
    held_out: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the images as bytes, then the labels and the rows of the validation set, if
        any, as little-endian int64.
        """
        found = hashlib.sha256(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            found.update(np.ascontiguousarray(self.labels, "<i8").data)
        if self.held_out is not None:
            found.update(np.ascontiguousarray(self.held_out, "<i8").data)
        return found.hexdigest()

    def path(self, index: int) -> str:
        """The entry in the `path` column of a table: a file, or a name such as `mnist:test/17`."""
        return self.paths[index] if self.paths else f"{self.name}/{index}"

    def label(self, index: int) -> str | None:
        """The name of an image's class, or None."""
        return None if self.labels is None else self.classes[self.labels[index]]

    def evenly_spaced(self, count: int) -> "ImageSet":
        """At most `count` images, at equal distances in the set, which may be sorted by class."""
        if count >= len(self):
            return self
        return self.part(np.arange(count) * len(self) // count)

    def part(self, rows: NDArray[np.int64]) -> "ImageSet":
        """The images of some rows, with their paths."""
        return ImageSet(
            self.name,
            self.images[rows],
            None if self.labels is None else self.labels[rows],
            self.classes,
            tuple(self.path(row) for row in rows.tolist()),
        )

    def middle(self, sides: Sides) -> "ImageSet":
        """The middle of each image, with this height and width."""
        (top, height), (left, width) = (
            ((side - part) // 2, part) for side, part in zip(self.shape[1:], sides, strict=True)
        )
        pixels = self.images[:, :, top : top + height, left : left + width]
        return replace(self, images=pixels)

    def fitted(self, shape: Shape) -> "ImageSet":
        """The same images in another shape."""
        return replace(self, images=fit_all(self.images, shape))
