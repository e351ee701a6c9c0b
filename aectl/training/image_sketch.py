"""The size of a training on images."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aectl.config import kinds
from aectl.config.data_options import MIDDLE, DataConfig
from aectl.config.shapes import Shape, Sides, both
from aectl.errors import ConfigError
from aectl.models.architecture import Architecture
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch, Objective
from aectl.training.memory_sketch import MemorySketch
from aectl.training.scale import Change, Sketch

ROUND = 16
"""The longer side of a crop that is suggested is a multiple of this number."""


@dataclass(frozen=True)
class ImageSketch(MemorySketch):
    """A training on images."""

    def batch(self, count: int) -> Batch:
        """Images as floats, and labels for a classifier."""
        classes = self.architecture.classes
        images = pixels(count, self.architecture.shape)
        return Batch(images, torch.empty(count, dtype=torch.int64) if classes else None)

    @property
    def crop(self) -> Sides | None:
        """Height and width of the crops that are trained on, if these are not whole images."""
        asked = self.config.data.crop
        return both(asked) if asked else None

    def step_batch(self, count: int) -> Batch:
        """Whole images, or crops of them."""
        return self._parts(count, self.crop) if self.crop else self.batch(count)

    def trained(self, network: Any) -> Any:
        """The network; with crops, the one of their sides with the same weights."""
        return network.of_sides(self.crop) if self.crop else network

    @property
    def middle(self) -> Sides:
        """Height and width of the middle of an image, which is measured after each epoch; all of it
        if whole images are trained on."""
        if not self.crop:
            return self.sides
        wanted = (max(MIDDLE, part) for part in self.crop)
        height, width = map(min, self.sides, wanted)
        return height, width

    @property
    def trained_fraction(self) -> float:
        """The pixels of a crop for each that is measured, so that both losses are comparable."""
        return math.prod(self.crop) / math.prod(self.middle) if self.crop else 1.0

    def measured_network(self, network: Any) -> Any:
        """The network; if less than whole images is measured, the one of these sides with the same
        weights."""
        return network if self.middle == self.sides else network.of_sides(self.middle)

    def held_out_objective(self, network: Any, whole: Objective) -> Objective:
        """That of the middle of images."""
        return objective(self.config, self.measured_network(network)) if self.crop else whole

    def held_out_batch(self, count: int) -> Batch:
        """The middle of images as floats."""
        return self._parts(count, self.middle) if self.crop else self.batch(count)

    def _parts(self, count: int, sides: Sides) -> Batch:
        """Images of other sides, without labels."""
        return Batch(pixels(count, (self.architecture.shape[0], *sides)), None)

    @property
    def sides(self) -> Sides:
        """Height and width."""
        _, height, width = self.architecture.shape
        return height, width

    def changes(self) -> list[Change]:
        """Of images in colour, one channel is among them."""
        found = super().changes()
        if not self.settled and self.architecture.shape[0] > 1:
            found.append(Change(self.architecture.shape[0], self._in_grey))
        return found

    def resized(self) -> Change:
        """The change of the sides."""
        _, *sides = self.architecture.shape
        follows = self.usual and self.architecture.kind in kinds.dense()
        return Change(max(sides), self._of_side, 4 if follows else 2)

    def pieces(self) -> list[Change]:
        """The crops of an autoencoder whose code is a map."""
        if not self.config.model.code_is_map:
            return []
        return [Change(max(self.crop or self.sides), self._of_crop, 2, ROUND)]

    def other_models(self) -> Iterator[tuple[Sketch, str]]:
        """Those of a dense network; its widths are named if they did not follow from the input."""
        if self.settled or self.architecture.kind not in kinds.dense():
            return
        for kind in kinds.of_any_size():
            with contextlib.suppress(ConfigError):  # other options exclude this kind
                sketch = self._of_kind(kind)
                widths = ",".join(map(str, sketch.architecture.hidden))
                yield sketch, f"--model {kind}" + ("" if self.usual else f" --hidden {widths}")

    @property
    def usual(self) -> bool:
        """Whether the widths follow from the input."""
        model = dataclasses.replace(self.config.model, hidden=None)
        width = math.prod(self.architecture.shape)
        return model.resolved(width, self.sides).hidden == self.config.model.hidden

    def _of_kind(self, kind: str) -> Sketch:
        shape = self.architecture.shape
        free = dataclasses.replace(self.config, model=self.free_model)
        config = free.of_kind(kind).resolved(shape, math.prod(shape), self.inputs)
        architecture = Architecture(config.model, shape)
        return OF_KINDS.get(kind, ImageSketch)(
            config, architecture, self.inputs, self.stored, self.kept
        )

    def _of_crop(self, side: int) -> tuple[Sketch, str]:
        """With crops of so many pixels on the longer side, or a few less."""
        side = max(ROUND, side // ROUND * ROUND)
        height, width = _scaled(self.crop or self.sides, side)
        data = dataclasses.replace(self.config.data, crop=(height, width))
        config = dataclasses.replace(self.config, data=data)
        return dataclasses.replace(self, config=config), f"--crop {height}x{width}"

    def _of_side(self, side: int) -> tuple[Sketch, str]:
        """With so many pixels on the longer side, and the widths that follow from it; a crop that
        is larger becomes the whole image.

        Raises ConfigError where the options need larger images.
        """
        height, width = _scaled(self.sides, side)
        words, data = f"--size {height}x{width}", self.config.data
        if self.crop and (self.crop[0] > height or self.crop[1] > width):
            crop = min(self.crop[0], height), min(self.crop[1], width)
            words += f" --crop {crop[0]}x{crop[1]}"
            data = dataclasses.replace(data, crop=crop)
        return self._of_shape((self.architecture.shape[0], height, width), data), words

    def _in_grey(self, channels: int) -> tuple[Sketch, str]:
        """With one channel, whatever their number."""
        return self._of_shape((1, *self.sides), self.config.data), "--channels 1"

    def _of_shape(self, shape: Shape, data: DataConfig) -> Sketch:
        """With images of another shape, and the widths that follow from it."""
        model = self.free_model
        if self.usual:
            model = dataclasses.replace(model, hidden=None)
        config = dataclasses.replace(self.config, data=data, model=model)
        config = config.resolved(shape, math.prod(shape), self.inputs)
        return dataclasses.replace(
            self,
            config=config,
            architecture=dataclasses.replace(self.architecture, config=config.model, input=shape),
            stored=self.stored * math.prod(shape) // math.prod(self.architecture.shape),
        )


OF_KINDS: dict[str, type[ImageSketch]] = {}
"""The sketches of kinds of model that are not trained on whole images; their modules add them."""


def _scaled(sides: Sides, longer: int) -> Sides:
    """The sides of an image with so many pixels on the longer side."""
    height, width = (max(1, longer * side // max(sides)) for side in sides)
    return height, width


def pixels(count: int, shape: Shape) -> Tensor:
    """Images as floats, as they are made of bytes: (count, *shape)."""
    return torch.empty((count, *shape), dtype=torch.uint8) / 255
