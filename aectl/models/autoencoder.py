"""The dense autoencoder."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import Shape
from aectl.models import active_units
from aectl.models.activations import ACTIVATIONS
from aectl.models.codes import BatchTopK, Code, TopK
from aectl.models.precision import single
from aectl.models.scaling import Scaling
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
        x = code
        *inner, last = self.layers
        for layer in inner:
            x = self.dropout(self.activation(self._of_layer(layer, x)))
        return self._of_layer(last, x).view(x.shape[0], *self.shape)

    def _of_layer(self, layer: nn.Module, x: Tensor) -> Tensor:
        """The output of a layer; of the first, from active units where few are."""
        few = layer is self.layers[0] and self.few_active and active_units.applies_to(x)
        if few and (self.training or active_units.are_few(x)):
            return active_units.decoded(x, self.directions, layer.bias)  # type: ignore[arg-type]
        out: Tensor = layer(x)
        return out


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


class AutoencoderBase(nn.Module):
    """The interface of all autoencoders: an encoder and a decoder of any kind."""

    encoder: nn.Module
    decoder: nn.Module

    scaling: Scaling | None
    """The scaling of vectors, if the model has one: what it takes are scaled ones."""

    one_at_a_time = False
    """Whether inputs are processed one by one at inference, because more would need much memory."""

    gives_images = True
    """Whether reconstructions are images; else they are maps, the pooled features of an encoder."""

    codes_per_image = 1
    """Number of codes of an image; more where its patches are encoded."""

    places = 1
    """Number of places of an image at which the code has each of its units."""

    draws = False
    """Whether filters are what units draw; else they are what units respond to."""

    def __init__(self, shape: Shape, output_activation: str) -> None:
        super().__init__()
        self.scaling = None
        self.shape = shape
        self.output_activation = ACTIVATIONS[output_activation]

    @property
    def code_size(self) -> int:
        """The number of units of the code."""
        size: int = self.encoder.code_size  # type: ignore[assignment]
        return size

    @property
    def active_above(self) -> float | None:
        """The value above which a unit of the code is active; None: if it is not 0."""
        code: Code = self.encoder.code  # type: ignore[assignment]
        return code.active_above

    def encode(self, images: Tensor, layer: int | None = None) -> Tensor:
        """images: (batch, channels, height, width), in [0, 1] -> code: (batch, code_size).

        With a hidden `layer`, from 1: the output of that layer, flattened, (batch, units).
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
        return self.output_activation(self.traced(self.targets(images))[1])

    def targets(self, images: Tensor) -> Tensor:
        """images -> what is to be reconstructed of them: themselves, or the maps of an encoder."""
        return images

    def traced(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Images or maps as `targets` gives them, (batch, channels, height, width) -> the code, of
        one or more rows an image, and the output of the decoder before its activation, of the same
        shape.
        """
        code = self.encode(targets)
        return code, self.decoder(code)

    def by_place(self, code: Tensor) -> Tensor:
        """code: (batch, code_size) -> the code at each place of an image, (batch, units, rows,
        columns).

        Raises NotImplementedError where it has no places.
        """
        raise NotImplementedError("this code has no places")

    def unit_values(self, images: Tensor) -> Tensor:
        """images -> (batch, units): the value of each unit for an image: its code."""
        return self.encode(images)

    def forward(self, images: Tensor) -> Tensor:
        """Calls `reconstruct`."""
        return self.reconstruct(images)

    def filter_responses(self, images: Tensor) -> Tensor:
        """images -> (batch, units): the pre-activations of the units of the code."""
        preactivations: Tensor = self.encoder.preactivation(images)  # type: ignore[operator]
        return preactivations


class Autoencoder(AutoencoderBase):
    """x_hat = output_activation(decoder(encoder(x))), all layers dense.

    `hidden`: the widths from the input to the code; the decoder mirrors them.
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
        below = [math.prod(shape), *hidden][-2]
        few_active = isinstance(code, TopK | BatchTopK) and active_units.worthwhile(
            hidden[-1], code.kept, below
        )
        self.encoder = Encoder(
            shape, hidden, activation, code or Code(), dropout, input_dropout, center, few_active
        )
        self.decoder = Decoder(
            shape, hidden, activation, dropout, self.encoder.layers if tied else None, few_active
        )
