"""Products in bfloat16, and what stays in float32 beside them."""

import torch
from torch import nn

from aectl.models.precision import exactly, in_bfloat16, single

FACTORS = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))


def test_products_are_in_bfloat16_only_where_that_is_wanted_and_not_excluded():
    a, b = FACTORS
    rounded = (a.bfloat16() @ b.bfloat16()).float()
    with in_bfloat16(a, False):
        assert (a @ b).equal(a.mm(b))
    with in_bfloat16(a, True):
        assert single(a @ b).equal(rounded)
        with exactly(a):
            assert (a @ b).dtype == torch.float32
        assert (a @ b).dtype == torch.bfloat16
    assert not single(a @ b).equal(rounded)


def test_a_device_without_such_products_has_nothing_to_exclude():
    with exactly(FACTORS.to("meta")):
        assert (FACTORS[0] @ FACTORS[1]).dtype == torch.float32


def test_only_values_in_bfloat16_are_changed_and_their_gradient_is_too():
    double = FACTORS.double()
    assert single(FACTORS) is FACTORS
    assert single(double) is double
    layer = nn.Linear(8, 3)
    with in_bfloat16(FACTORS, True):
        out = single(layer(FACTORS))
    out.sum().backward()
    assert out.dtype == layer.weight.grad.dtype == torch.float32
