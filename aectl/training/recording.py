"""Records work of a device, to repeat it: on a GPU, as CUDA graphs."""

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

WAITED = "called a synchronizing CUDA operation"
"""The warning of torch."""

NamedTensors = dict[str, Tensor]
"""The results of some work, by name."""

Work = Callable[[], NamedTensors]


class Recorder(Protocol):
    """Records the operations of a device."""

    def waiting(self, work: Work) -> tuple[NamedTensors, str]:
        """The result of `work`, and why it waits for the device; empty if it does not."""

    def record(self, work: Work) -> tuple[NamedTensors, Callable[[], None]]:
        """Records `work` without carrying it out. Gives the tensors that it returned, and a
        function that repeats all its operations."""


class CudaGraphs:
    """Records on the current CUDA device; all graphs share their memory.

    The first one is kept: torch refuses to capture into memory that no graph has, but tensors have.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._first: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def waiting(self, work: Work) -> tuple[NamedTensors, str]:
        """Carries `work` out on the stream on which it is recorded, as torch asks for before."""
        self._stream.wait_stream(torch.cuda.current_stream())
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as noticed, torch.cuda.stream(self._stream):
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                found = work()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        torch.cuda.current_stream().wait_stream(self._stream)
        waits = [one for one in noticed if WAITED in str(one.message)]
        return found, f"{Path(waits[0].filename).name}:{waits[0].lineno}" if waits else ""

    def record(self, work: Work) -> tuple[NamedTensors, Callable[[], None]]:
        """Captures a graph. What other threads ask of the device is no part of it, and allowed."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, self._pool, self._stream, "thread_local"):
                found = work()
        except BaseException:
            torch.cuda.set_stream(stream)
            self._end_failed()
            raise
        self._first = self._first or graph
        return found, graph.replay

    def _end_failed(self) -> None:
        """Ends a capture in which an operation was not allowed: torch then leaves its random
        generator and its memory in the mode of a capture (CUDAGraph::capture_end), in which the
        next random number is an error. What it did end, it refuses to end again."""
        device = torch.cuda.current_device()
        generator = torch.cuda.default_generators[device]
        generator.graphsafe_set_state(generator.clone_state())
        with contextlib.suppress(RuntimeError):
            torch._C._cuda_endAllocateToPool(device, self._pool)
