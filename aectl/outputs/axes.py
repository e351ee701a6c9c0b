"""Axes of charts: their range, their ticks and their labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.05
"""Of the range of the values, on either side."""

MOST_TICKS, MOST_OF_WHOLE = 6, 8
DECADE = 10
"""Ratio of values above which an axis is logarithmic."""

NOTHING = 1e-8
"""Of the largest value: a smaller range is none."""

LEAST_DECIMAL, LARGEST_DECIMAL = 1e-4, 1e6
"""Largest values of an axis whose labels are written without a power of ten."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, or, of a `logarithmic` one, from 10^low to 10^high."""

    low: float
    high: float
    ticks: list[float]
    labels: list[str]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies on the axis, from 0 to 1."""
        value = math.log10(value) if self.logarithmic else value
        return (value - self.low) / (self.high - self.low)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Axis":
        """An axis for values; a logarithmic one where they are positive and far apart."""
        if values and min(values) > 0 and max(values) > DECADE * min(values):
            return cls._logarithmic(values)
        low, high = _range(values)
        step = _round((high - low) / MOST_TICKS, (1, 2, 2.5, 5))
        ticks = _multiples(step, low, high)
        return cls(low, high, ticks, _labels(ticks, step))

    @classmethod
    def whole(cls, values: Sequence[float]) -> "Axis":
        """An axis for whole numbers, with ticks at whole numbers alone."""
        low, high = _range(values)
        ticks = _multiples(max(1, _round((high - low) / MOST_OF_WHOLE, (1, 2, 5))), low, high)
        return cls(low, high, ticks, [f"{one:.0f}" for one in ticks])

    @classmethod
    def _logarithmic(cls, values: Sequence[float]) -> "Axis":
        low, high = _range([math.log10(min(values)), math.log10(max(values))])
        step = max(1, math.ceil((high - low) / MOST_TICKS))
        exponents = range(math.floor(low / step) * step, math.ceil(high) + 1, step)
        digits = (1, 2, 5) if high - low < 3 else (1,)
        marks = [(digit, n) for n in exponents for digit in digits]
        marks = [mark for mark in marks if low <= math.log10(mark[0]) + mark[1] <= high]
        labels = [_power(*mark) for mark in marks]
        return cls(low, high, [digit * 10.0**n for digit, n in marks], labels, True)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From below the smallest to above the largest."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    largest = max(abs(low), abs(high))
    wide = high - low if high - low > NOTHING * largest else largest or 1.0
    return low - MARGIN * wide, high + MARGIN * wide


def _round(least: float, digits: Sequence[float]) -> float:
    """The smallest of the digits, times a power of ten, that is at least a number."""
    unit = 10.0 ** math.floor(math.log10(least))
    return next((unit * one for one in digits if unit * one >= least), 10 * unit)


def _multiples(step: float, low: float, high: float) -> list[float]:
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _labels(ticks: Sequence[float], step: float) -> list[str]:
    """Numbers with as many digits as the step needs."""
    largest = max(map(abs, ticks))
    if LEAST_DECIMAL <= largest < LARGEST_DECIMAL:
        return [f"{one:.{_decimals(step)}f}" for one in ticks]
    exponent = math.floor(math.log10(largest))
    unit = 10.0**exponent
    decimals = _decimals(step / unit)
    return [f"{one / unit:.{decimals}f}e{exponent}" if one else "0" for one in ticks]


def _decimals(step: float) -> int:
    """Digits after the point of a step."""
    places = -math.floor(math.log10(step))
    return max(0, places + (round(step * 10.0**places, 6) % 1 > 0))


def _power(digit: int, exponent: int) -> str:
    """A digit times a power of ten."""
    if -4 <= exponent < 6:
        return f"{digit * 10.0**exponent:.{max(0, -exponent)}f}"
    return f"{digit}e{exponent}"
