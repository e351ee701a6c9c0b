"""The memory that there is for a training: of the machine, of its process, of a GPU."""

import contextlib
import ctypes
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.training import distributed

if TYPE_CHECKING:
    import torch

GROUPS = Path("/proc/self/cgroup")
LIMITS = {
    Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes",
    Path("/sys/fs/cgroup"): "memory.max",
}
"""Where Linux mounts control groups, version 1 and 2, with their files of limits."""

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Parameters of mallopt in glibc, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_MMAP_MAX."""

KEPT = {TRIM_THRESHOLD: -1, MMAP_MAX: 0}
"""Freed memory is kept, and large blocks are taken from it, too."""

USUAL = {TRIM_THRESHOLD: 64 << 20, MMAP_THRESHOLD: 32 << 20, MMAP_MAX: 65536}
"""Where glibc's own adjustment, which ends with the first setting, takes a process that frees
large blocks."""

STATM, MEMINFO = Path("/proc/self/statm"), Path("/proc/meminfo")


def of_machine() -> float:
    """Bytes that the machine has, or that a job scheduler or a container lets this process use;
    an equal share of them for each process that trains with others on it."""
    whole = min(_page() * os.sysconf("SC_PHYS_PAGES"), *_group_limits(), math.inf)
    return whole / distributed.on_this_machine()


def free(device: "torch.device") -> float:
    """Bytes that this process can have beside those that it has, if no other needs any."""
    if device.type == "cuda":
        import torch

        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + held)
    mapped, resident = _own()
    return min(of_machine() - resident, _address_space() - mapped)


def unused() -> float:
    """Bytes that no process uses, where the system tells it (Linux); shared like `of_machine`."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / distributed.on_this_machine()
    return math.inf


@contextlib.contextmanager
def keeping_freed() -> Iterator[None]:
    """Lets this process keep the memory that it frees in the block, where its C library is glibc.

    Otherwise the large tensors of each step are taken from the system anew, which clears them page
    by page: up to a third of the processor time of a convolutional network. As free blocks between
    others stay unused, up to two fifths more memory is held.
    """
    _set(KEPT)
    try:
        yield
    finally:
        _set(USUAL)
        with contextlib.suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)


def _set(values: dict[int, int]) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):  # a C library without it
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in values.items():
            mallopt(name, value)


def _page() -> int:
    return os.sysconf("SC_PAGE_SIZE")


def _own() -> tuple[int, int]:
    """Bytes that this process has mapped, and those that are in memory; 0 where unknown."""
    with contextlib.suppress(OSError, ValueError):
        mapped, resident, *_ = STATM.read_text().split()
        return int(mapped) * _page(), int(resident) * _page()
    return 0, 0


def _address_space() -> float:
    """The limit of `ulimit -v`, in bytes."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return math.inf if limit == resource.RLIM_INFINITY else limit
    return math.inf


def _group_limits() -> Iterator[float]:
    """The limits of the control groups of this process, and of those that they are part of."""
    with contextlib.suppress(OSError):
        for line in GROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            for mount, name in LIMITS.items():
                group = mount / path.lstrip("/")
                for folder in (group, *group.parents):
                    if mount in (folder, *folder.parents):
                        with contextlib.suppress(OSError, ValueError):
                            yield int((folder / name).read_text())
