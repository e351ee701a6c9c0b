"""The machine: its cores, memory and devices, and the load of other programs."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.errors import DataError

if TYPE_CHECKING:
    import torch

STAT = Path("/proc/stat")

GPU_DEVICES = (
    "nvidiactl", "nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu", "kfd", "dxg",
)  # fmt: skip
"""Device files of GPU drivers in /dev: of NVIDIA, of NVIDIA's embedded boards, of AMD, and of
Windows (WSL)."""


def data_dir(given: Path | None = None) -> Path:
    """The folder of the named datasets: the given one, or one in the user's cache."""
    if given is not None:
        return given
    cache = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):
        return (Path(cache) if cache else Path.home() / ".cache") / "aectl"
    return Path("aectl-data")


def cores() -> int:
    """How many processes can run at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers() -> int:
    """How many processes decode images: as many as there are cores, which those that train together
    on this machine share."""
    from aectl.training.distributed import on_this_machine

    return max(1, cores() // on_this_machine())


def memory() -> int:
    """Bytes."""
    from aectl.training.memory import of_machine

    return int(of_machine())


def half_the_memory() -> int:
    """Bytes."""
    return memory() // 2


class OtherPrograms:
    """How much other programs compute from now on, where the system reports it (Linux)."""

    def __init__(self) -> None:
        self._since, self._before = time.monotonic(), _others_seconds()

    def busy_cores(self) -> float:
        """How many cores they have kept busy, on average; 0 where unknown."""
        spent = _others_seconds() - self._before
        return max(0.0, spent / (time.monotonic() - self._since))


def _others_seconds() -> float:
    """Seconds of CPU time that others than this process and its children have had, on the cores
    that this process may use.
    """
    try:
        usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        spent = 0
        for line in STAT.read_text().splitlines():
            core, *ticks = line.split()
            if core in usable:
                user, nice, system, _, _, irq, softirq, *_ = map(int, ticks)
                spent += user + nice + system + irq + softirq
    except (AttributeError, OSError, ValueError):
        return 0.0
    return spent / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def is_cpu(name: str) -> bool:
    """Whether --device selects the CPU, as far as this is known without torch: with `auto`, only on
    Linux without a GPU driver."""
    if name == "auto":
        return sys.platform == "linux" and not any(
            Path("/dev", one).exists() for one in GPU_DEVICES
        )
    return name == "cpu"


def torch_device(name: str, threads: int | None) -> "torch.device":
    """The device that --device names; `auto` takes a GPU where there is one."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    cudnn: Any = torch.backends.cudnn  # at inference, all is computed in float32
    cudnn.allow_tf32, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = False, "ieee", "ieee"
    there: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if name == "auto":
        name = next(kind for kind, present in there.items() if present())
    elif not there[name]():
        raise DataError(f"there is no {name} device on this machine; --device cpu works")
    return torch.device(name)
