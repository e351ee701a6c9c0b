"""The dense autoencoder."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import Shape
from aectl.models.activations import ACTIVATIONS
from aectl.models.codes import Code


class Encoder(nn.Module):
    """preactivation = W_n ... activation(W_1 x + b_1) ... + b_n; of that, `code` makes the code.

    Where there is a `center`, (pixels,), x is what an image differs by from it (LeCun et al. 1998,
    section 4.3). In training the parts `input_dropout` of the input and `dropout` of each inner
    layer are dropped.
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
    ) -> None:
        super().__init__()
        widths = [math.prod(shape), *hidden]
        self.register_buffer("center", torch.zeros(widths[0]) if center else None)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = ACTIVATIONS[activation]
        self.code = code
        self.input_dropout = nn.Dropout(input_dropout)
        self.dropout = nn.Dropout(dropout)
        self.code_size = widths[-1]

    @property
    def to_code(self) -> nn.Linear:
        """The layer that gives the preactivation of the code."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def seen(self, images: Tensor) -> Tensor:
        """images -> (batch, pixels): what the first layer sees of them."""
        x = images.flatten(1)
        return x if self.center is None else x - self.center

    def inner(self, images: Tensor, layer: int) -> Tensor:
        """images -> (batch, units): what the hidden layer gives, counted from 1; 0 is the input."""
        x: Tensor = self.input_dropout(self.seen(images))
        for dense in self.layers[:layer]:
            x = self.dropout(self.activation(dense(x)))
        return x

    def preactivation(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, code_size), before the activation."""
        out: Tensor = self.layers[-1](self.inner(images, len(self.layers) - 1))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> code: (batch, code_size)."""
        code: Tensor = self.code(self.preactivation(images))
        return code


class Decoder(nn.Module):
    """The encoder's widths in reverse; `tied` layers use its weights, transposed."""

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        activation: str,
        dropout: float = 0.0,
        tied: nn.ModuleList | None = None,
    ) -> None:
        super().__init__()
        widths = [math.prod(shape), *hidden][::-1]
        self.shape = shape
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)
        if tied is None:
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        else:
            self.layers = nn.ModuleList(_Transposed(layer) for layer in reversed(tied))

    @property
    def directions(self) -> Tensor:
        """What each unit of the code adds to the first layer: a column a unit, (n, code_size)."""
        weight: Tensor = self.layers[0].weight  # type: ignore[assignment]
        return weight

    @property
    def last_bias(self) -> Tensor:
        """The bias of the last layer: a number a pixel."""
        bias: Tensor = self.layers[-1].bias  # type: ignore[assignment]
        return bias

    def forward(self, code: Tensor) -> Tensor:
        """code: (batch, code_size) -> (batch, channels, height, width), before the activation."""
        x = code
        *inner, last = self.layers
        for layer in inner:
            x = self.dropout(self.activation(layer(x)))
        out: Tensor = last(x).unflatten(1, self.shape)
        return out


class _Transposed(nn.Module):
    """A linear layer with the transposed weights of another, and a bias of its own."""

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


class AutoencoderBase(nn.Module):
    """An encoder and a decoder of any kind: what every autoencoder offers."""

    encoder: nn.Module
    decoder: nn.Module

    one_at_a_time = False
    """Whether it sees one input at a time at inference, as more would need much memory."""

    def __init__(self, shape: Shape, output_activation: str) -> None:
        super().__init__()
        self.shape = shape
        self.output_activation = ACTIVATIONS[output_activation]

    @property
    def code_size(self) -> int:
        """The number of units of the code."""
        size: int = self.encoder.code_size  # type: ignore[assignment]
        return size

    @property
    def active_above(self) -> float | None:
        """From which value on a unit of the code counts as active; None: wherever it is not 0."""
        code: Code = self.encoder.code  # type: ignore[assignment]
        return code.active_above

    def encode(self, images: Tensor, layer: int | None = None) -> Tensor:
        """images: (batch, channels, height, width), in [0, 1] -> code: (batch, code_size).

        With the number of a hidden `layer`, from 1: what that gives, flat, (batch, units).
        """
        if layer is None:
            code: Tensor = self.encoder(images)
            return code
        hidden: Tensor = self.encoder.inner(images, layer)  # type: ignore[operator]
        return hidden.flatten(1)

    def decode(self, code: Tensor) -> Tensor:
        """code: (batch, code_size) -> reconstruction: (batch, channels, height, width)."""
        return self.output_activation(self.decoder(code))

    def reconstruct(self, images: Tensor) -> Tensor:
        """images -> reconstruction, both (batch, channels, height, width)."""
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> Tensor:
        """The same as `reconstruct`."""
        return self.reconstruct(images)

    def filter_responses(self, images: Tensor) -> Tensor:
        """images -> (batch, units): what the units answer before their activation."""
        answers: Tensor = self.encoder.preactivation(images)  # type: ignore[operator]
        return answers


class Autoencoder(AutoencoderBase):
    """x_hat = output_activation(decoder(encoder(x))), all layers dense.

    `hidden` are the widths from the input to the code; the decoder mirrors them.
    """

    encoder: Encoder
    decoder: Decoder

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        activation: str = "relu",
        code: Code | None = None,
        output_activation: str = "clamp",
        *,
        tied: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        center: bool = False,
    ) -> None:
        super().__init__(shape, output_activation)
        self.encoder = Encoder(
            shape, hidden, activation, code or Code(), dropout, input_dropout, center
        )
        self.decoder = Decoder(
            shape, hidden, activation, dropout, self.encoder.layers if tied else None
        )
