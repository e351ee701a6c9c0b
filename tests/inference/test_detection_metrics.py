"""Metrics of detectors, against counts of pairs and plain loops over thresholds."""

import numpy as np
import pytest
from scipy import ndimage

from aectl.errors import DataError
from aectl.inference import detection_metrics as metrics


def scored(count=60, kinds=8):
    """Scores with many ties, higher where anomalous."""
    draw = np.random.default_rng(count)
    anomalous = draw.random(count) < 0.3
    return draw.integers(0, kinds, count) / kinds + 0.3 * anomalous.round(), anomalous


def test_auroc_is_the_fraction_of_pairs_in_the_right_order():
    scores, anomalous = scored()
    pairs = [(a, n) for a in scores[anomalous] for n in scores[~anomalous]]
    right = sum(1.0 if a > n else 0.5 if a == n else 0.0 for a, n in pairs)
    assert metrics.auroc(scores, anomalous) == pytest.approx(right / len(pairs))
    curve = metrics.roc_curve(scores, anomalous)
    assert np.trapezoid(curve.upwards, curve.across) == pytest.approx(right / len(pairs))


def test_average_precision_is_the_mean_precision_by_the_recall_gained():
    scores, anomalous = scored()
    total = before = 0.0
    points = [(0.0, 1.0)]
    for threshold in sorted(set(scores), reverse=True):
        flagged = scores >= threshold
        precision = anomalous[flagged].sum() / flagged.sum()
        recall = anomalous[flagged].sum() / anomalous.sum()
        total, before = total + (recall - before) * precision, recall
        points.append((recall, precision))
    assert metrics.average_precision(scores, anomalous) == pytest.approx(total)
    curve = metrics.precision_recall_curve(scores, anomalous)
    assert np.allclose(np.transpose(curve), points)


def with_regions():
    """Maps of few values, and masks with regions of many sizes, one of them joined at a corner."""
    draw = np.random.default_rng(5)
    masks = np.zeros((4, 12, 15), np.bool_)
    masks[0, 2:4, 3:9] = masks[0, 8, 8] = True
    masks[1, 0:2, 0:2] = masks[1, 2, 2] = masks[2, 11, 3:14] = True
    maps = draw.integers(0, 12, masks.shape) + 4 * (masks & (draw.random(masks.shape) < 0.6))
    return maps.astype(np.float32), masks


@pytest.mark.parametrize("limit", [0.3, 0.05, 1.0])
def test_pro_is_the_mean_overlap_of_regions_over_the_false_positives(limit):
    maps, masks = with_regions()
    regions = []
    for number, mask in enumerate(masks):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        regions += [(number, labels == one) for one in range(1, count + 1)]
    assert len(regions) == 4
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        above = maps >= threshold
        overlap = [above[number][region].mean() for number, region in regions]
        points.append((above[~masks].mean(), np.mean(overlap)))
    fine = np.linspace(0, limit, 200_001)
    expected = np.interp(fine, *np.transpose(points)).mean()
    assert metrics.pro(maps, masks, limit) == pytest.approx(expected, abs=1e-4)


def test_a_perfect_map_has_metrics_of_1_and_a_constant_one_those_of_guessing():
    _, masks = with_regions()
    for metric in (metrics.pro, metrics.pixel_auroc):
        assert metric(masks.astype(np.float32), masks) == pytest.approx(1)
    constant = np.ones(masks.shape, np.float32)
    assert metrics.pixel_auroc(constant, masks) == 0.5
    assert metrics.pro(constant, masks) == pytest.approx(0.15)


def test_pixel_auroc_is_that_of_all_pixels():
    maps, masks = with_regions()
    assert metrics.pixel_auroc(maps, masks) == metrics.auroc(maps.ravel(), masks.ravel())


@pytest.mark.parametrize("anomalous", [True, False])
def test_one_kind_alone_is_refused(anomalous):
    truth = np.full((2, 3, 3), anomalous)
    wanted = "none is normal" if anomalous else "none is anomalous"
    for metric in (metrics.pro, metrics.pixel_auroc):
        with pytest.raises(DataError, match=wanted):
            metric(np.zeros(truth.shape, np.float32), truth)
    with pytest.raises(DataError, match=wanted):
        metrics.average_precision(np.zeros(2), truth[:, 0, 0])
