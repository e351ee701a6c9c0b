"""Hand-written loss and gradient of a plain dense autoencoder, computed in place.

Autograd allocates new memory for each intermediate result, and reads and writes it several times;
without that, a training step takes a tenth less time (`python -m tests.benchmarks fused`). To
autograd it is one operation on all parameters, so that hooks see their gradients.
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
from aectl.models.whole_batch import whole

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


class FusedLoss(NamedTuple):
    """Scalars: the whole loss, the one that has a gradient, and its two terms."""

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
        self._rooms: dict[int, Room] = {}
        self._calls = 0

    def __call__(
        self, inputs: Tensor, images: Tensor, penalty: DifferentiatedPenalty | None
    ) -> FusedLoss:
        """The losses of a batch: `inputs` of the network, which may be noisy, and clean `images`.

        Both (batch, channels, height, width). `backward` of the loss must be called before the next
        call.
        """
        with torch.no_grad():
            losses, gradients = self._losses(inputs, images, penalty)
        parameters = [one for layer in self._layers for one in (layer.weight, layer.bias)]
        loss: Tensor = _WithGradients.apply(losses.loss, gradients, *parameters)
        return losses._replace(loss=loss)

    def _losses(
        self, inputs: Tensor, images: Tensor, penalty: DifferentiatedPenalty | None
    ) -> tuple[FusedLoss, Callable[[Tensor], list[Tensor]]]:
        """The losses, and a function that gives the gradients of all parameters."""
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
            value, pull = penalty(whole().average(outputs[self._code].mean(0)))
            loss = loss + value
        gradients = partial(self._gradients, self._calls, seen, room, pull)
        return FusedLoss(loss, reconstruction, value), gradients

    def _gradients(
        self, call: int, x: Tensor, room: Room, pull: Tensor | None, scale: Tensor
    ) -> list[Tensor]:
        """The gradients of all parameters, lowest layer first; `scale` is that of the loss."""
        assert call == self._calls, "another batch came before the gradient of this one"
        scale = scale / len(x)
        gradient = room.outputs[-1].mul_(scale)
        found: list[Tensor] = []
        for number in range(len(self._layers) - 1, -1, -1):
            below = room.outputs[number - 1] if number else x
            found = [torch.mm(gradient.t(), below), gradient.sum(0), *found]
            if number:
                weight = self._layers[number].weight
                gradient = torch.mm(gradient, weight, out=room.gradients[number - 1])
                if number - 1 == self._code and pull is not None:
                    gradient.add_(pull * scale)
                self._activations[number - 1].slope(gradient, below)
        return found

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


class _WithGradients(torch.autograd.Function):
    """A loss whose gradients by the parameters, in their order, a function computes."""

    @staticmethod
    def forward(
        ctx: Any, loss: Tensor, gradients: Callable[[Tensor], list[Tensor]], *parameters: Tensor
    ) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    @torch.no_grad()
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *ctx.gradients(scale))
