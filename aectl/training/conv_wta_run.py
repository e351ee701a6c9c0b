"""A run of a convolutional winner-take-all autoencoder on whole images, whitened or not."""

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.models.networks import ConvWTAAutoencoder
from aectl.training.image_run import ImageRun
from aectl.training.image_sketch import PooledSketch
from aectl.training.initialisation import Start, begin_at_mean, copy_weights


class ConvWTASketch(PooledSketch):
    """A training of maps in each of which one activation wins."""

    def begin(self, network: ConvWTAAutoencoder) -> None:
        """Looks at some of the images."""
        _begin(network, self.config, self.batch(self.sampled).inputs)


class ConvWTARun(ImageRun):
    """A run on images: what it trains is the autoencoder without the pooling."""

    sketch_class = ConvWTASketch
    network: ConvWTAAutoencoder

    def _begin(self, start: Start) -> None:
        if start.weights is not None:
            copy_weights(start.weights, self.network)
        else:
            _begin(self.network, self.config, self._sample.whole().inputs)


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
