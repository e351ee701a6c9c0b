"""Scores by the most unusual region of an image."""

import numpy as np
import pytest
import torch

from aectl.errors import DataError, ModelFileError
from aectl.inference.anomaly_scores import Evidence
from aectl.inference.conformal import NormalScores
from aectl.inference.error_maps import smoothed
from aectl.inference.marking import Marking
from aectl.inference.unusual_region import HighestPixel, UnusualRegion


def maps(count, seed):
    """Maps of an image with an edge, where errors are larger."""
    found = torch.rand(count, 20, 25, generator=torch.Generator().manual_seed(seed))
    found[:, :, 12] *= 4
    return found


@pytest.fixture
def score():
    made = UnusualRegion()
    made.fit(Evidence(map=maps(40, 0)))
    return made


def test_it_is_the_mean_of_the_highest_hundredth_of_the_compared_map(score):
    new = maps(6, 1)
    typical = score.tensors()
    at_scales = [
        (smoothed(new, sigma) - typical["mean"][row]).numpy() / typical["deviation"][row].numpy()
        for row, sigma in enumerate((1.0, 2.0, 4.0))
    ]
    compared = np.mean(at_scales, 0)
    by_hand = np.sort(compared.reshape(6, -1), 1)[:, -5:].mean(1)
    assert np.allclose(score.of(Evidence(map=new)), by_hand, rtol=1e-4)
    assert np.allclose(score.compared(Evidence(map=new)), compared, rtol=1e-3, atol=1e-5)
    pixels = HighestPixel()
    pixels.restore(typical)
    lowest = np.min(at_scales, 0)
    assert np.allclose(pixels.compared(Evidence(map=new)), lowest, rtol=1e-3, atol=1e-5)
    assert np.allclose(pixels.of(Evidence(map=new)), lowest.max((1, 2)), rtol=1e-3)


def test_what_is_beside_a_strong_defect_is_not_marked(score):
    normal = HighestPixel()
    normal.restore(score.tensors())
    scores = NormalScores.of(normal.of(Evidence(map=maps(200, 5))).numpy())
    new = maps(1, 6)
    new[0, 8:10, 3:6] += 50
    (region, *_) = Marking.at(0.05, normal, scores, new.shape[1:]).of(Evidence(map=new)).regions[0]
    assert 0 <= region.left <= 3
    assert region.top >= 8 - 3
    assert 6 <= region.right <= 6 + 3
    assert region.bottom <= 10 + 3


def test_a_small_defect_has_a_higher_score_than_any_normal_image(score):
    new = maps(200, 2)
    new[0, 5:8, 3:6] += 1.5
    scores = score.of(Evidence(map=new))
    assert scores[0] > scores[1:].max() + 1
    assert new[0].mean() < new[1:].mean((1, 2)).max()


def test_it_is_restored_from_its_tensors(score):
    other = UnusualRegion()
    other.restore(score.tensors())
    new = Evidence(map=maps(3, 3))
    assert torch.equal(other.of(new), score.of(new))
    assert score.of(new).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean": torch.ones(3, 5, 5)}, "do not fit each other"),
        ({"mean": torch.ones(2, 20, 25), "deviation": torch.ones(2, 20, 25)}, "do not fit"),
        ({"deviation": torch.zeros(3, 20, 25)}, "not positive"),
        ({"other": torch.ones(1)}, "'other'"),
    ],
)
def test_tensors_that_are_not_its_own_are_refused(score, change, said):
    with pytest.raises(ModelFileError, match=said):
        UnusualRegion().restore({**score.tensors(), **change})


def test_images_of_another_size_are_refused(score):
    with pytest.raises(ModelFileError, match="of images of another size"):
        score.of(Evidence(map=torch.ones(2, 5, 5)))


def test_a_single_image_is_too_few():
    with pytest.raises(DataError, match="too few normal inputs"):
        UnusualRegion().fit(Evidence(map=maps(1, 0)))
