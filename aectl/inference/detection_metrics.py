"""Metrics of detectors: how well scores tell anomalous inputs, or pixels, from normal ones.

Each needs normal and anomalous ones, and raises DataError where there is only one kind.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.errors import DataError
from aectl.inference.error_maps import TOUCHING

PRO_LIMIT = 0.3
"""The false-positive rate up to which the overlap of regions is integrated (Bergmann et al. 2020,
Uninformed students, section 4.1)."""

Truth = NDArray[np.bool_]
"""Whether each input, or each pixel, is anomalous."""


class Curve(NamedTuple):
    """Points of a curve, from the highest threshold to the lowest: both (points,)."""

    across: NDArray[np.float64]
    upwards: NDArray[np.float64]


def auroc(scores: NDArray[np.floating], anomalous: Truth) -> float:
    """The probability that an anomalous input has a higher score than a normal one, where equal
    scores count half. Both (n,).
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(_of_both_kinds(anomalous), scores))


def average_precision(scores: NDArray[np.floating], anomalous: Truth) -> float:
    """sum_k (R_k - R_(k-1)) P_k, precision and recall at each threshold k. Both (n,)."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(_of_both_kinds(anomalous), scores))


def roc_curve(scores: NDArray[np.floating], anomalous: Truth) -> Curve:
    """The fraction of anomalous inputs that are found, over that of normal ones. Both (n,)."""
    from sklearn import metrics

    false_positives, found, _ = metrics.roc_curve(_of_both_kinds(anomalous), scores)
    return Curve(false_positives, found)


def precision_recall_curve(scores: NDArray[np.floating], anomalous: Truth) -> Curve:
    """Precision over recall. Both (n,)."""
    from sklearn import metrics

    precision, recall, _ = metrics.precision_recall_curve(_of_both_kinds(anomalous), scores)
    return Curve(recall[::-1], precision[::-1])


def pixel_auroc(maps: NDArray[np.floating], masks: Truth) -> float:
    """The AUROC of all pixels of all maps. Both (n, height, width)."""
    return auroc(maps.ravel(), masks.ravel())


def pro(maps: NDArray[np.floating], masks: Truth, limit: float = PRO_LIMIT) -> float:
    """The per-region overlap: the fraction of an anomalous region that lies above the threshold,
    the mean over regions, integrated over the fraction of normal pixels above it up to `limit`, and
    divided by `limit` (Bergmann et al. 2020, section 4.1; Bergmann et al. 2021, section 5.2).

    Small regions count as much as large ones. Both (n, height, width).
    """
    overlap = _region_weights(masks).ravel()
    normal = ~_of_both_kinds(masks.ravel())
    order = np.argsort(-maps.ravel(), kind="stable")
    values = maps.ravel()[order]
    last = np.append(values[1:] != values[:-1], True)  # equal values pass a threshold together
    false_positives = np.cumsum(normal[order])[last] / normal.sum()
    found = np.cumsum(overlap[order])[last]
    curve = Curve(np.append(0.0, false_positives), np.append(0.0, found))
    return _area(curve, limit) / limit


def _of_both_kinds(anomalous: Truth) -> Truth:
    if anomalous.all() or not anomalous.any():
        kind = "normal" if anomalous.all() else "anomalous"
        raise DataError(
            f"the metrics of a detector need normal and anomalous inputs; none is {kind}"
        )
    return anomalous


def _region_weights(masks: Truth) -> NDArray[np.float64]:
    """The weight of each pixel: 1 / (its region's pixels * all regions), 0 where it is normal."""
    from scipy import ndimage

    weights = np.zeros(masks.shape)
    count = 0
    for mask, weight in zip(masks, weights, strict=True):
        labels, found = ndimage.label(mask, TOUCHING)
        count += found
        weight[mask] = 1 / np.bincount(labels.ravel())[labels[mask]]
    return weights / max(1, count)


def _area(curve: Curve, limit: float) -> float:
    """The area under a curve from 0 to `limit`, by trapezoids; the last one ends at the limit."""
    within = curve.across <= limit
    end = np.interp(limit, curve.across, curve.upwards)
    across, upwards = np.append(curve.across[within], limit), np.append(curve.upwards[within], end)
    return float(np.trapezoid(upwards, across))
