"""The pace of a device: how long work takes on it, from a measurement of some milliseconds."""

import statistics
import time
from collections.abc import Callable

import torch

from aectl.training.metering import Work

SIDE, VALUES, FEW = 512, 1 << 20, 64
"""Rows of the matrices that are multiplied, values that are added, and values of a small sum."""

FACTOR = 1.5
"""How much longer the work of trainings of many kinds took than these measurements say: their
matrices are narrower, and their memory is not in the cache."""

PER_OPERATION = 3.0
"""Small operations in the time that autograd takes for one."""

REPEATED = 5


def seconds(work: Work, device: torch.device) -> float:
    """About how long work takes on a device."""
    matrix, row = torch.ones(SIDE, SIDE, device=device), torch.ones(VALUES, device=device)
    few, out = torch.ones(FEW, device=device), torch.empty_like(row)
    product = _duration(lambda: matrix @ matrix, device) / (2 * SIDE**3)
    moved = _duration(lambda: torch.add(row, row, out=out), device) / row.nbytes / 3
    operation = _duration(lambda: few + few, device) * PER_OPERATION
    return FACTOR * (work.flops * product + work.moved * moved + work.operations * operation)


def _duration(operation: Callable[[], object], device: torch.device) -> float:
    """Seconds: the median of a few times."""
    found = []
    for _ in range(REPEATED):
        began = time.perf_counter()
        operation()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - began)
    return statistics.median(found)
