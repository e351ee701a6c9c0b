"""The memory of computations, counted on the meta device, where nothing is computed.

A tensor of the meta device has a shape and no values; operations give tensors of the right shapes
without memory. The count holds for any network, loss and backward pass of torch.
"""

import contextlib
import operator
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from aectl.models.shape_rules import carried_out

aten = torch.ops.aten

BLOCK = 16
"""Channels that the convolutions of oneDNN work on together."""

T = TypeVar("T")


class Formula:
    """In place of those of sympy; no number is one."""


STAND_INS: dict[str, dict[str, Callable[..., object]]] = {
    "sympy": {"Basic": Formula},
    "torch._dynamo": {},
    "torch.fx.experimental.symbolic_shapes": {
        **dict.fromkeys(("expect_true", "statically_known_true"), bool),
        **dict.fromkeys(("guard_or_false", "guard_or_true", "guard_size_oblivious"), bool),
        **dict.fromkeys(("guard_int", "guarding_hint_or_throw", "size_hint"), int),
        **dict.fromkeys(("has_free_unbacked_symbols", "is_nested_int"), lambda _: False),
        **dict.fromkeys(("has_guarding_hint", "has_hint"), lambda _: True),
        **dict.fromkeys(("_advise_is_bounded", "_advise_is_size"), lambda *_: None),
        "free_unbacked_symbols": lambda _: set(),
        "sym_and": lambda *conditions: all(conditions),
        "sym_eq": operator.eq,
        "sym_or": lambda *conditions: any(conditions),
    },
}
"""Modules of torch that functions of the meta device load, with what they use of them."""


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts memory: `live` and `peak` are the bytes of tensors that are, and were at most, in
    memory at once.

    Where code asks for a value, which the meta device does not have, it is not 0: a condition
    holds, and a mask selects everything.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._seen: dict[int, tuple[int, Any]] = {}

    def restart(self) -> None:
        """Counts the peak from here on."""
        self.peak = self.live

    def count(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}
    ) -> Any:
        """Carries out an operation, for torch."""
        if func is aten._local_scalar_dense.default:
            return 1
        if func is aten.index.Tensor:
            args = args[0], [one for index in args[1] for one in _all_of(index)]
        out = carried_out(func, args, kwargs or {})
        made = _tensors(out)
        for one in made:
            self._hold(one)
        if func.overloadpacket in SCRATCH:
            scratch = SCRATCH[func.overloadpacket](_tensors(args), made)
            self.peak = max(self.peak, self.live + scratch)
        return out

    def _hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place not in self._seen:
            released = weakref.ref(storage, lambda _: self._release(place))
            self._seen[place] = storage.nbytes(), released
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)

    def _release(self, place: int) -> None:
        size, _ = self._seen.pop(place)
        self.live -= size


Meter.__torch_dispatch__ = Meter.count  # type: ignore[method-assign, assignment]
"""In the class, it would load torch's compiler, which takes seconds."""


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
    """Counts what a block computes; all tensors that it makes are of the meta device."""
    with torch.device("meta"), Meter() as meter:
        yield meter


def without_compiler(count: Callable[[], T]) -> T:
    """Calls a function that counts; torch's compiler and the symbols of its shapes, which torch
    loads on the meta device in seconds, are replaced meanwhile by what they do for plain numbers.

    Where the version of torch needs more of them than that, they are loaded.
    """
    absent, excluded = STAND_INS.keys() - sys.modules.keys(), list[Any]()
    try:
        for name in absent:
            sys.modules[name] = _stand_in(name, excluded)
        return count()
    except (ImportError, AttributeError):
        if not absent:
            raise
    finally:
        for name in absent:
            del sys.modules[name]
        for function in excluded:
            vars(function).pop("__dynamo_disable", None)
    return count()


def _stand_in(name: str, excluded: list[Any]) -> ModuleType:
    """A module of STAND_INS; `excluded` gets the functions that the compiler is to leave out."""

    def disable(function: T, *_: Any, **__: Any) -> T:
        excluded.append(function)
        return function

    module = ModuleType(name)
    vars(module).update(STAND_INS[name], disable=disable)
    return module


def _all_of(index: Tensor | None) -> list[Tensor | None]:
    """The indices of all places of a mask, by dimension; other indices as they are."""
    if index is None or index.dtype != torch.bool:
        return [index]
    return [torch.empty(index.numel(), dtype=torch.long, device="meta")] * index.ndim


def _tensors(found: Any) -> list[Tensor]:
    """Those among the arguments or results of an operation, also those in a list among them."""
    if isinstance(found, Tensor):
        return [found]
    several = found if isinstance(found, (tuple, list)) else ()
    return [tensor for one in several for tensor in _tensors(one)]


def _reordered(used: list[Tensor], made: list[Tensor]) -> int:
    """A convolution reorders what it reads and writes, with channels in blocks."""
    images = [one for one in (*used, *made) if one.ndim == 4]
    return sum(one.nbytes * -(-one.shape[1] // BLOCK) * BLOCK // one.shape[1] for one in images)


def _converted(used: list[Tensor], made: list[Tensor]) -> int:
    """A sum of another type converts its terms first."""
    if used[0].dtype == made[0].dtype:
        return 0
    return int(used[0].numel() * made[0].element_size())


SCRATCH: dict[Any, Callable[[list[Tensor], list[Tensor]], int]] = {
    aten.convolution: _reordered,
    aten.convolution_backward: _reordered,
    aten.sum: _converted,
}
"""Bytes that an operation needs on a CPU for copies of its own, from the tensors that it reads and
makes."""
