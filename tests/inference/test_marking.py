"""Marked pixels of images, from maps of places."""

import numpy as np
import pytest
import torch

from aectl.errors import ConfigError
from aectl.inference.anomaly_scores import Evidence
from aectl.inference.conformal import NormalScores
from aectl.inference.marking import Marking
from aectl.inference.unusual_places import HighestPlace


def places(count, seed):
    return torch.randn(count, 4, 3, 5, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def fitted():
    """The score of pixels, and those of 40 normal images."""
    score = HighestPlace()
    score.fit(Evidence(places=places(30, 0)))
    return score, score.of(Evidence(places=places(40, 1))).numpy()


def test_pixels_are_marked_where_a_place_is_above_the_threshold(fitted):
    score, normal = fitted
    new = places(1, 2)
    new[0, :, 1, 3] += 30
    marking = Marking.at(0.05, score, NormalScores.of(normal), (30, 50))
    maps, ((region,),), threshold = marking.of(Evidence(places=new))
    assert maps.shape == (1, 30, 50)
    assert threshold == np.sort(normal)[-2]
    assert (maps[0] > threshold).sum() == region.pixels
    assert 20 <= region.left <= 30 < 40 <= region.right <= 50, "the place is columns 30 to 40"
    assert 0 <= region.top <= 10 < 20 <= region.bottom <= 30


def test_a_normal_image_has_a_mark_exactly_if_its_score_is_above_the_threshold(fitted):
    score, normal = fitted
    marking = Marking.at(0.1, score, NormalScores.of(normal), (31, 47))
    marked = marking.of(Evidence(places=places(40, 1))).regions
    above = normal > marking.threshold
    assert above.sum() == 3
    assert not any(one for one, is_above in zip(marked, above, strict=True) if not is_above)


def test_a_rate_that_the_normal_images_do_not_support_is_refused(fitted):
    score, normal = fitted
    with pytest.raises(ConfigError, match=r"--alarm-rate 0\.01 needs 99 normal inputs"):
        Marking.at(0.01, score, NormalScores.of(normal), (3, 5))
