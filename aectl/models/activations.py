"""The activations that a network can be given, by the names that users type."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Callable[[Tensor], Tensor]


class _Clamp(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp(0, 1)

    @staticmethod
    def setup_context(*_: Any) -> None:
        """There is nothing to keep."""

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient


def clamp(x: Tensor) -> Tensor:
    """x held within [0, 1], with the gradient of the identity.

    Under the squared error this gradient is the right one on both sides of a bound: an output
    beyond the bound is pushed back where the target lies inside, and left alone where the target
    is the bound itself. A plain clamp has no gradient there and would leave such pixels stuck.
    """
    held: Tensor = _Clamp.apply(x)
    return held


def linear(x: Tensor) -> Tensor:
    """x itself."""
    return x


ACTIVATIONS: dict[str, Activation] = {
    "relu": F.relu,
    "leaky-relu": F.leaky_relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": linear,
    "clamp": clamp,
}

ACTIVE_ABOVE = {"relu": 0.0, "sigmoid": 0.1, "softplus": 0.1}
"""From which value on a unit counts as active.

A rectifier is silent at exactly 0. Sigmoid and softplus never are: there a tenth is the line. A
unit of any other activation counts as active wherever it is not 0.
"""
