"""The fully convolutional autoencoder, whose code is a map."""

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import Shape, Sides
from aectl.models.activations import ACTIVATIONS
from aectl.models.codes import Code
from aectl.models.conv_autoencoder import StagedAutoencoder, stage_shapes

AT_PIXELS = 5
"""The side of the kernels that read pixels; that of all others is 3."""

FAINT = 0.1
"""The gain of the last convolution: training begins near the mean image."""

SEEN, DRAWN = 7, 3
"""The sides, in places of the code, of a small image on which a channel draws, and of the middle
of it, which the border does not change."""


class Residual(nn.Module):
    """x + W_2 activation(W_1 activation(x)), 3x3 convolutions (He et al. 2016, Identity Mappings in
    Deep Residual Networks, figure 4e, without normalisation).

    W_2 is 0 at the start, so that the block begins as the identity (Zhang et al. 2019, Fixup
    Initialization, section 3): without normalisation, no unit depends on the rest of the batch, and
    brightness and contrast are kept.
    """

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.first = Convolution(channels, channels, gain=math.sqrt(2))
        self.second = Convolution(channels, channels, gain=0)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """x -> a tensor of the same shape, (batch, channels, height, width)."""
        inner = self.activation(self.first(self.activation(x)))
        out: Tensor = x + self.second(inner)
        return out


class Halving(nn.Module):
    """A convolution of stride 2, then a residual block.

    The sides of the output are half those of the input, rounded up. No activation follows the
    convolution: the encoder begins as a linear map of the image.
    """

    def __init__(self, below: int, channels: int, kernel: int, activation: str) -> None:
        super().__init__()
        self.halve = Convolution(below, channels, kernel, stride=2)
        self.residual = Residual(channels, activation)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, below, height, width) -> (batch, channels, height / 2, width / 2)."""
        out: Tensor = self.residual(self.halve(x))
        return out

    def begin(self, components: Tensor, below: int) -> None:
        """Lets the first channels be components of the squares of 2x2 places, in the `below` first
        channels of the input: (count, 4 * below), in the order (channel, row, column).

        The other channels stay random; what reads them begins at 0, so that they learn.
        """
        count, corner = len(components), self.halve.weight.shape[2] // 2
        self.halve.weight[:count] = 0
        square = self.halve.weight[:count, :below, corner : corner + 2, corner : corner + 2]
        square.copy_(components.view(count, below, 2, 2))


class Doubling(nn.Module):
    """A residual block, then a convolution of which each place gives a square of 2x2 pixels (Shi et
    al. 2016, Real-Time Single Image and Video Super-Resolution, section 3.2).

    A transposed convolution would draw a checkerboard, because its outputs have unlike numbers of
    inputs (Odena et al. 2016, Deconvolution and Checkerboard Artifacts). `last`: whether the output
    is the image.
    """

    def __init__(self, channels: int, above: int, activation: str, last: bool) -> None:
        super().__init__()
        self.residual = Residual(channels, activation)
        gain = FAINT if last else 1.0
        self.convolution = Convolution(channels, 4 * above, gain=gain, sharing=4)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """x: (batch, channels, height / 2, width / 2) -> (batch, above, height, width).

        The doubled map is cut to the height and the width, if these are odd.
        """
        squares: Tensor = self.convolution(self.residual(x))
        count, _, high, wide = squares.shape
        doubled = squares.view(count, -1, 2, 2, high, wide).permute(0, 1, 4, 2, 5, 3)
        return doubled.reshape(count, -1, 2 * high, 2 * wide)[:, :, :height, :width]

    def begin(self, components: Tensor, above: int) -> None:
        """Puts the components of `Halving.begin` together to the `above` first channels.

        The other channels begin at 0; what reads them is random, so that they learn.
        """
        count, weight = len(components), self.convolution.weight
        weight[:, :count] = 0
        weight[4 * above :] = 0
        weight[: 4 * above, :count, 1, 1] = components.mT


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
        out: Tensor = self.to_code(places).movedim(-1, 1).flatten(1)
        return out

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


class Convolution(nn.Module):
    """A convolution that keeps the sides, or halves them with `stride` 2, rounded up.

    Beyond the border, pixels repeat: zeros would make the border of each training crop unlike the
    inside of a larger image. For white noise, the output has `gain` times the standard deviation of
    the input at the start. Of the channels, so many have the same bias as `sharing` says.
    """

    def __init__(
        self,
        below: int,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        gain: float = 1.0,
        sharing: int = 1,
    ) -> None:
        super().__init__()
        weight = torch.empty(channels, below, kernel, kernel)
        self.weight = nn.Parameter(nn.init.normal_(weight, std=gain / math.sqrt(below * kernel**2)))
        self.bias = nn.Parameter(torch.zeros(channels // sharing))
        self.stride, self.sharing = stride, sharing

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, below, height, width) -> (batch, channels, height, width) / stride."""
        margin = self.weight.shape[2] // 2
        bias = self.bias if self.sharing == 1 else self.bias.repeat_interleave(self.sharing)
        return F.conv2d(_extended(x, margin), self.weight, bias, self.stride)


def _extended(x: Tensor, margin: int) -> Tensor:
    """Repeats the pixels at the border, on each side `margin` times.

    On a GPU, the gradient of F.pad adds up in a random order.
    """
    if not x.is_cuda:
        return F.pad(x, [margin] * 4, mode="replicate")
    for dim in (2, 3):
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, -1, 1)
        x = torch.cat([*[first] * margin, x, *[last] * margin], dim)
    return x
