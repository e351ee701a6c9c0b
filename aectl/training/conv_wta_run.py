"""A run of a convolutional winner-take-all autoencoder on images or maps, whitened or not."""

import math

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.models.networks import ConvWTAAutoencoder
from aectl.objectives.step import Batch
from aectl.training.code_set import FEW
from aectl.training.image_run import ImageRun
from aectl.training.initialisation import Start, begin_bias, copy_weights
from aectl.training.loop import MemorySet
from aectl.training.pooled_run import InputSet, StackRun, StackSketch, sample_of

MOST_SEEN, ROOM_OF_PIXELS = 20_000, 1 << 26
"""Maximum number of images before training, and of their values: a matrix that whitens images needs
many more images than these have pixels."""


class ConvWTASketch(StackSketch):
    """A training of maps in each of which one activation wins."""

    @property
    def seen(self) -> int:
        """The number of images that are looked at before training."""
        return min(self.learnt, MOST_SEEN, max(1, ROOM_OF_PIXELS // math.prod(self.own_shape)))

    def batch(self, count: int) -> Batch:
        """Images as floats, or maps."""
        return self.own_batch(count, self.own_shape)

    def begin(self, network: ConvWTAAutoencoder) -> Tensor | None:
        """Looks at some of the images."""
        maps = self.maps()
        _begin(network, self.config, self.batch(self.seen).inputs)
        return maps

    @property
    def evaluation_batch(self) -> int:
        """Few: each image is coded alone, also here, where each costs as much as a whole batch of
        another kind.
        """
        return min(FEW, super().evaluation_batch)

    def measure(self, network: ConvWTAAutoencoder, batch: Batch) -> None:
        """The metrics of a batch of images, or of an image."""
        if self.architecture.stacked:
            self.measure_one(network)
        else:
            super().measure(network, batch)


class ConvWTARun(StackRun):
    """A run on images or maps: what it trains is the autoencoder without the pooling."""

    sketch_class = ConvWTASketch
    network: ConvWTAAutoencoder
    sketch: ConvWTASketch

    def _learn_from(self, inputs: InputSet, held_out: InputSet) -> None:
        if isinstance(inputs, MemorySet) and isinstance(held_out, MemorySet):
            ImageRun._take(self, inputs, held_out)
        else:
            self._training, self._held_out, self._sample = inputs, held_out, inputs

    def _begin(self, start: Start) -> None:
        if start.weights is not None:
            copy_weights(start.weights, self.network)
            return
        seed = self.config.training.seed
        _begin(self.network, self.config, sample_of(self._training, self.sketch.seen, seed))

    def _metrics(self) -> dict[str, float]:
        return super()._metrics() if self.architecture.stacked else ImageRun._metrics(self)


@torch.no_grad()
def _begin(network: ConvWTAAutoencoder, config: Config, inputs: Tensor) -> None:
    """Fits the whitening and the center to some images or maps."""
    whitening, center = network.encoder.whitening, network.trained.encoder.center
    if whitening is not None and config.model.whitening is not None:
        whitening.fit(inputs.flatten(1), config.model.whitening)
    if center is not None:
        inputs = network.below(inputs)
        center.copy_(inputs.mean((0, 2, 3)).view_as(center))
        begin_bias(network.trained, inputs)
