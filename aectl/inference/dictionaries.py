"""Dictionaries: the directions of a decoder, compared with those of others and with true ones.

A direction is what a unit of the code adds to the output of a linear decoder: a column of its
weights.
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from aectl.inference.assignment import assigned
from aectl.models.networks import Autoencoder

Directions = NDArray[np.float64]
"""(n, features), each of length 1, or 0."""

SIMILAR, ALIKE = 0.7, 0.9
"""Cosines above which two directions are similar, and above which they are the same."""

FEW = 1 << 22
"""Cosines that are computed at once, at most."""

OF_EITHER_SIGN = "linear", "tanh"
"""Activations of a code whose units have no sign of their own."""


class Dictionary(NamedTuple):
    """Directions, (units, features); without sign, a direction is the same as its opposite."""

    directions: Directions
    signed: bool = True


@torch.no_grad()
def dictionary_of(network: Autoencoder, code_activation: str) -> Dictionary:
    """The directions of a decoder of one layer, in the units of the input."""
    columns = network.decoder.directions.double()
    if network.scaling is not None and network.scaling.factor is not None:
        columns = columns / network.scaling.factor.double()[:, None]
    return Dictionary(of_length_1(columns.t().cpu().numpy()), code_activation not in OF_EITHER_SIGN)


def of_length_1(vectors: NDArray[np.floating]) -> Directions:
    """The directions of vectors, both (n, features)."""
    found = np.ascontiguousarray(vectors, np.float64)
    lengths = np.sqrt(np.square(found).sum(1, keepdims=True))
    return found / np.where(lengths > 0, lengths, 1)


def match_metrics(dictionaries: Sequence[Dictionary]) -> list[dict[str, float]]:
    """The metrics of each of two or more dictionaries, means over its pairs with the others.

    matched_cosine: the mean cosine of directions that are matched one to one, so that their sum is
    largest; matched_above_0.7 and matched_above_0.9: the fractions of them with such cosines;
    matched_random: the mean cosine of as many matched random directions.
    """
    of_each: list[list[dict[str, float]]] = [[] for _ in dictionaries]
    for first, second in combinations(range(len(dictionaries)), 2):
        found = _of_pair(dictionaries[first], dictionaries[second])
        of_each[first].append(found)
        of_each[second].append(found)
    return [{name: mean(one[name] for one in pairs) for name in pairs[0]} for pairs in of_each]


def _of_pair(first: Dictionary, second: Dictionary) -> dict[str, float]:
    signed = first.signed and second.signed
    cosines = matched_cosines(first.directions, second.directions, signed)
    sizes = sorted((len(first.directions), len(second.directions)))
    return {
        "matched_cosine": float(cosines.mean()),
        f"matched_above_{SIMILAR}": float((cosines > SIMILAR).mean()),
        f"matched_above_{ALIKE}": float((cosines > ALIKE).mean()),
        "matched_random": _at_random(*sizes, first.directions.shape[1], signed),
    }


@cache
def _at_random(first: int, second: int, features: int, signed: bool) -> float:
    """The mean cosine of matched directions that are drawn at random."""
    drawn = np.random.default_rng(0)
    one, other = (of_length_1(drawn.standard_normal((n, features))) for n in (first, second))
    return float(matched_cosines(one, other, signed).mean())


def matched_cosines(first: Directions, second: Directions, signed: bool = True) -> Directions:
    """The cosines of directions matched one to one with the largest sum (Kuhn 1955), as many as the
    smaller set has."""
    from scipy.optimize import linear_sum_assignment

    first, second = sorted((first, second), key=len)
    if len(first) * len(second) > FEW:
        columns = assigned(first, second, signed)
    else:
        _, columns = linear_sum_assignment(_cosines(first, second, signed), maximize=True)
    signs = 1 if signed else np.sign((first * second[columns]).sum(1, keepdims=True))
    apart = np.square(first - signs * second[columns]).sum(1)
    found: Directions = 1 - apart / 2  # of the same directions, exactly 1
    return found


def truth_metrics(
    found: Dictionary, truth: Directions, alive: NDArray[np.bool_]
) -> dict[str, float]:
    """The metrics of a dictionary whose true directions are known; `alive`, (units,): the units
    that are active for any input.

    truth_cosine: the mean cosine of matched directions (mean correlation coefficient);
    truth_recall: the fraction of the true directions that are the same as one of a unit;
    truth_precision: the fraction of the units that are alive whose direction is a true one.
    """
    of_truth, of_units = _largest_cosines(truth, found.directions, found.signed)
    same = of_units[alive] > ALIKE
    return {
        "truth_cosine": float(matched_cosines(truth, found.directions, found.signed).mean()),
        "truth_recall": float((of_truth > ALIKE).mean()),
        "truth_precision": float(same.mean()) if len(same) else float("nan"),
    }


def _largest_cosines(
    first: Directions, second: Directions, signed: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest cosine of each of the first directions with any of the second, and of each of
    the second with any of the first."""
    of_first, of_second = [np.empty(0)], np.full(len(second), -np.inf)
    rows = max(1, FEW // len(second))
    for start in range(0, len(first), rows):
        block = _cosines(first[start : start + rows], second, signed)
        of_first.append(block.max(1))
        np.maximum(of_second, block.max(0), out=of_second)
    return np.concatenate(of_first), of_second


def _cosines(first: Directions, second: Directions, signed: bool) -> Directions:
    """(n, m), for directions (n, features) and (m, features)."""
    products = first @ second.T
    return products if signed else np.abs(products, out=products)
