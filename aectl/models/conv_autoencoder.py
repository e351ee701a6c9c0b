"""The convolutional autoencoder with a dense code."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from aectl.config.shapes import Shape, halved
from aectl.models.activations import ACTIVATIONS
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.codes import Code
from aectl.models.precision import single


class ConvEncoder(nn.Module):
    """Stages of 3x3 convolutions that halve the image, then a dense layer to the code.

    With a `center`, (channels, height, width), the input is the image minus the center.
    """

    center: Tensor | None

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        activation: str,
        code: Code,
        center: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(shape) if center else None)
        *channels, self.code_size = hidden
        self.stages = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise([shape[0], *channels])
        )
        self.to_code = nn.Linear(math.prod(stage_shapes(shape, channels)[-1]), self.code_size)
        self.activation = ACTIVATIONS[activation]
        self.code = code

    def inner(self, images: Tensor, layer: int) -> Tensor:
        """images -> (batch, channels, height, width): the output of a stage, from 1."""
        x = images if self.center is None else images - self.center
        for stage in self.stages[:layer]:
            x = self.activation(stage(x))
        return x

    def preactivation(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, code_size), before the activation."""
        return single(self.to_code(self.inner(images, len(self.stages)).flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> code: (batch, code_size)."""
        code: Tensor = self.code(self.preactivation(images))
        return code


class ConvDecoder(nn.Module):
    """A dense layer from the code, then stages that double the image, back to its exact size."""

    def __init__(self, shape: Shape, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        *channels, code_size = hidden
        shapes = stage_shapes(shape, channels)
        self.inner_shape = shapes[-1]
        self.from_code = nn.Linear(code_size, math.prod(self.inner_shape))
        self.stages = nn.ModuleList(_doubling(a, b) for a, b in pairwise(shapes[::-1]))
        self.activation = ACTIVATIONS[activation]

    @property
    def directions(self) -> Tensor:
        """The weights of the first layer, one column per unit of the code: (n, code_size)."""
        return self.from_code.weight

    @property
    def last_bias(self) -> Tensor:
        """The bias of the last stage, one value per channel."""
        bias: Tensor = self.stages[-1].bias  # type: ignore[assignment]
        return bias

    def forward(self, code: Tensor) -> Tensor:
        """code: (batch, code_size) -> (batch, channels, height, width), before the activation."""
        x: Tensor = self.from_code(code).unflatten(1, self.inner_shape)
        for stage in self.stages:
            x = stage(self.activation(x))
        return x


class StagedAutoencoder(AutoencoderBase):
    """An autoencoder of convolutions in stages that halve the image; a subclass names its parts.

    `hidden`: the channels of each stage, then the width of the code.
    """

    encoder_class: Callable[..., nn.Module]
    decoder_class: Callable[..., nn.Module]

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        activation: str = "relu",
        code: Code | None = None,
        output_activation: str = "clamp",
        *,
        center: bool = False,
    ) -> None:
        super().__init__(shape, output_activation)
        self.encoder = self.encoder_class(shape, hidden, activation, code or Code(), center)
        self.decoder = self.decoder_class(shape, hidden, activation)


class ConvAutoencoder(StagedAutoencoder):
    """An autoencoder of strided convolutions around a dense code."""

    encoder: ConvEncoder
    decoder: ConvDecoder
    encoder_class, decoder_class = ConvEncoder, ConvDecoder


def stage_shapes(shape: Shape, channels: Sequence[int]) -> list[Shape]:
    """The shapes of the image and of each stage's output."""
    _, height, width = shape
    return [shape] + [
        (count, halved(height, times), halved(width, times))
        for times, count in enumerate(channels, 1)
    ]


def _doubling(small: Shape, large: Shape) -> nn.ConvTranspose2d:
    """The transposed convolution with output shape `large`: 2n - 1 rows, or one more if even."""
    extra = (1 - large[1] % 2, 1 - large[2] % 2)
    return nn.ConvTranspose2d(small[0], large[0], 3, stride=2, padding=1, output_padding=extra)
