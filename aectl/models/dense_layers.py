"""The encoder and the decoder of a dense autoencoder."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import Shape
from aectl.models import active_units, kept_units
from aectl.models.activations import ACTIVATIONS
from aectl.models.codes import Code
from aectl.models.precision import single
from aectl.models.whole_batch import Dropout


class Encoder(nn.Module):
    """preactivation = W_n ... activation(W_1 x + b_1) ... + b_n; code = `code`(preactivation).

    With a `center`, (pixels,), x is the image minus the center (LeCun et al. 1998, section 4.3). In
    training, the fractions `input_dropout` of the input and `dropout` of each inner layer are
    dropped. With `few_active` units, the gradient of W_n is computed from those alone.
    """

    center: Tensor | None

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        activation: str,
        code: Code,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        center: bool = False,
        few_active: bool = False,
    ) -> None:
        super().__init__()
        widths = [math.prod(shape), *hidden]
        self.register_buffer("center", torch.zeros(widths[0]) if center else None)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = ACTIVATIONS[activation]
        self.code = code
        self.input_dropout = Dropout(input_dropout)
        self.dropout = Dropout(dropout)
        self.code_size = widths[-1]
        self.few_active = few_active

    @property
    def to_code(self) -> nn.Linear:
        """The layer that computes the pre-activation of the code."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def _centered(self, images: Tensor) -> Tensor:
        """images -> (batch, pixels): the input of the first layer."""
        x = images.flatten(1)
        return x if self.center is None else x - self.center

    def inner(self, images: Tensor, layer: int) -> Tensor:
        """images -> (batch, units): the output of a hidden layer, from 1; 0 is the input."""
        x: Tensor = self.input_dropout(self._centered(images))
        for dense in self.layers[:layer]:
            x = self.dropout(self.activation(dense(x)))
        return x

    def preactivation(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, code_size), before the activation."""
        x, layer = self.inner(images, len(self.layers) - 1), self.to_code
        if self.training and self.few_active and active_units.applies_to(x):
            return active_units.preactivation(x, layer.weight, layer.bias)
        return single(layer(x))

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> code: (batch, code_size)."""
        code: Tensor = self.code(self.preactivation(images))
        return code


class Decoder(nn.Module):
    """Mirrors the encoder's widths; `tied` layers use its transposed weights.

    With `few_active` units of the code, their products alone are computed.
    """

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        activation: str,
        dropout: float = 0.0,
        tied: nn.ModuleList | None = None,
        few_active: bool = False,
    ) -> None:
        super().__init__()
        widths = [math.prod(shape), *hidden][::-1]
        self.shape = shape
        self.few_active = few_active
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)
        if tied is None:
            first = active_units.LinearByUnit if few_active else nn.Linear
            self.layers = nn.ModuleList(
                (nn.Linear if layer else first)(a, b)
                for layer, (a, b) in enumerate(pairwise(widths))
            )
        else:
            self.layers = nn.ModuleList(_Transposed(layer) for layer in reversed(tied))

    @property
    def directions(self) -> Tensor:
        """The weights of the first layer, one column per unit of the code: (n, code_size)."""
        weight: Tensor = self.layers[0].weight  # type: ignore[assignment]
        return weight

    @property
    def last_bias(self) -> Tensor:
        """The bias of the last layer, one value per pixel."""
        bias: Tensor = self.layers[-1].bias  # type: ignore[assignment]
        return bias

    def forward(self, code: Tensor) -> Tensor:
        """code: (batch, code_size) -> (batch, channels, height, width), before the activation."""
        few = self.few_active and active_units.applies_to(code)
        if few and (self.training or active_units.are_few(code)):
            return self._above(active_units.decoded(code, self.directions, self._first_bias))
        return self._above(self.layers[0](code))

    def of_kept(self, values: Tensor, kept: kept_units.KeptUnits) -> Tensor:
        """The same from the kept units of a code and their values, (elements,)."""
        return self._above(kept_units.decoded(values, kept, self.directions, self._first_bias))

    @property
    def _first_bias(self) -> Tensor:
        bias: Tensor = self.layers[0].bias  # type: ignore[assignment]
        return bias

    def _above(self, x: Tensor) -> Tensor:
        """The output of the last layer, from that of the first."""
        _, *above = self.layers
        if above:
            *inner, last = above
            x = self.dropout(self.activation(x))
            for layer in inner:
                x = self.dropout(self.activation(layer(x)))
            x = last(x)
        return x.view(x.shape[0], *self.shape)


class _Transposed(nn.Module):
    """A linear layer with the transposed weights of another layer, and its own bias."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, nn.Linear)
        self._source = (layer,)  # in a tuple, so that its weights are not registered twice
        self.bias = nn.Parameter(layer.weight.new_zeros(layer.in_features))

    @property
    def weight(self) -> Tensor:
        return self._source[0].weight.t()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)
