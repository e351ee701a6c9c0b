"""Activations, by the names that users type."""

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
        """Saves nothing: the gradient does not depend on x."""

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient


def clamp(x: Tensor) -> Tensor:
    """Clamps x to [0, 1], with the gradient of the identity.

    With the squared error, this gradient is useful on both sides of a bound: an output beyond the
    bound is moved back if the target is inside, and has no error if the target is the bound itself.
    A plain clamp has no gradient there, so that such pixels would never be corrected.
    """
    held: Tensor = _Clamp.apply(x)
    return held


def linear(x: Tensor) -> Tensor:
    """Returns x unchanged."""
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
"""The value above which a unit counts as active.

A rectifier is inactive at exactly 0. Sigmoid and softplus are never 0, so the threshold is 0.1. A
unit with any other activation counts as active if it is not 0.
"""
