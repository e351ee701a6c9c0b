"""The number of CPU threads with which steps of training are fastest, found in the first steps."""

import math
import time
from collections.abc import Callable

import torch

MANY = 4
"""Up to so many threads all are taken: fewer gain little then, and a training that measures
may take another number the next time, with other roundings."""

STEPS = 4
"""Minimum number of steps for each number of threads, of which the fastest counts."""

SECONDS = 0.05
"""Minimum time for each number of threads, so that short steps are measured often."""

TOLERANCE = 1.03
"""The fewest threads are taken whose steps are at most this many times as long as the fastest."""


class ThreadTrial:
    """Tries torch with `most` threads, half of them, and so on, each for some steps of a training,
    and then keeps the fewest that are about as fast as the fastest. `told` is called with them.

    A trial of 0 threads tries none.
    """

    def __init__(self, most: int = 0, told: Callable[[int], None] | None = None) -> None:
        self._most, self._told = most, told
        self._left = [most >> halvings for halvings in range(most.bit_length())]
        self._fastest: dict[int, float] = {}
        self._steps, self._began, self._last = 0, 0.0, 0.0

    @property
    def threads(self) -> int:
        """The number with which the training is to go on, were it interrupted now."""
        return self._most if self._left else torch.get_num_threads()

    def begin(self) -> None:
        """Is called before a step that does not follow another at once."""
        self._last = time.perf_counter()

    def stepped(self) -> None:
        """Is called after each step; sets the number of threads for the next."""
        if not self._left:
            return
        now, threads = time.perf_counter(), self._left[0]
        if not self._steps:
            self._began = self._last
        self._fastest[threads] = min(now - self._last, self._fastest.get(threads, math.inf))
        self._steps, self._last = self._steps + 1, now
        if self._steps >= STEPS and now - self._began > SECONDS:
            self._steps = 0
            del self._left[0]
            torch.set_num_threads(self._left[0] if self._left else self._chosen())

    def _chosen(self) -> int:
        limit = TOLERANCE * min(self._fastest.values())
        chosen = min(threads for threads, seconds in self._fastest.items() if seconds <= limit)
        if self._told is not None:
            self._told(chosen)
        return chosen
