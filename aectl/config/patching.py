"""The places of an image at which units respond, and how the responses become its features."""

import dataclasses
import math
from dataclasses import dataclass

from aectl.config.kinds import KINDS
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import Shape, both
from aectl.errors import ConfigError

NO_POOLING = "none"


@dataclass(frozen=True)
class Patching:
    """Patches of `sides`, (height, width), at every `stride` pixels, pooled over a `grid` of cells.

    A convolution that keeps the sides of an image has a place at each pixel: a patch of 1x1.

    `threshold`: that of the soft threshold, whose features have both signs; None: the code of a
    patch is pooled. `pool`: "sum", "mean", "max", or "none" to keep the responses at all places.
    `mirror`: whether the features of the mirror image are added. `overlap`: the places by which a
    cell extends beyond each of its sides. `power`: that to which the magnitudes of the features are
    raised in the end. `beside`: whether the features of a first encoder, pooled over the same
    cells, are added to those of each cell.
    """

    sides: tuple[int, int]
    stride: int
    threshold: float | None
    pool: str
    grid: tuple[int, int]
    mirror: bool = False
    overlap: int = 0
    power: float = 1.0
    beside: bool = False

    @classmethod
    def of(cls, config: ModelConfig) -> "Patching":
        """That of the options of a model whose features are pooled."""
        patches = KINDS[config.model].patches
        return cls(
            both(config.patch_size) if patches else (1, 1),
            config.stride if patches else 1,
            config.threshold if config.features == "soft-threshold" else None,
            config.pool,
            both(config.grid),
            config.mirror,
            config.overlap,
            config.power,
            config.beside,
        )

    def check(self, shape: Shape) -> None:
        """Raises ConfigError if images of a shape have no place for a patch, or too few places."""
        down, across = self.places(shape)
        if not down or not across:
            raise ConfigError(
                f"--patch-size {_text(self.sides)} does not fit into images of {_text(shape[1:])}"
            )
        if self.pool != NO_POOLING and (self.grid[0] > down or self.grid[1] > across):
            places = "pixels" if self.sides == (1, 1) else "places of patches"
            raise ConfigError(
                f"--grid {_text(self.grid)} has more cells than there are {places},"
                f" {_text((down, across))}"
            )

    def places(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of the patches of an image; 0 where a patch does not fit into it."""
        _, height, width = shape
        down, across = (
            max(0, (side - patch) // self.stride + 1)
            for side, patch in zip((height, width), self.sides, strict=True)
        )
        return down, across

    def cells(self, shape: Shape) -> list[tuple[slice, slice]]:
        """The rows and columns of places in each cell, cells row by row."""
        rows, columns = (
            [
                slice(
                    max(0, n * count // cells - self.overlap),
                    min(count, (n + 1) * count // cells + self.overlap),
                )
                for n in range(cells)
            ]
            for count, cells in zip(self.places(shape), self.grid, strict=True)
        )
        return [(row, column) for row in rows for column in columns]

    def pooled_shape(self, shape: Shape, units: int) -> Shape:
        """The features of an image as maps: (units, rows, columns); of two signs, units twice."""
        down, across = self.grid if self.pool != NO_POOLING else self.places(shape)
        return (1 if self.threshold is None else 2) * units, down, across

    def shape_with_first(self, shape: Shape, units: int) -> Shape:
        """The same with the features of a first encoder, if they stand beside: `shape` is that of
        its maps."""
        own, rows, columns = self.pooled_shape(shape, units)
        return own + (shape[0] if self.beside else 0), rows, columns

    def over(self, shape: Shape) -> list[tuple[slice, slice]]:
        """The rows and columns in each cell of maps whose places are pooled as they stand."""
        return dataclasses.replace(self, sides=(1, 1), stride=1).cells(shape)

    def feature_count(self, shape: Shape, units: int) -> int:
        """The number of features of an image."""
        return math.prod(self.pooled_shape(shape, units))


def _text(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))
