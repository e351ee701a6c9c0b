"""Results on the meta device, against those of real tensors."""

import pytest
import torch

from aectl.models.shape_rules import carried_out

aten = torch.ops.aten
ROWS, COLUMN, NUMBER = torch.rand(3, 4), torch.rand(3, 1), torch.rand(())
COUNTS, MASK, DOUBLES = torch.arange(12).view(3, 4), torch.rand(3, 4) > 0.5, torch.rand(4).double()
BYTES = COUNTS.to(torch.uint8)

CASES = {
    "add": (aten.add.Tensor, ROWS, COLUMN),
    "add a number": (aten.add.Tensor, NUMBER, ROWS),
    "add of whole numbers": (aten.add.Tensor, COUNTS, 2),
    "add of two types": (aten.add.Tensor, ROWS, COUNTS),
    "add of two precisions": (aten.add.Tensor, ROWS, DOUBLES),
    "add a fraction to whole numbers": (aten.add.Tensor, COUNTS, 0.5),
    "add masks": (aten.add.Tensor, MASK, MASK),
    "multiply by a mask": (aten.mul.Tensor, ROWS, MASK),
    "subtract columns": (aten.sub.Tensor, COLUMN, DOUBLES.float()),
    "divide bytes": (aten.div.Tensor, BYTES, 255),
    "sigmoid": (aten.sigmoid.default, ROWS),
    "sigmoid of whole numbers": (aten.sigmoid.default, COUNTS),
    "sigmoid of columns": (aten.sigmoid.default, ROWS.t()),
    "relu in place": (aten.relu_.default, ROWS),
    "add in place": (aten.add_.Tensor, ROWS, COLUMN),
    "copy in place": (aten.copy_.default, ROWS, COUNTS),
    "squeeze in place": (aten.squeeze_.default, torch.rand(3, 1)),
    "transpose in place": (aten.transpose_.default, torch.rand(3, 4), 0, 1),
    "less": (aten.lt.Tensor, ROWS, COLUMN),
    "equal": (aten.eq.Scalar, COUNTS, 3),
    "not a number": (aten.isnan.default, ROWS),
    "no mask": (aten.logical_not.default, COUNTS),
    "where": (aten.where.self, MASK, COUNTS, COUNTS),
    "where of masks": (aten.where.self, MASK, MASK, MASK),
    "where of two types": (aten.where.self, MASK, COUNTS, ROWS),
    "masked fill": (aten.masked_fill.Scalar, COUNTS, MASK, 7),
    "masked fill of fractions": (aten.masked_fill.Scalar, ROWS, MASK, 7),
    "clamp": (aten.clamp.default, COUNTS, 1, None),
    "clamp to a fraction": (aten.clamp.default, COUNTS, 0.5),
    "both": (aten.bitwise_and.Tensor, MASK, MASK),
    "either": (aten.bitwise_or.Tensor, MASK, COUNTS),
    "power": (aten.pow.Tensor_Scalar, ROWS, 2),
    "softmax": (aten._softmax.default, ROWS, 1, False),
    "softmax of columns": (aten._log_softmax.default, ROWS.t(), 1, False),
    "product": (aten.mm.default, ROWS, ROWS.t()),
    "product and bias": (aten.addmm.default, torch.rand(3), ROWS, ROWS.t()),
    "products": (aten.bmm.default, ROWS[None], ROWS.t()[None]),
    "sum": (aten.sum.dim_IntList, ROWS, [-1]),
    "sum that keeps its dimension": (aten.sum.dim_IntList, ROWS, [0], True),
    "sum of two dimensions": (aten.sum.dim_IntList, torch.rand(2, 3, 4), [0, 2]),
    "sum of all dimensions": (aten.sum.dim_IntList, ROWS, None),
    "whole sum": (aten.sum.default, ROWS),
    "sum of a mask": (aten.sum.dim_IntList, MASK, [0]),
    "rows": (aten.cat.default, [ROWS, ROWS[:1]]),
    "columns": (aten.cat.default, [ROWS, COLUMN], -1),
    "columns of two types": (aten.cat.default, [ROWS, COUNTS], 1),
    "stack": (aten.stack.default, [ROWS, ROWS]),
    "stack at the end": (aten.stack.default, [ROWS, ROWS], -1),
    "border": (aten.replication_pad2d.default, torch.rand(2, 3, 4, 5), [1, 2, 3, 4]),
    "border of one image": (aten.replication_pad2d.default, torch.rand(3, 4, 5), [2, 2, 2, 2]),
    "gradient before the border": (
        aten.replication_pad2d_backward.default,
        torch.rand(2, 3, 6, 7),
        torch.rand(2, 3, 4, 5),
        [1, 1, 1, 1],
    ),
    "view": (aten.view.default, ROWS, [2, 6]),
    "two results": (aten.max.dim, ROWS, 1),
}


def on_meta(argument):
    if isinstance(argument, list):
        return [on_meta(one) for one in argument]
    return argument.to("meta") if isinstance(argument, torch.Tensor) else argument


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_result_has_the_shape_and_type_that_it_has_elsewhere(case):
    function, *arguments = case
    real = function(*(one.clone() if isinstance(one, torch.Tensor) else one for one in arguments))
    found = carried_out(function, tuple(map(on_meta, arguments)), {})
    several = real if isinstance(real, tuple) else (real,)
    for one, counted in zip(several, found if isinstance(found, tuple) else (found,), strict=True):
        assert counted.is_meta
        assert (counted.shape, counted.dtype) == (one.shape, one.dtype)


def test_what_is_written_in_place_or_into_a_given_tensor_takes_no_new_memory():
    rows, out = torch.rand(3, 4, device="meta"), torch.empty(3, 4, device="meta")
    assert carried_out(aten.sigmoid_.default, (rows,), {}) is rows
    assert carried_out(aten.sub.out, (rows, rows), {"out": out}) is out
    view = carried_out(aten.view.default, (rows, [12]), {})
    assert view.untyped_storage()._cdata == rows.untyped_storage()._cdata
