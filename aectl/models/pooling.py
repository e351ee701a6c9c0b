"""Autoencoders whose features are pooled over the places of an image."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from aectl.config.patching import Patching
from aectl.models.autoencoder import AutoencoderBase

POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda responses: responses.sum(0),
    "mean": lambda responses: responses.mean(0),
    "max": lambda responses: responses.amax(0),
}
"""The poolings of responses, (places, units) -> (units,), by the names that users type."""


class PooledEncoder(nn.Module):
    """Gives the features of whole images, which are pooled.

    Images are processed one by one, so that the features of one do not depend on the others.
    Features stand cell after cell, row by row; in each, those of all units.
    """

    code_size: int

    def __init__(self, patching: Patching) -> None:
        super().__init__()
        self.patching = patching

    @abstractmethod
    def features(self, image: Tensor) -> Tensor:
        """(channels, height, width) -> (code_size,), without those of the mirror image."""

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> features: (batch, code_size)."""
        if not self.patching.mirror:
            return torch.stack([self.features(image) for image in images])
        mirrored = images.flip(3)
        return torch.stack(
            [self.features(a) + self.features(b) for a, b in zip(images, mirrored, strict=True)]
        )


class PooledAutoencoder(AutoencoderBase):
    """An autoencoder whose features are pooled over the places of an image.

    `encode` gives pooled features, which cannot be decoded; `reconstruct` decodes the code of every
    place.
    """

    @property
    @abstractmethod
    def trained(self) -> AutoencoderBase:
        """The network that is trained; its code is not pooled."""

    @abstractmethod
    def below(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> the input of the network that is trained."""

    @abstractmethod
    def filters(self) -> Tensor:
        """The pattern that each unit stands for: (units, channels, height, width)."""

    def decode(self, code: Tensor) -> Tensor:
        """Raises NotImplementedError: pooled features do not determine an image."""
        raise NotImplementedError("pooled features cannot be decoded; reconstruct takes images")
