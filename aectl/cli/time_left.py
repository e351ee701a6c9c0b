"""Estimate of the time left, from the recent speed of the work."""

from collections import deque

WINDOW_SECONDS = 120.0
"""Seconds over which the speed is averaged."""

LEAST_SECONDS, LEAST_FRACTION, ENOUGH_SECONDS = 5.0, 0.02, 20.0
"""Seconds, and fraction of the work, before the first estimate."""

SAMPLE_SECONDS = 1.0


class TimeLeft:
    """Estimates from the mean speed over the last two minutes."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def after(self, done: float, total: float, now: float) -> float | None:
        """Seconds left after `done` of `total` at the time `now` (s); None while too little is
        measured.
        """
        samples = self._samples
        if not samples:
            self._first = now, done
        if not samples or now - samples[-1][0] >= SAMPLE_SECONDS:
            samples.append((now, done))
        while len(samples) > 1 and samples[1][0] <= now - WINDOW_SECONDS:
            samples.popleft()
        started, before = self._first
        measured = now - started
        fraction = (done - before) / (total - before) if total > before else 1.0
        if measured < LEAST_SECONDS or (fraction < LEAST_FRACTION and measured < ENOUGH_SECONDS):
            return None
        then, done_then = samples[0]
        if done <= done_then:
            return None
        return (total - done) * (now - then) / (done - done_then)


def clock(seconds: float) -> str:
    """`1:05`, or `2:03:04` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
