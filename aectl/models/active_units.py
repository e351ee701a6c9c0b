"""Layers beside a code of which few units are active, computed from those alone: the output of the
one above, and the gradients of both.

The other units add nothing to the reconstruction and get no gradient: with 16,384 units of which 32
are active, for vectors of 768 features, a step on a CPU takes a third of the time.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from aectl.models.precision import single

FEWEST_UNITS, LEAST_WIDTH, LARGEST_FRACTION = 1024, 128, 1 / 32
"""The search for the active units takes less time than it saves for a code of this many units, of
which at most this fraction is active, next to layers of this width."""


def worthwhile(units: int, active: int, width: int) -> bool:
    """Whether a code of so many units has few enough active ones, next to layers of a width."""
    large = units >= FEWEST_UNITS and width >= LEAST_WIDTH
    return large and active <= LARGEST_FRACTION * units


def applies_to(tensor: Tensor) -> bool:
    """Whether products with few units are the faster ones here: not on a GPU, nor compiled."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def are_few(code: Tensor) -> bool:
    """Whether few enough units of codes are active; any codes may be decoded at inference."""
    return int(code.count_nonzero()) <= LARGEST_FRACTION * code.numel()


def preactivation(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`F.linear`, whose gradient is computed from the units that have one.

    x: (batch, n), weight: (code_size, n) -> (batch, code_size).
    """
    found: Tensor = _Preactivation.apply(single(x), weight, bias)
    return found


def decoded(code: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`F.linear` of a code, from its active units; others get no gradient.

    code: (batch, code_size), weight: (n, code_size) -> (batch, n).
    """
    active = _nonzero(code.detach())
    values = code.flatten()[active.places]
    return _sums(active.rows, active.units, values, weight.t(), len(code)) + bias


def starts(into: Tensor, count: int) -> Tensor:
    """The first place of each number below `count` in sorted numbers: (n,) -> (count,)."""
    return torch.searchsorted(into, torch.arange(count, device=into.device))


def sums(of: Tensor, factors: Tensor, rows: Tensor, begin: Tensor) -> Tensor:
    """The sums of `factors` times the rows `of` a matrix, one sum for each group that begins at one
    of the places `begin` and ends where the next begins; that of an empty group is 0.

    of, factors: (n,); rows: (m, width); begin: (count,) -> (count, width).
    """
    return F.embedding_bag(of, rows, begin, mode="sum", per_sample_weights=factors)


class LinearByUnit(nn.Module):
    """A linear layer whose weights from each unit of its input lie one after another in memory.

    In a state dict they are `weight`, as those of `nn.Linear`.
    """

    def __init__(self, units: int, width: int) -> None:
        super().__init__()
        layer = nn.Linear(units, width)
        self.by_unit = nn.Parameter(layer.weight.detach().t().contiguous())
        self.bias = layer.bias

    @property
    def weight(self) -> Tensor:
        """The weights, (width, units)."""
        return self.by_unit.t()

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, units) -> (batch, width)."""
        return F.linear(x, self.weight, self.bias)

    def _save_to_state_dict(
        self, destination: dict[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        own: dict[str, Tensor] = {}
        super()._save_to_state_dict(own, prefix, keep_vars)
        destination[prefix + "weight"] = own.pop(prefix + "by_unit").t()
        destination |= own

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *others: Any
    ) -> None:
        own = dict(state_dict)
        if (weight := own.pop(prefix + "weight", None)) is not None:
            own[prefix + "by_unit"] = weight.t()
        super()._load_from_state_dict(own, prefix, *others)


class _Nonzero(NamedTuple):
    """The nonzero elements of a matrix, row by row: their places in the flattened matrix, their
    rows and columns, all (n,).
    """

    places: Tensor
    rows: Tensor
    units: Tensor


def _nonzero(matrix: Tensor) -> _Nonzero:
    places = matrix.flatten().nonzero()[:, 0]
    rows = places.div(matrix.shape[1], rounding_mode="floor")
    return _Nonzero(places, rows, places - rows * matrix.shape[1])


def _sums(into: Tensor, of: Tensor, factors: Tensor, rows: Tensor, count: int) -> Tensor:
    """The sums of `factors` times the rows `of` a matrix, for each of `count` rows of the result.

    into, of, factors: (n,), sorted by `into`; rows: (m, width) -> (count, width).
    """
    return sums(of, factors, rows, starts(into, count))


class _Preactivation(torch.autograd.Function):
    """x W^T + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return single(F.linear(x, weight, bias))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0]
        _, rows, units = _nonzero(gradient)
        factors = gradient[rows, units]
        of_input = _sums(rows, units, factors, weight, len(x)) if wanted else None
        units, order = units.sort(stable=True)
        of_weight = _sums(units, rows[order], factors[order], x, len(weight))
        of_bias = torch.zeros_like(weight[:, 0]).index_add(0, units, factors[order])
        return of_input, of_weight, of_bias
