"""The processes that train one model together, each with some rows of every batch.

torchrun starts them: no module outside of this package knows how many there are, nor which one this
is. All take the same steps in the same order, and hold the same weights; the first alone measures,
writes and speaks. Nothing is exchanged outside of a step, of `told` and of `alike`, so that the
first process can save a state without the others.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aectl.errors import ConfigError, DataError, LostProcessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from aectl.config.configuration import Config
    from aectl.objectives.step import Batch, Losses
    from aectl.training.distributed.exchange import JoinedProcesses

LAUNCHED = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
"""The variables of the environment that torchrun sets."""

LATEST_SIGNAL = 1.0
"""Seconds between the signals that end all processes."""

T = TypeVar("T")


def processes() -> int:
    """How many train together."""
    return _variable("WORLD_SIZE", 1)


def on_this_machine() -> int:
    """How many of them share the memory of this machine."""
    return _variable("LOCAL_WORLD_SIZE", 1)


def is_first() -> bool:
    """Whether this process is the one that writes and speaks, as one that is alone does."""
    return _variable("RANK", 0) == 0


def _variable(name: str, alone: int) -> int:
    return int(os.environ[name]) if os.environ.keys() >= LAUNCHED else alone


def refuse(config: "Config") -> None:
    """Raises ConfigError for a training that several processes cannot share."""
    training, data = config.training, config.data
    wrong = {
        "--optimizer lbfgs": training.optimizer == "lbfgs",
        "--compile": training.compile,
        "--stack": bool(training.stack),
        "--dataset -": "-" in data.dataset,
    }
    refuse_where(wrong)


def refuse_where(wrong: dict[str, bool]) -> None:
    """Raises ConfigError for the first of some options, or other things, that is the case where
    several processes train together."""
    for name, is_so in wrong.items():
        if is_so and processes() > 1:
            raise ConfigError(
                f"{name} cannot be used by {processes()} processes that train one model together;"
                " without torchrun, one process can"
            )


def joined(device: "torch.device") -> "torch.device":
    """Joins the other processes, if there are any; gives the device of this one.

    Raises DataError where there is none for it, and LostProcessError.
    """
    if processes() == 1:
        return device
    import torch

    refuse_where({f"--device {device.type}": device.type not in ("cpu", "cuda")})
    backend = "gloo"
    if device.type == "cuda":
        number, count = _variable("LOCAL_RANK", 0), torch.cuda.device_count()
        if number >= count:
            raise DataError(
                f"{on_this_machine()} processes need a GPU each, and this machine has {count}:"
                f" --nproc-per-node {count}, or --device cpu"
            )
        device, backend = torch.device("cuda", number), "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(device)
    if _OTHERS.joined is None:
        from aectl.training.distributed.exchange import JoinedProcesses

        share_memory = device.type == "cpu" and on_this_machine() == processes()
        _OTHERS.joined = JoinedProcesses(backend, share_memory)
    return device


class _Others:
    """The other processes, once this one has joined them."""

    joined: "JoinedProcesses | None" = None


_OTHERS = _Others()


def _others() -> "JoinedProcesses":
    assert _OTHERS.joined is not None, "no process has joined the others"
    return _OTHERS.joined


def refuse_unlike(described: object) -> None:
    """Raises DataError unless all processes describe their training in the same way."""
    if processes() == 1:
        return
    import torch

    content = json.dumps(described, sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode()).digest()
    own = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
    if any(not one.equal(own) for one in _others().stacked(own)):
        raise DataError(
            "the processes do not have the same data and options: all of them need the same files,"
            " under the same names"
        )


def told(work: Callable[[], T]) -> T:
    """The result of `work`, a value of JSON, which the first process computes for all."""
    if processes() == 1:
        return work()
    found: T = json.loads(_others().told(json.dumps(work()).encode() if is_first() else b""))
    return found


def alike(network: "nn.Module") -> None:
    """Gives all processes the weights and the random state of the first one."""
    if processes() == 1:
        return
    import torch

    tensors = list(network.state_dict().values())
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):  # in the same order everywhere
        same = [tensor for tensor in tensors if tensor.dtype == kind]
        flat = torch.cat([tensor.flatten() for tensor in same])
        _others().broadcast(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in same])
        for tensor, part in zip(same, parts, strict=True):
            tensor.copy_(part.view_as(tensor))
    random = torch.get_rng_state()
    _others().broadcast(random)
    torch.set_rng_state(random)
    if tensors[0].is_cuda:
        random = torch.cuda.get_rng_state()
        _others().broadcast(random)
        torch.cuda.set_rng_state(random)


def mine(rows: "Tensor") -> "tuple[Tensor, int]":
    """The rows of a batch that this process computes, and how many others have.

    A batch of fewer rows than there are processes is computed by each, as a whole.
    """
    size = len(rows)
    if processes() == 1 or size < processes():
        return rows, 0
    own = rows[_shares(size)[_variable("RANK", 0)]]
    return own, size - len(own)


def _shares(size: int) -> list[slice]:
    """The rows of each process, of a batch that all have some of."""
    count = processes()
    return [slice(size * one // count, size * (one + 1) // count) for one in range(count)]


@contextlib.contextmanager
def shared(batch: "Batch") -> Iterator[float]:
    """Computes the batch of a step with the other processes; gives the fraction of the loss that
    is of this one."""
    if not batch.others:
        yield 1 / processes()
        return
    from aectl.models.whole_batch import BatchShare, within

    share = BatchShare(_shares(batch.rows), _variable("RANK", 0), _others())
    with within(share):
        yield share.fraction


def backward(
    losses: "Losses", fraction: float, parameters: "Iterable[nn.Parameter]"
) -> "dict[str, Tensor]":
    """Computes the gradients of the whole batch; gives its loss and the terms of that.

    One exchange has them all, and whether a process is to stop: then all stop after this step. The
    loss comes to the CPU with that, so that all find in the same step that it is not finite.
    """
    found = {"loss": losses.loss.detach(), **losses.terms}
    if processes() == 1:
        losses.loss.backward()  # type: ignore[no-untyped-call]
        return found
    import torch

    (losses.loss * fraction).backward()  # type: ignore[no-untyped-call]
    ended = losses.loss.new_full((), float(_END.asked()))
    said = torch.stack([*found.values(), ended]).mul_(fraction)
    gradients = []
    for one in parameters:
        if one.requires_grad and one.grad is not None:
            one.grad = one.grad.contiguous()
            gradients.append(one.grad)
    _others().sum([*gradients, said])
    *means, ends = said.cpu().unbind()
    _END.agreed = bool(ends)
    return dict(zip(found, means, strict=True))


def report(failure: str) -> None:
    """Lets torchrun show why this process failed."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path and processes() > 1:
        with contextlib.suppress(OSError):
            Path(path).write_text(json.dumps({"message": failure, "timestamp": int(time.time())}))


class _End:
    """Whether this process is asked to end its training, and whether all will, after a step."""

    def __init__(self) -> None:
        self.asked: Callable[[], bool] = lambda: False
        self.agreed = False


_END = _End()


def is_ending() -> bool:
    """Whether all processes end after the step that is over."""
    return _END.agreed


class Watched(Protocol):
    """Whoever watches a training, and may end it."""

    def epoch(self, row: dict[str, Any]) -> None: ...
    def progress(self, progress: Any) -> None: ...
    @property
    def urgent(self) -> bool: ...
    def saved(self) -> None: ...


class Together:
    """Watches the training of one of several processes: when one is to end, all do."""

    def __init__(self, watcher: Watched) -> None:
        self._watcher = watcher
        _END.asked, _END.agreed = lambda: watcher.urgent, False

    def epoch(self, row: dict[str, Any]) -> None:
        """Takes the metrics of a completed epoch."""
        self._watcher.epoch(row)

    def progress(self, progress: Any) -> None:
        """Takes the position within an epoch."""
        self._watcher.progress(progress)

    @property
    def urgent(self) -> bool:
        """Whether all processes have agreed to end."""
        return _END.agreed

    def saved(self) -> None:
        """Ends the training; raises LostProcessError where only another process was asked to."""
        until = time.monotonic() + LATEST_SIGNAL
        while not self._watcher.urgent and time.monotonic() < until:
            time.sleep(0.01)
        self._watcher.saved()
        raise LostProcessError("another process of this training was told to end")


def watched(watcher: Watched) -> Watched:
    """The watcher of a training, which heeds the other processes if there are some."""
    return watcher if processes() == 1 else Together(watcher)
