"""A run of a convolutional winner-take-all autoencoder on whole images, whitened or not."""

import math

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.models.networks import ConvWTAAutoencoder
from aectl.training.image_run import ImageRun, sampled
from aectl.training.image_sketch import PooledSketch
from aectl.training.initialisation import Start, begin_at_mean, copy_weights

MOST_SEEN, ROOM_OF_PIXELS = 20_000, 1 << 26
"""Maximum number of images before training, and of their values: a matrix that whitens images needs
many more images than these have pixels."""


class ConvWTASketch(PooledSketch):
    """A training of maps in each of which one activation wins."""

    @property
    def seen(self) -> int:
        """The number of images that are looked at before training."""
        return min(
            self.learnt, MOST_SEEN, max(1, ROOM_OF_PIXELS // math.prod(self.architecture.shape))
        )

    def begin(self, network: ConvWTAAutoencoder) -> None:
        """Looks at some of the images."""
        _begin(network, self.config, self.batch(self.seen).inputs)


class ConvWTARun(ImageRun):
    """A run on images: what it trains is the autoencoder without the pooling."""

    sketch_class = ConvWTASketch
    network: ConvWTAAutoencoder
    sketch: ConvWTASketch

    def _begin(self, start: Start) -> None:
        if start.weights is not None:
            copy_weights(start.weights, self.network)
        else:
            seen = sampled(self._training, self.sketch.seen, self.config.training.seed)
            _begin(self.network, self.config, seen.whole().inputs)


@torch.no_grad()
def _begin(network: ConvWTAAutoencoder, config: Config, images: Tensor) -> None:
    """Fits the whitening and the center to some images."""
    whitening, center = network.encoder.whitening, network.trained.encoder.center
    if whitening is not None and config.model.whitening is not None:
        whitening.fit(images.flatten(1), config.model.whitening)
    if center is not None:
        inputs = network.below(images)
        center.copy_(inputs.mean((0, 2, 3)).view_as(center))
        begin_at_mean(network.trained, inputs)
