"""Conformal p-values: how rarely a normal input has a score as high as that of an input.

Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005); Bates et al., Testing for
outliers with conformal p-values (Annals of Statistics 51, 2023), section 1.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aectl.errors import ConfigError, DataError
from aectl.inference.results import Floats

ROUNDING = 1e-6
"""How far apart logarithms of equal scores may be: a float32 has 24 bits."""

FAR_OUT, FEWEST = 3.0, 20
"""Interquartile ranges above the upper quartile beyond which a value is far out (Tukey, Exploratory
Data Analysis, 1977), and the minimum number of scores for which that is asked."""


@dataclass(frozen=True, eq=False)
class NormalScores:
    """The scores of normal inputs that nothing was fitted to, (n,), in ascending order.

    If they and the score of a further normal input are exchangeable, the probability of a p-value
    of at most a is at most a, whatever the score is.
    """

    scores: Floats

    @classmethod
    def of(cls, scores: Floats) -> Self:
        """Those of scores in any order. Raises DataError without any."""
        if not len(scores):
            raise DataError("there are no normal inputs to calibrate on")
        return cls(np.sort(scores.astype(np.float32)))

    def __len__(self) -> int:
        return len(self.scores)

    def p_values(self, scores: Floats) -> NDArray[np.float64]:
        """(1 + #{normal scores >= score}) / (n + 1) of each score: (m,)."""
        below = np.searchsorted(self.scores, scores.astype(np.float32), side="left")
        found: NDArray[np.float64] = (1 + len(self) - below) / (len(self) + 1)
        return found

    def threshold(self, rate: float) -> float:
        """The score above which p-values are at most a rate: the m-th smallest of n normal scores,
        m = ceil((1 - rate) (n + 1)); infinite if they do not support the rate."""
        rank = math.ceil(round((1 - rate) * (len(self) + 1), 9))
        return float(self.scores[rank - 1]) if rank <= len(self) else math.inf

    @property
    def least_rate(self) -> float:
        """The smallest p-value, and so the smallest alarm rate at which anything is flagged."""
        return 1 / (len(self) + 1)

    def refuse_rate(self, rate: float, fitted_to: int = 0) -> None:
        """Raises ConfigError for an alarm rate that needs more normal inputs, of which so many
        others fit the score."""
        if self.least_rate <= rate:
            return
        raise ConfigError(
            f"--alarm-rate {rate:g} needs {inputs_for(rate):,} normal inputs to calibrate on, and"
            f" there are {len(self):,}; these support rates from {_rounded_up(self.least_rate):g}"
            + f"; {fitted_to:,} others fit the score, unless --fit-to names some"
            * bool(fitted_to)
        )

    def far_out(self, scores: Floats) -> NDArray[np.bool_]:
        """Whether each score is so far above the normal ones that it may be that of an anomaly
        among them: of logarithms, since scores are skewed."""
        positive = self.scores[self.scores > 0].astype(np.float64)
        if len(positive) < FEWEST:
            return np.zeros(len(scores), bool)
        low, high = np.quantile(np.log(positive), (0.25, 0.75))
        logarithms = np.log(np.maximum(scores.astype(np.float64), positive[0]))
        found: NDArray[np.bool_] = logarithms > high + FAR_OUT * (high - low) + ROUNDING
        return found


def inputs_for(rate: float) -> int:
    """The least number of normal inputs that supports an alarm rate: 1 / rate - 1."""
    count = max(1, math.ceil(1 / rate) - 2)
    while 1 / (count + 1) > rate:
        count += 1
    return count


def _rounded_up(rate: float) -> float:
    """The rate with three digits, but not below it."""
    digits = 2 - math.floor(math.log10(rate))
    rounded = math.ceil(rate * 10**digits) / 10**digits
    return rounded if rounded < 1 else rate
