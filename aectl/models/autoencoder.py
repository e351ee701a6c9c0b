"""The interface of all autoencoders, and the dense one."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from aectl.config.shapes import Shape
from aectl.models import active_units, kept_units
from aectl.models.activations import ACTIVATIONS
from aectl.models.codes import BatchTopK, Code, TopK
from aectl.models.dense_layers import Decoder, Encoder
from aectl.models.precision import single
from aectl.models.scaling import Scaling


class ForwardPass(NamedTuple):
    """The intermediate results of a forward pass: preactivation and code, (batch, code_size), and
    the output of the decoder before its activation, (batch, channels, height, width)."""

    preactivation: Tensor
    code: Tensor
    output: Tensor


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

    def passed(self, inputs: Tensor) -> ForwardPass:
        """The forward pass of a training step; inputs as for `encode`."""
        preactivation = self.encoder.preactivation(inputs)  # type: ignore[operator]
        code = self.encoder.code(preactivation)  # type: ignore[operator]
        return ForwardPass(preactivation, code, self.decoder(code))

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

    kept_up_to = 0
    """The number of kept units up to which products with the code are computed, in training, from
    these alone."""

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

    def passed(self, inputs: Tensor) -> ForwardPass:
        """The same forward pass, also where it is computed from kept units."""
        encoder, rule = self.encoder, self.encoder.code
        if not (
            self.training and isinstance(rule, TopK | BatchTopK) and rule.kept <= self.kept_up_to
        ):
            return super().passed(inputs)
        x, layer = encoder.inner(inputs, len(encoder.layers) - 1), encoder.to_code
        preactivation = single(layer(x))
        out = preactivation.detach()
        kept = kept_units.kept_at(rule.places(out), *out.shape)
        values = rule.activation(kept_units.encoded(x, layer.weight, layer.bias, out, kept))
        code = kept_units.spread(values, kept, out)
        return ForwardPass(preactivation, code, self.decoder.of_kept(values, kept))
