"""The size of a training on images."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aectl.config.shapes import Shape, Sides, both
from aectl.inference.metrics import ReconstructionMetrics
from aectl.models import footprint
from aectl.objectives.objective import Batch, Objective, objective
from aectl.training.initialisation import Start, begin, standardize
from aectl.training.scale import Change, Sketch

MOST_SAMPLED, ROOM_OF_SAMPLE = 10_000, 1 << 30
"""Maximum number of images that are looked at before training and measured after each epoch, and
bytes of their values in the network."""

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class ImageSketch(Sketch):
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
        if not self.crop:
            return super().step_batch(count)
        return Batch(pixels(count, (self.architecture.shape[0], *self.crop)), None)

    def trained(self, network: Any) -> Any:
        """The network; with crops, the one of their sides with the same weights."""
        return network.of_sides(self.crop) if self.crop else network

    def held_out_objective(self, network: Any, whole: Objective) -> Objective:
        """That of whole images."""
        return objective(self.config, network) if self.crop else whole

    def begin(self, network: Any) -> Tensor | None:
        """Looks at some of the images, which stay where each layer is trained alone."""
        if self.architecture.encoder:
            network.fine_tune_encoder(self.config.training.fine_tune)
        sample = self.batch(self.sampled).inputs
        begin(network, self.config, Start(), sample)
        if self.architecture.classes:
            standardize(network, self.config, [sample])
        return sample if self.config.training.stack else None

    def measure(self, network: Any, batch: Batch) -> None:
        """The metrics of reconstructions; a classifier's predictions."""
        network.eval()
        if self.architecture.classes:
            network(batch.inputs)
            return
        add_metrics(ReconstructionMetrics(network.active_above), network, batch.inputs)

    @property
    def evaluation_batch(self) -> int:
        """1,000, or fewer of large images."""
        return footprint.fitting(self.architecture, EVALUATION_BATCH)

    @property
    def measured(self) -> int:
        """Those held out, or a sample of the others."""
        return self.held_out or self.sampled

    @property
    def sides(self) -> Sides:
        """Height and width."""
        _, height, width = self.architecture.shape
        return height, width

    @property
    def sampled(self) -> int:
        """The number of images of which the weights at the start depend: all, or a sample."""
        most = footprint.fitting(self.architecture, MOST_SAMPLED, ROOM_OF_SAMPLE)
        return min(self.learnt, most)

    def resized(self) -> Change:
        """The change of the sides."""
        _, *sides = self.architecture.shape
        return Change(max(sides), self._of_side)

    def _of_side(self, side: int) -> tuple[Sketch, str]:
        """With so many pixels on the longer side, and the widths that follow from it.

        Raises ConfigError where the options need larger images.
        """
        channels, *sides = self.architecture.shape
        height, width = (max(1, side * one // max(sides)) for one in sides)
        old, new = math.prod(sides), height * width
        model = self.config.model
        usual = dataclasses.replace(model, hidden=None)
        if usual.resolved(channels * old, self.sides).hidden == model.hidden:
            free = dataclasses.replace(usual, k=None)
            model = free.resolved(channels * new, (height, width))
        shape: Shape = (channels, height, width)
        self.architecture.input_spec.check(model, shape)
        data = dataclasses.replace(self.config.data, size=(height, width))
        sketch = dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, data=data, model=model),
            architecture=dataclasses.replace(self.architecture, config=model, input=shape),
            stored=self.stored * new // old,
            to_read=self.to_read * new // old,
        )
        return sketch, f"--size {height}x{width}"


def pixels(count: int, shape: Shape) -> Tensor:
    """Images as floats, as they are made of bytes: (count, *shape)."""
    return torch.empty((count, *shape), dtype=torch.uint8) / 255


def add_metrics(metrics: ReconstructionMetrics, network: Any, images: Tensor) -> None:
    """Adds the reconstructions and codes of a batch of images to the metrics of a network."""
    code, output = network.traced(images)
    metrics.update(network.targets(images), network.output_activation(output), code)
