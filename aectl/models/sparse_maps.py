"""Convolutions that visit only places of maps that are not 0, with their gradients.

Where one activation of each map wins, they take half the time of a training step on a CPU away. On
other devices, the convolutions of torch stand in, since sums of patches there have no fixed order.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aectl.models.image_spec import FEWEST_VISITED
from aectl.models.precision import single

SHARE = 8
"""So many places are visited at a time that their patches take an eighth of the memory of the
images, and the numbers of their pixels, of 64 bits, twice that."""


def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution that keeps the sides, whose gradient is to be 0 at most places.

    x: (batch, below, height, width), 0 beyond the border; weight: (above, below, side, side), with
    an odd side -> (batch, above, height, width).
    """
    if _visits(x):
        out: Tensor = _Convolved.apply(single(x), weight, bias)
        return out
    return single(F.conv2d(x, weight, bias, padding=weight.shape[2] // 2))


def drawn(maps: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
    """The sum of filters at the places of maps, which are to be 0 at most places: a transposed
    convolution.

    maps: (batch, maps, height, width), filters: (maps, channels, side, side), with an odd side ->
    (batch, channels, height, width).
    """
    if _visits(maps):
        out: Tensor = _Drawn.apply(maps, filters, bias)
        return out
    return F.conv_transpose2d(maps, filters, bias, padding=filters.shape[2] // 2)


def _visits(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return single(F.conv2d(x, weight, bias, padding=weight.shape[2] // 2))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return sum_of_filters(gradient, weight), sum_of_patches(gradient, x, weight.shape[2]), (
            gradient.sum((0, 2, 3))
        )  # fmt: skip


class _Drawn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(maps, filters)
        return sum_of_filters(maps, filters).add_(bias[:, None, None])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps, filters = ctx.saved_tensors
        of_maps = F.conv2d(gradient, filters, padding=filters.shape[2] // 2)
        return of_maps, sum_of_patches(maps, gradient, filters.shape[2]), gradient.sum((0, 2, 3))


def sum_of_filters(maps: Tensor, filters: Tensor) -> Tensor:
    """The sum of filters at the places of maps: (batch, channels, height, width)."""
    batch, _, height, width = maps.shape
    side, margin = filters.shape[2], filters.shape[2] // 2
    padded = maps.new_zeros(batch, filters.shape[1], height + side - 1, width + side - 1)
    for visit in _visited(maps, padded, side):
        added = visit.values * filters.flatten(1)[visit.maps]
        padded.view(-1).index_add_(0, visit.pixels.flatten(), added.flatten())
    return padded[:, :, margin : margin + height, margin : margin + width].contiguous()


def sum_of_patches(maps: Tensor, images: Tensor, side: int) -> Tensor:
    """For each map, the sum of the patches of images around its places: (maps, channels, side,
    side).
    """
    padded = F.pad(images, [side // 2] * 4)
    total = images.new_zeros(maps.shape[1], images.shape[1] * side**2)
    for visit in _visited(maps, padded, side):
        total.index_add_(0, visit.maps, visit.values * padded.view(-1)[visit.pixels])
    return total.view(-1, images.shape[1], side, side)


class _Visit(NamedTuple):
    """Some places of maps that are not 0: the number of the map, (n,); the value, (n, 1); and the
    pixels of the patch there, in all images in a row, (n, channels * side * side).
    """

    maps: Tensor
    values: Tensor
    pixels: Tensor


def _visited(maps: Tensor, padded: Tensor, side: int) -> Iterator[_Visit]:
    """All places of maps that are not 0; `padded`: (batch, channels, height, width), the images
    with the margin of a patch.
    """
    _, _, height, width = padded.shape
    of_image = padded[0].numel()
    corner = torch.arange(of_image).view(-1, height, width)[:, :side, :side].flatten()
    at_once = max(FEWEST_VISITED, padded.numel() // (SHARE * len(corner)))
    for images, numbers, rows, columns in map(
        torch.unbind, torch.split(maps.nonzero().t(), at_once, 1)
    ):
        first = images * of_image + rows * width + columns
        values = maps[images, numbers, rows, columns]
        yield _Visit(numbers, values[:, None], first[:, None] + corner)
