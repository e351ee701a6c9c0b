"""The fully convolutional autoencoder, whose code is a map."""

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from aectl.config.shapes import Shape, Sides
from aectl.models.codes import Code
from aectl.models.conv_autoencoder import StagedAutoencoder, stage_shapes
from aectl.models.precision import single
from aectl.models.residual_stages import Doubling, Halving

AT_PIXELS = 5
"""The side of the kernels that read pixels; that of all others is 3."""

SEEN, DRAWN = 7, 3
"""The sides, in places of the code, of a small image on which a channel draws, and of the middle
of it, which the border does not change."""


class MapEncoder(nn.Module):
    """Stages that halve the image, then a linear layer at each place: a code of `hidden[-1]`
    channels.

    With a `center`, (channels, 1, 1), the input is the image minus the center.
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
        self.register_buffer("center", torch.zeros(shape[0], 1, 1) if center else None)
        *channels, code_channels = hidden
        self.stages = nn.ModuleList(
            Halving(a, b, 3 if number else AT_PIXELS, activation)
            for number, (a, b) in enumerate(pairwise([shape[0], *channels]))
        )
        self.to_code = nn.Linear(channels[-1], code_channels)
        self.code = code
        self._hidden = hidden
        self.fit(shape)

    def fit(self, shape: Shape) -> None:
        """Sets the shape of an image: the shape of the code follows from it."""
        self.code_shape = map_shape(shape, self._hidden)
        self.code_size = math.prod(self.code_shape)

    def inner(self, images: Tensor, layer: int) -> Tensor:
        """images -> (batch, channels, height, width): the output of a stage, from 1."""
        x = images if self.center is None else images - self.center
        for stage in self.stages[:layer]:
            x = stage(x)
        return x

    def preactivation(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, code_size), before the activation."""
        places = self.inner(images, len(self.stages)).movedim(1, -1)
        return single(self.to_code(places)).movedim(-1, 1).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> code: (batch, code_size).

        The code is the map, flattened in the order (channels, height, width).
        """
        code: Tensor = self.code(self.preactivation(images))
        return code


class MapDecoder(nn.Module):
    """A linear layer at each place of the code, then stages that double the map to the image."""

    def __init__(self, shape: Shape, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        *channels, code_channels = hidden
        self.from_code = nn.Linear(code_channels, channels[-1])
        self.stages = nn.ModuleList(
            Doubling(below, above, activation, last=number == len(channels))
            for number, (below, above) in enumerate(pairwise([*channels[::-1], shape[0]]), 1)
        )
        self._hidden = hidden
        self.fit(shape)

    def fit(self, shape: Shape) -> None:
        """Sets the shape of an image, which is that of the output."""
        self.code_shape = map_shape(shape, self._hidden)
        shapes = stage_shapes(shape, self._hidden[:-1])
        self._sides = [sides for _, *sides in shapes[-2::-1]]

    @property
    def directions(self) -> Tensor:
        """The weights of the first layer, one column per channel of the code: (n, channels)."""
        return self.from_code.weight

    @property
    def last_bias(self) -> Tensor:
        """The bias of the last stage, one value per channel."""
        bias: Tensor = self.stages[-1].convolution.bias  # type: ignore[assignment,union-attr]
        return bias

    def forward(self, code: Tensor) -> Tensor:
        """code: (batch, code_size) -> (batch, channels, height, width), before the activation."""
        places = code.view(-1, *self.code_shape).movedim(1, -1)
        x: Tensor = self.from_code(places).movedim(-1, 1).contiguous()
        for stage, (height, width) in zip(self.stages, self._sides, strict=True):
            x = stage(x, height, width)
        return x


class MapAutoencoder(StagedAutoencoder):
    """A fully convolutional autoencoder; its code is a map, (channels, height, width), flattened.

    The last number of `hidden` is the channels of the code.
    """

    encoder: MapEncoder
    decoder: MapDecoder
    encoder_class, decoder_class = MapEncoder, MapDecoder
    draws = True

    @property
    def places(self) -> int:  # type: ignore[override]
        """Number of places of an image, at which the code has the same channels."""
        return math.prod(self.encoder.code_shape[1:])

    def by_place(self, code: Tensor) -> Tensor:
        """code: (batch, code_size) -> the map that it is, (batch, channels, height, width)."""
        return code.view(-1, *self.encoder.code_shape)

    def unit_values(self, images: Tensor) -> Tensor:
        """images -> (batch, channels): the value of largest magnitude of each channel."""
        maps = self.encode(images).view(len(images), -1, self.places)
        found: Tensor = maps.gather(2, maps.abs().argmax(2, keepdim=True)).squeeze(2)
        return found

    @torch.no_grad()
    def drawn(self, codes: Tensor) -> Tensor:
        """codes: (n, code_size) -> the pattern that each channel draws around one place of an
        image, (channels, image channels, side, side): the change of the output if the channel there
        is by its standard deviation above its mean, and all else is at its mean.
        """
        values = codes.view(len(codes), -1, self.places).movedim(1, 0).flatten(1)
        place = 2 ** len(self.encoder.stages)  # side in pixels
        alone = self.of_sides((SEEN * place, SEEN * place))
        mean = values.mean(1).view(1, -1, 1, 1).repeat(1, 1, SEEN, SEEN)
        margin = (SEEN - DRAWN) // 2 * place
        found = []
        for channel, deviation in enumerate(values.std(1, correction=0)):
            above = mean.clone()
            above[:, channel, SEEN // 2, SEEN // 2] += deviation
            both = alone.decoder(torch.cat([above, mean]).flatten(1))
            found.append((both[0] - both[1])[:, margin:-margin, margin:-margin])
        return torch.stack(found)

    @property
    def stages(self) -> Iterator[tuple[Halving, Doubling]]:
        """Each stage of the encoder, and that of the decoder which undoes it, from the image on."""
        pairs = zip(self.encoder.stages, self.decoder.stages[::-1], strict=True)
        return cast("Iterator[tuple[Halving, Doubling]]", pairs)

    def of_sides(self, sides: Sides) -> "MapAutoencoder":
        """The same network for images of other sides; it shares all weights with this one."""
        shared = {id(tensor): tensor for tensor in (*self.parameters(), *self.buffers())}
        other = copy.deepcopy(self, shared)
        other.shape = self.shape[0], *sides
        other.encoder.fit(other.shape)
        other.decoder.fit(other.shape)
        return other


def map_shape(shape: Shape, hidden: Sequence[int]) -> Shape:
    """The shape of the code: its channels, and the sides of the image after all stages."""
    *channels, code = hidden
    return code, *stage_shapes(shape, channels)[-1][1:]
