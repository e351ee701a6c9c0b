"""The results of operations on the meta device, where a rule of a line gives their shape.

torch's own functions for that device are Python code that needs up to 2 ms for each operation, and
most load torch's compiler, which takes a second. What no rule covers is left to them.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

ShapeRule = Callable[[tuple[Any, ...], Mapping[str, Any]], Any]
"""Gives the result of an operation for its arguments, or None where it does not cover them."""


def carried_out(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The result of an operation of torch on tensors of the meta device."""
    rule = _rule(func)
    found = rule(args, kwargs) if rule else None
    return func(*args, **kwargs) if found is None else found


class _ByRules(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def carry_out(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}
    ) -> Any:
        return carried_out(func, args, kwargs or {})


_ByRules.__torch_dispatch__ = _ByRules.carry_out  # type: ignore[method-assign, assignment]
"""In the class, it would load torch's compiler."""


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """All tensors that a block makes are of the meta device: they have a shape, and no values."""
    with torch.device("meta"), _ByRules():  # type: ignore[no-untyped-call]
        yield


@functools.cache
def _rule(func: Any) -> ShapeRule | None:
    """The rule of an operation, if there is one."""
    written = [one for one in func._schema.arguments if one.alias_info]
    if torch.Tag.inplace_view in func.tags or len(func._schema.returns) != 1 or len(written) > 1:
        return None
    if written:
        return _rule_of_written(written[0])
    elements = _elements if torch.Tag.pointwise in func.tags else None
    return RULES.get(func.overloadpacket, elements)


def _rule_of_written(argument: Any) -> ShapeRule | None:
    """That of an operation that writes its result into an argument, the first or a named one; None
    if the result is a view of the argument."""
    if not argument.alias_info.is_write:
        return None
    name = argument.name if argument.kwarg_only else None
    return lambda args, kwargs: kwargs[name] if name else args[0]


def _elements(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Of an operation on each element of numbers with a point, all of the same type."""
    types = {one.dtype for one in args if isinstance(one, Tensor)} - {torch.bool}
    if len(types) != 1 or "dtype" in kwargs:
        return None
    (found,) = types
    return _of_type(args, found) if found.is_floating_point else None


def _elements_of_any_type(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Of an operation on each element that keeps the type of its arguments, if all have the same,
    but for a mask."""
    types = {one.dtype for one in args if isinstance(one, Tensor)}
    if len(types) > 1:
        types -= {torch.bool}
    plain = all(isinstance(one, (Tensor, int)) for one in args)
    return _of_type(args, *types) if len(types) == 1 and plain else _elements(args, kwargs)


def _compared(args: tuple[Any, ...], _: Mapping[str, Any]) -> Tensor:
    return _of_type(args, torch.bool)


def _of_type(args: tuple[Any, ...], dtype: torch.dtype) -> Tensor:
    """A tensor to whose shape all arguments can be expanded."""
    shapes = {one.shape for one in args if isinstance(one, Tensor)}
    shape = shapes.pop() if len(shapes) == 1 else torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
    return _made(shape, dtype)


def _made(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _as_first(args: tuple[Any, ...], _: Mapping[str, Any]) -> Tensor:
    return _of_type(args[:1], args[0].dtype)


def _product(args: tuple[Any, ...], _: Mapping[str, Any]) -> Tensor:
    first, second = args[-2:]
    return _made((first.shape[0], second.shape[1]), first.dtype)


def _summed(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    terms, dims, keeps = (*args, None, False)[:3]
    if kwargs or not dims or not terms.is_floating_point():
        return None
    gone = {one % terms.ndim for one in dims}
    shape = [1 if one in gone else size for one, size in enumerate(terms.shape)]
    kept = [size for one, size in enumerate(shape) if keeps or one not in gone]
    return _made(kept, terms.dtype)


def _square(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    return _made((args[0], args[0]), kwargs.get("dtype") or torch.get_default_dtype())


def _bordered(args: tuple[Any, ...], _: Mapping[str, Any]) -> Tensor:
    x, (left, right, top, bottom) = args
    *outer, height, width = x.shape
    return _made([*outer, height + top + bottom, width + left + right], x.dtype)


def _as_second(args: tuple[Any, ...], _: Mapping[str, Any]) -> Tensor:
    return _of_type(args[1:2], args[1].dtype)


def _joined(args: tuple[Any, ...], _: Mapping[str, Any]) -> Tensor | None:
    (first, *others), dim = (*args, 0)[:2]
    if any(one.dtype != first.dtype or one.ndim != first.ndim for one in others):
        return None
    shape = list(first.shape)
    shape[dim] += sum(one.shape[dim] for one in others)
    return _made(shape, first.dtype)


def _stacked(args: tuple[Any, ...], _: Mapping[str, Any]) -> Tensor:
    (first, *others), dim = (*args, 0)[:2]
    shape = list(first.shape)
    shape.insert(dim % (len(shape) + 1), 1 + len(others))
    return _made(shape, first.dtype)


RULES: dict[Any, ShapeRule] = {
    **dict.fromkeys((aten.eq, aten.ne, aten.lt, aten.le, aten.gt, aten.ge), _compared),
    **dict.fromkeys((aten.isnan, aten.isinf, aten.logical_and, aten.logical_not), _compared),
    **dict.fromkeys((aten.where, aten.masked_fill, aten.clamp), _elements_of_any_type),
    **dict.fromkeys((aten.add, aten.sub, aten.bitwise_and, aten.bitwise_or), _elements_of_any_type),
    **dict.fromkeys((aten._softmax, aten._log_softmax), _as_first),
    **dict.fromkeys((aten._softmax_backward_data, aten._log_softmax_backward_data), _as_first),
    **dict.fromkeys((aten.mm, aten.addmm), _product),
    aten.eye: _square,
    aten.replication_pad2d: _bordered,
    aten.replication_pad2d_backward: _as_second,
    aten.sum: _summed,
    aten.cat: _joined,
    aten.stack: _stacked,
}
"""The rules of operations; others on each element have that of `_elements`."""
