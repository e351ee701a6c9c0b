"""The state of the process that a run changes: the random numbers of torch, and its threads."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def same_random_numbers(device: torch.device) -> Iterator[None]:
    """Restores the random numbers of torch, on the CPU and on a current CUDA device, after the
    block."""
    with torch.random.fork_rng([torch.cuda.current_device()] if device.type == "cuda" else []):
        yield


class ProcessState:
    """The state that one of several runs left; in a `with` block, the run goes on with it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._keep()

    def _keep(self) -> None:
        self._random, self._threads = torch.get_rng_state(), torch.get_num_threads()
        if self._device.type != "cpu":
            self._of_device = torch.get_device_module(self._device).get_rng_state()

    def __enter__(self) -> None:
        torch.set_rng_state(self._random)
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        if self._device.type != "cpu":
            torch.get_device_module(self._device).set_rng_state(self._of_device)

    def __exit__(self, *failure: object) -> None:
        self._keep()
