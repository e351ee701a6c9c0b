"""Stages of residual blocks and convolutions that halve or double the sides of maps."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.models.activations import ACTIVATIONS

FAINT = 0.1
"""The gain of the last convolution: training begins near the mean image."""


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
