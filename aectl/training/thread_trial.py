"""A trial of several numbers of CPU threads in the first steps of training, which finds the
fastest."""

import math
import time
from collections.abc import Callable

import torch

MANY = 4
"""Up to this number of threads, all are used without a trial. Fewer would gain little, and a trial
may choose another number next time, which changes the rounding of results."""

STEPS = 4
"""Minimum number of steps for each number of threads; the shortest of their times counts."""

SECONDS = 0.05
"""Minimum seconds for each number of threads, so that short steps are measured many times."""

TOLERANCE = 1.03
"""The smallest number of threads is chosen whose steps take at most this many times as long as the
fastest."""


class ThreadTrial:
    """Trains some steps with `most` threads, some with half of them, and so on, and then keeps the
    smallest number that is about as fast as the fastest. `told` is called with that number.

    With 0 as `most`, nothing is tried.
    """

    def __init__(self, most: int = 0, told: Callable[[int], None] | None = None) -> None:
        self._most, self._told = most, told
        self._left = [most >> halvings for halvings in range(most.bit_length())]
        self._fastest: dict[int, float] = {}
        self._steps, self._began, self._last = 0, 0.0, 0.0

    @property
    def threads(self) -> int:
        """The number of threads with which the training continues if it is interrupted now and
        resumed."""
        return self._most if self._left else torch.get_num_threads()

    def begin(self) -> None:
        """Starts the measurement of a step; to be called before each step that does not directly
        follow another."""
        self._last = time.perf_counter()

    def stepped(self) -> None:
        """Ends the measurement of a step, and sets the number of threads of the next; to be called
        after each step."""
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
