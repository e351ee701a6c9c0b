"""Records the operations of a CPU as a CUDA graph records those of a GPU: by the memory that they
read and write, with the numbers that they were given, and without carrying them out."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten

WAITS = {
    aten._local_scalar_dense, aten.is_nonzero, aten.equal, aten.item, aten.nonzero,
    aten.masked_select, aten.unique_consecutive, aten._unique2, aten.bincount,
    aten._embedding_bag_dense_backward,
}  # fmt: skip
"""Operations that give the program a value, or a tensor whose shape depends on values."""


def waits(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation waits for its device."""
    masks = func.overloadpacket in (aten.index, aten.index_put, aten.index_put_)
    indices = [one for one in (args[1] if masks else ()) if one is not None]
    return func.overloadpacket in WAITS or any(one.dtype == torch.bool for one in indices)


class Waiting(TorchDispatchMode):
    """Notes operations that wait for their device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.found += [str(func)] if waits(func, args) else []
        return func(*args, **(kwargs or {}))


class Tape(TorchDispatchMode):
    """Keeps operations, and the values from before them of all that they change."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if waits(func, args):
            raise RuntimeError(f"{func} cannot be recorded")
        kwargs = kwargs or {}
        for tensor in written(func, args, kwargs):
            place = tensor.untyped_storage().data_ptr()
            if place not in self._made and place not in self.before:
                whole = tensor.new_empty(0).set_(tensor.untyped_storage())
                self.before[place] = whole, whole.clone()
        kept = tree_map(alias, (args, kwargs))
        out = func(*args, **kwargs)
        given = {place_of(one) for one in tensors((args, kwargs))}
        fresh = [one for one in tensors(out) if place_of(one) not in given]
        self._made |= {place_of(one) for one in fresh}
        self.operations.append((func, *kept, [alias(one) for one in fresh]))
        return out


def written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """The tensors among its arguments that an operation changes."""
    for number, declared in enumerate(func._schema.arguments):
        if declared.alias_info is not None and declared.alias_info.is_write:
            given = args[number] if number < len(args) else kwargs.get(declared.name)
            yield from tensors(given)


def alias(value: Any) -> Any:
    """The same memory in the same shape, also if an operation gives the tensor another one."""
    return value.detach() if isinstance(value, Tensor) else value


def tensors(tree: Any) -> list[Tensor]:
    return [one for one in tree_leaves(tree) if isinstance(one, Tensor)]


def place_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class OnCpu:
    """A recorder of `aectl.training.replayed` for a CPU. `replays` counts."""

    def __init__(self) -> None:
        self.replays = 0

    def waiting(self, work: Callable[[], Any]) -> tuple[Any, str]:
        with Waiting() as waiting:
            found = work()
        return found, waiting.found[0] if waiting.found else ""

    def record(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        tape = Tape()
        with torch.random.fork_rng([]), tape:
            found = work()
        for whole, before in tape.before.values():
            whole.copy_(before)
        return found, lambda: self.repeat(tape)

    @torch.no_grad()
    def repeat(self, tape: Tape) -> None:
        """All operations again, on the same memory."""
        self.replays += 1
        for func, args, kwargs, fresh in tape.operations:
            again = func(*args, **kwargs)
            given = {place_of(one) for one in tensors((args, kwargs))}
            now = [one for one in tensors(again) if place_of(one) not in given]
            for one, other in zip(fresh, now, strict=True):
                one.copy_(other)
