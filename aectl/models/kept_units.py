"""Layers beside a code of which a rule keeps a number of units that is known before: the output of
the one above, and the gradients of both, computed from the kept units alone.

No operation waits for a GPU, and the shapes of all tensors depend on no values, unlike in
`active_units`, which looks for the units that are active. torch's own gradient of the weights of
`embedding_bag` would wait; here it is a sum like the output. All sums are in float32, also beside
products in bfloat16: converting all weights would take longer than reading the few rows in float32.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from aectl.models.active_units import starts, sums
from aectl.models.precision import single


class KeptUnits(NamedTuple):
    """The elements of a code, (batch, code_size), that a rule keeps, row by row; some may be 0.

    places: in the flattened code; rows, units: of the code; by_unit: the order that sorts them by
    unit; all (n,). row_starts, (batch,): the first element of each row; unit_starts, (code_size,):
    the first of each unit, in the order `by_unit`.
    """

    places: Tensor
    rows: Tensor
    units: Tensor
    by_unit: Tensor
    row_starts: Tensor
    unit_starts: Tensor


def kept_at(places: Tensor, batch: int, code_size: int) -> KeptUnits:
    """The elements of a code at some places of the flattened code, in ascending order: (n,)."""
    rows = places.div(code_size, rounding_mode="floor")
    units = places - rows * code_size
    ordered, by_unit = units.sort(stable=True)
    row_starts, unit_starts = starts(rows, batch), starts(ordered, code_size)
    return KeptUnits(places, rows, units, by_unit, row_starts, unit_starts)


def encoded(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor, kept: KeptUnits) -> Tensor:
    """The kept elements of `out`, the output of a linear layer, with gradients that are computed
    from these elements.

    x: (batch, n), weight: (code_size, n), out: (batch, code_size), without gradient -> (elements,).
    """
    found: Tensor = _Encoded.apply(single(x), weight, bias, single(out.take(kept.places)), kept)
    return found


def spread(values: Tensor, kept: KeptUnits, like: Tensor) -> Tensor:
    """The whole code, from the values of the kept elements: (elements,) -> (batch, code_size), the
    shape of `like`."""
    code = values.new_zeros(like.numel())
    return code.scatter_(0, kept.places, values).view_as(like)


def decoded(values: Tensor, kept: KeptUnits, weight: Tensor, bias: Tensor) -> Tensor:
    """The output of a linear layer for a code whose elements beside the kept ones are 0.

    values: (elements,), weight: (n, code_size) -> (batch, n).
    """
    rows = weight.t()
    found = sums(kept.units, values, rows.detach(), kept.row_starts)
    trained: Tensor = _DecoderWeights.apply(found, rows, values.detach(), kept)
    return trained + bias


def _by_unit(factors: Tensor, rows: Tensor, kept: KeptUnits) -> Tensor:
    """For each unit, the sum of `factors` times the rows in which it is kept: (elements,),
    (batch, width) -> (code_size, width)."""
    order = kept.by_unit
    return sums(kept.rows[order], factors[order], rows, kept.unit_starts)


class _Encoded(torch.autograd.Function):
    """Elements of x W^T + b."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, elements: Tensor, kept: KeptUnits
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.kept = kept
        return elements

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None]:
        (x, weight), kept = ctx.saved_tensors, ctx.kept
        wanted = ctx.needs_input_grad[0]
        of_input = sums(kept.units, gradient, weight, kept.row_starts) if wanted else None
        of_bias = _by_unit(gradient, torch.ones_like(x[:, :1]), kept)[:, 0]
        return of_input, _by_unit(gradient, x, kept), of_bias, None, None


class _DecoderWeights(torch.autograd.Function):
    """The output of a decoder without its bias; the gradient reaches its weights, by unit."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, rows: Tensor, values: Tensor, kept: KeptUnits) -> Tensor:
        ctx.save_for_backward(values)
        ctx.kept = kept
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (values,) = ctx.saved_tensors
        return gradient, _by_unit(values, gradient, ctx.kept), None, None
