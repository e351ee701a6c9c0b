"""Hand-written loss and gradient of a plain dense autoencoder, computed in place without autograd.

Autograd allocates new memory for each intermediate result, and reads and writes it several times;
without that, a training step takes a fifth less time.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.models.activations import Activation, clamp, linear
from aectl.models.codes import Code
from aectl.models.networks import Autoencoder

aten = torch.ops.aten


class InPlace(NamedTuple):
    """An activation that overwrites its input.

    `slope` multiplies a gradient, its first argument, by the derivative at the output, its second.
    """

    activate: Callable[[Tensor], object]
    slope: Callable[[Tensor, Tensor], object]


IN_PLACE: dict[Activation, InPlace] = {
    F.relu: InPlace(
        torch.relu_, lambda g, out: aten.threshold_backward.grad_input(g, out, 0, grad_input=g)
    ),
    torch.sigmoid: InPlace(
        torch.sigmoid_, lambda g, out: aten.sigmoid_backward.grad_input(g, out, grad_input=g)
    ),
    torch.tanh: InPlace(
        torch.tanh_, lambda g, out: aten.tanh_backward.grad_input(g, out, grad_input=g)
    ),
    linear: InPlace(linear, lambda g, out: g),
}
"""Activations whose derivative can be computed from their output."""

DifferentiatedPenalty = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A penalty on the mean activation of each unit of the code, (code_size,), and its gradient."""


class Room(NamedTuple):
    """Memory for the outputs of all layers, and for the gradients of all but the last: (batch,
    units) each.

    `seen`: the input of the first layer, (batch, pixels), if images are centred.
    """

    seen: Tensor | None
    outputs: list[Tensor]
    gradients: list[Tensor]


class Losses(NamedTuple):
    """Scalars: the whole loss, whose `backward` computes the gradients, and its two terms."""

    loss: Tensor
    reconstruction: Tensor
    penalty: Tensor | None


def fits(network: nn.Module) -> TypeGuard[Autoencoder]:
    """Whether the hand-written backward pass supports this network."""
    if not isinstance(network, Autoencoder):
        return False
    encoder, decoder = network.encoder, network.decoder
    return (
        type(encoder.code) is Code
        and {encoder.activation, encoder.code.activation} <= IN_PLACE.keys()
        and network.output_activation in (clamp, linear)
        and all(isinstance(layer, nn.Linear) for layer in decoder.layers)
        and not any(drop.p for drop in (encoder.input_dropout, encoder.dropout, decoder.dropout))
        and all(parameter.requires_grad for parameter in network.parameters())
    )


class Fused:
    """Half the squared error of a network that `fits`, and a penalty on its code."""

    def __init__(self, network: Autoencoder) -> None:
        encoder, decoder = network.encoder, network.decoder
        self._center = encoder.center
        self._layers: list[nn.Linear] = [*encoder.layers, *decoder.layers]
        inner = [encoder.activation] * (len(encoder.layers) - 1)
        names = [*inner, encoder.code.activation, *inner, linear]
        self._activations = [IN_PLACE[activation] for activation in names]
        self._code = len(encoder.layers) - 1
        self._held = network.output_activation is clamp
        self._gradients: dict[Tensor, Tensor] = {
            p: torch.empty_like(p) for p in network.parameters()
        }
        self._rooms: dict[int, Room] = {}
        self._calls = 0

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, images: Tensor, penalty: DifferentiatedPenalty | None
    ) -> Losses:
        """The losses of a batch: `inputs` of the network, which may be noisy, and clean `images`.

        Both (batch, channels, height, width). `backward` of the loss must be called before the next
        call, and while the gradients of the parameters are None.
        """
        self._calls += 1
        count, seen = len(inputs), inputs.flatten(1)
        room = self._room(count)
        if self._center is not None:
            seen = torch.sub(seen, self._center, out=room.seen)
        below, outputs = seen, room.outputs
        for layer, activation, out in zip(self._layers, self._activations, outputs, strict=True):
            torch.addmm(layer.bias, below, layer.weight.t(), out=out)
            activation.activate(out)
            below = out
        error = below.clamp_(0, 1) if self._held else below
        flat = error.sub_(images.flatten(1)).view(-1)
        loss = reconstruction = flat.dot(flat) * (0.5 / count)
        value = pull = None
        if penalty is not None:
            value, pull = penalty(outputs[self._code].mean(0))
            loss = loss + value
        fill = partial(self._fill, self._calls, seen, room, pull)
        with torch.enable_grad():
            loss = _Filling.apply(self._layers[0].weight, loss, fill)
        return Losses(loss, reconstruction, value)

    def _fill(self, call: int, x: Tensor, room: Room, pull: Tensor | None, scale: Tensor) -> None:
        """Computes the gradients of all parameters; `scale` is the gradient of the loss."""
        assert call == self._calls, "another batch came before the gradient of this one"
        scale = scale / len(x)
        gradient = room.outputs[-1].mul_(scale)
        for number in range(len(self._layers) - 1, -1, -1):
            layer, below = self._layers[number], room.outputs[number - 1] if number else x
            self._put(layer.weight, partial(torch.mm, gradient.t(), below))
            self._put(layer.bias, partial(torch.sum, gradient, 0))
            if number == 0:
                return
            gradient = torch.mm(gradient, layer.weight, out=room.gradients[number - 1])
            if number - 1 == self._code and pull is not None:
                gradient.add_(pull * scale)
            self._activations[number - 1].slope(gradient, below)

    def _put(self, parameter: Tensor, compute: Callable[..., object]) -> None:
        """Computes the gradient of a parameter into memory that is reserved for it."""
        assert parameter.grad is None, "there are gradients of an earlier batch"
        compute(out=self._gradients[parameter])
        parameter.grad = self._gradients[parameter]

    def _room(self, count: int) -> Room:
        """The memory for a batch, which is reused for batches of the same size."""
        if count not in self._rooms:
            outputs = [layer.bias.data.new_empty(count, len(layer.bias)) for layer in self._layers]
            center = self._center
            seen = None if center is None else center.new_empty(count, len(center))
            self._rooms[count] = Room(
                seen, outputs, [torch.empty_like(out) for out in outputs[:-1]]
            )
        return self._rooms[count]


class _Filling(torch.autograd.Function):
    """The loss, with a `backward` that calls a function with the gradient of the loss."""

    @staticmethod
    def forward(
        ctx: Any, parameter: Tensor, loss: Tensor, fill: Callable[[Tensor], None]
    ) -> Tensor:
        ctx.fill = fill
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        ctx.fill(gradient)
        return None, None, None
