"""The convolutional winner-take-all autoencoder.

After Makhzani & Frey, Winner-Take-All Autoencoders (NIPS 2015), section 3.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from aectl.config.patching import NO_POOLING, Patching
from aectl.config.shapes import Shape
from aectl.models.activations import ACTIVATIONS
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.codes import Code, MapWinners
from aectl.models.pooling import POOLS, PooledAutoencoder, PooledEncoder
from aectl.models.sparse_maps import convolved, drawn
from aectl.models.whitening import Whitened, Whitening


class MapsEncoder(nn.Module):
    """Convolutions of stride 1 that keep the sides: beyond the border, pixels are 0.

    With a `center`, (channels, 1, 1), the input is the image minus the center.
    """

    center: Tensor | None

    def __init__(
        self, channels: Sequence[int], kernel: int, activation: str, code: Code, center: bool
    ) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(channels[0], 1, 1) if center else None)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, kernel, padding=kernel // 2) for a, b in pairwise(channels)
        )
        for name, parameter in self.layers.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        self.activation = ACTIVATIONS[activation]
        self.code = code
        self.code_size = channels[-1]

    @property
    def to_code(self) -> nn.Conv2d:
        """The convolution that computes the pre-activations of the maps."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def preactivation(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, maps, height, width)."""
        last = self.to_code
        assert last.bias is not None
        return convolved(self._inner(images), last.weight, last.bias)

    def dense(self, images: Tensor) -> Tensor:
        """The activations of the maps, none of which competes: (batch, maps, height, width)."""
        return self.code.activation(self.to_code(self._inner(images)))

    def forward(self, images: Tensor) -> Tensor:
        """The maps, of whose activations only the winners are not 0."""
        code: Tensor = self.code(self.preactivation(images))
        return code

    def _inner(self, images: Tensor) -> Tensor:
        """The input of the last convolution."""
        x = images if self.center is None else images - self.center
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return x


class FilterDecoder(nn.Module):
    """x_hat = b + sum_j W_j * h_j: at each activation of a map, its filter is added to the image.

    A transposed convolution: linear, with one bias for each channel. Filters are 0 at the start, so
    that each becomes the mean of what its map responds to before that is changed.
    """

    def __init__(self, maps: int, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(maps, channels, side, side))
        self.bias = nn.Parameter(torch.zeros(channels))

    @property
    def directions(self) -> Tensor:
        """The filters, one column for each map: (channels * side * side, maps)."""
        return self.weight.flatten(1).t()

    @property
    def last_bias(self) -> Tensor:
        """One value per channel."""
        return self.bias

    def forward(self, maps: Tensor) -> Tensor:
        """maps: (batch, maps, height, width) -> (batch, channels, height, width)."""
        return drawn(maps, self.weight, self.bias)


class MapsAutoencoder(AutoencoderBase):
    """Maps in each of which one activation wins, and a filter for each map.

    `hidden`: the maps of each convolution of the encoder.
    """

    encoder: MapsEncoder
    decoder: FilterDecoder

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        activation: str,
        rate: float,
        output_activation: str,
        *,
        kernel: int,
        side: int,
        center: bool = False,
    ) -> None:
        super().__init__(shape, output_activation)
        channels, maps = [shape[0], *hidden], hidden[-1]
        code = MapWinners(maps, rate)
        self.encoder = MapsEncoder(channels, kernel, activation, code, center)
        self.decoder = FilterDecoder(maps, shape[0], side)


class MapFeatures(PooledEncoder):
    """Gives the features of whole images: the activations of all maps, pooled."""

    def __init__(
        self,
        shape: Shape,
        patching: Patching,
        whitened: bool,
        of_maps: MapsAutoencoder,
        first: PooledEncoder | None = None,
    ) -> None:
        super().__init__(shape, patching, of_maps.code_size, first)
        self.whitening = Whitening(math.prod(shape)) if whitened else None
        self.of_maps = of_maps

    @property
    def code(self) -> Code:
        """The code: the maps before they are pooled."""
        return self.of_maps.encoder.code

    def featuring(self) -> Callable[[Tensor], Tensor]:
        """The pooled maps of its own inputs, (n, channels, height, width) -> (n, code_size)."""
        return self._features

    def _features(self, images: Tensor) -> Tensor:
        maps = self.of_maps.encoder.dense(self.whitened(images)).movedim(1, -1)
        if self.patching.pool == NO_POOLING:
            return maps.flatten(1)
        pool = POOLS[self.patching.pool]
        return torch.cat([pool(maps[:, *cell].flatten(1, 2)) for cell in self.cells], 1)

    def own_filters(self) -> Tensor:
        """The filters of the decoder."""
        return self.of_maps.decoder.weight

    def whitened(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> the same, whitened if the model does that."""
        return images if self.whitening is None else self._contrasts(images).values.view_as(images)

    def undone(self, images: Tensor, made: Tensor) -> Tensor:
        """The inverse of `whitened` for reconstructions of `images`, with the mean and the
        deviation of each image.
        """
        if self.whitening is None:
            return made
        whitened = self._contrasts(images)._replace(values=made.flatten(1))
        return self.whitening.undone(whitened).view_as(images)

    def _contrasts(self, images: Tensor) -> Whitened:
        assert self.whitening is not None
        found: Whitened = self.whitening(images.flatten(1))
        return found


class ConvWTAAutoencoder(PooledAutoencoder):
    """A winner-take-all autoencoder of maps, as a model of whole images.

    Features are the pooled maps, of whose activations none competes. For a reconstruction, the
    largest activation of each map draws its filter, if it is above the threshold of the map.
    """

    encoder: MapFeatures

    def __init__(self, shape: Shape, encoder: MapFeatures) -> None:
        super().__init__(shape, "clamp")
        self.encoder = encoder
        if encoder.whitening is None or encoder.first is not None:
            self.output_activation = encoder.of_maps.output_activation

    @property
    def trained(self) -> MapsAutoencoder:
        """The autoencoder of its own input, whitened or not."""
        return self.encoder.of_maps

    def below(self, inputs: Tensor) -> Tensor:
        """Whitens its own input, if the model does that."""
        return self.encoder.whitened(inputs)

    def codes_of(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(n, channels, height, width) -> the winner of each map, (n, 1, maps), and the
        reconstructions before the output's activation.
        """
        maps = self.trained.encode(self.below(targets))
        made = self.encoder.undone(targets, self.trained.decoder(maps))
        return maps.flatten(2).amax(2)[:, None], made

    def largest(self, targets: Tensor) -> Tensor:
        """-> (n, maps): the winner of each map, or 0."""
        return self.trained.encode(self.below(targets)).flatten(2).amax(2)
