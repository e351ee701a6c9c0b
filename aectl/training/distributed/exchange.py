"""How the processes that train one model together exchange tensors.

By the backend of torch.distributed; on the CPU of one machine by memory that they share.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from aectl.errors import LostProcessError, is_out_of_memory
from aectl.training.distributed.shared_memory import SharedMemory, opened

LONGEST_WAIT = timedelta(hours=1)
"""For the other processes, as while the first measures; one that has ended is noticed at once."""


class JoinedProcesses:
    """Exchanges tensors with the other processes; all call the same methods in the same order,
    which raise LostProcessError where one of them has ended."""

    def __init__(self, backend: str, share_memory: bool) -> None:
        """Joins the other processes; `share_memory`: all of them are on this machine."""
        self._memory: SharedMemory | None = None
        if not dist.is_initialized():
            with _reaching():
                dist.init_process_group(backend, timeout=LONGEST_WAIT)
        if share_memory:
            self._memory = self._shared_memory()

    def _shared_memory(self) -> SharedMemory | None:
        """None unless all can open it."""
        number, count = dist.get_rank(), dist.get_world_size()
        found = None
        with contextlib.suppress(OSError):
            found = opened(number, count, self.told, LONGEST_WAIT.total_seconds())
        everywhere = self.least(torch.tensor([found is not None]).int())
        return found if everywhere else None

    def sum(self, tensors: list[Tensor]) -> None:
        """Puts the sums of all processes in the place of contiguous tensors of one kind."""
        self._reduce(tensors, torch.add, dist.ReduceOp.SUM)

    def summed(self, own: Tensor) -> Tensor:
        """Of all processes, on the device of the tensor."""
        self.sum([found := _copy(own)])
        return found

    def least(self, own: Tensor) -> Tensor:
        """Of all processes, value by value."""
        self._reduce([found := _copy(own)], torch.minimum, dist.ReduceOp.MIN)
        return found

    def _reduce(
        self,
        tensors: list[Tensor],
        pair: Callable[..., Tensor],
        how: "dist.ReduceOp.RedOpType",
    ) -> None:
        """`pair` joins two tensors as `how` does in the backend."""
        with _reaching():
            if self._memory and not tensors[0].is_cuda:
                self._memory.reduce(tensors, pair)
                return
            together = torch.cat([one.view(-1) for one in tensors])
            dist.all_reduce(together, how)
            parts = torch.split(together, [one.numel() for one in tensors])
            for one, part in zip(tensors, parts, strict=True):
                one.view(-1).copy_(part)

    def stacked(self, own: Tensor) -> list[Tensor]:
        """Of each process, in their order."""
        with _reaching():
            if self._memory and not own.is_cuda:
                return self._memory.stacked(own)
            own = own.contiguous()
            found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
            dist.all_gather(found, own)
            return found

    def broadcast(self, tensor: Tensor) -> None:
        """Gives a tensor of all processes the values of the first."""
        with _reaching():
            dist.broadcast(tensor, 0)

    def told(self, content: bytes) -> bytes:
        """The content of the first process; others may give any."""
        length = torch.tensor([len(content)])
        self.broadcast(length)
        first = dist.get_rank() == 0
        sent = torch.tensor(list(content) if first else [0] * int(length), dtype=torch.uint8)
        self.broadcast(sent)
        return bytes(sent.tolist())


def _copy(own: Tensor) -> Tensor:
    return own.detach().clone(memory_format=torch.contiguous_format)


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Raises LostProcessError where the block cannot reach the other processes."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if is_out_of_memory(error):
            raise
        said = re.sub(r"^\[.*?\] ", "", str(error)).split(". ")[0]
        raise LostProcessError(
            f"another process of this training has ended, or cannot be reached ({said})"
        ) from error
