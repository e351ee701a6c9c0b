"""Convolutions that visit places that are not 0, against those of torch, and finite differences."""

import pytest
import torch
import torch.nn.functional as F

from aectl.models import sparse_maps
from aectl.models.sparse_maps import convolved, drawn


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def sparse(*shape, fraction):
    """Values of which a fraction is not 0."""
    return normal(*shape, seed=1) * (normal(*shape, seed=2).abs() > torch.erfinv(
        torch.tensor(1 - fraction, dtype=torch.float64)) * 2**0.5)  # fmt: skip


def gradients(made, towards, *tensors):
    return torch.autograd.grad(made, tensors, towards)


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("side", [1, 3, 7])
@pytest.mark.parametrize("fewest", [1, 256])
def test_outputs_and_gradients_are_those_of_torch(monkeypatch, fraction, side, fewest):
    monkeypatch.setattr(sparse_maps, "FEWEST_VISITED", fewest)
    x, maps = normal(4, 3, 6, 5), sparse(4, 2, 6, 5, fraction=fraction)
    weight, above, below = normal(2, 3, side, side), normal(2), normal(3)
    for tensor in (x, maps, weight, above, below):
        tensor.requires_grad_()

    made = convolved(x, weight, above)
    wanted = F.conv2d(x, weight, above, padding=side // 2)
    assert torch.equal(made, wanted)
    for ours, theirs in zip(
        gradients(made, maps, x, weight, above), gradients(wanted, maps, x, weight, above),
        strict=True,
    ):  # fmt: skip
        assert (ours - theirs).abs().max() < 1e-12

    made = drawn(maps, weight, below)
    wanted = F.conv_transpose2d(maps, weight, below, padding=side // 2)
    assert (made - wanted).abs().max() < 1e-12
    for ours, theirs in zip(
        gradients(made, x, maps, weight, below), gradients(wanted, x, maps, weight, below),
        strict=True,
    ):  # fmt: skip
        assert (ours - theirs).abs().max() < 1e-12


@pytest.mark.parametrize("function", [convolved, drawn])
def test_gradients_are_finite_differences(function):
    maps, weight = sparse(2, 2, 4, 5, fraction=0.3), normal(2, 2, 3, 3)
    inputs = [one.requires_grad_() for one in (maps, weight, normal(2))]
    assert torch.autograd.gradcheck(function, inputs)
