"""Distances of the codes at places, against loops in NumPy."""

import numpy as np
import pytest
import torch

from aectl.errors import DataError, ModelFileError
from aectl.inference import unusual_places
from aectl.inference.anomaly_scores import Evidence
from aectl.inference.unusual_places import HighestPlace, UnusualPlaces


def maps(count, seed=0):
    """Codes at the 3x5 places of some images, of 4 features."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, 3, 5, generator=random)


def fitted(kind, reference):
    score = kind()
    score.fit(Evidence(places=reference))
    return score


def two_nearest(code, others):
    return np.sort([np.linalg.norm(code - other) for other in others])[:2].mean()


def codes_of(image):
    """The codes at its places, row by row."""
    return [image[:, row, column] for row in range(3) for column in range(5)]


def by_hand(reference, new):
    known = [code for image in reference.double().numpy() for code in codes_of(image)]
    return np.array([
        [two_nearest(code, known) for code in codes_of(image)] for image in new.double().numpy()
    ])  # fmt: skip


def test_the_distance_of_a_place_is_that_from_the_nearest_wherever_they_are():
    reference, new = maps(6), maps(9, 1)
    wanted = by_hand(reference, new)
    score = fitted(UnusualPlaces, reference)
    found = score.compared(Evidence(places=new))
    np.testing.assert_allclose(found, wanted.reshape(9, 3, 5), rtol=1e-5)
    scores = score.of(Evidence(places=new))
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores, wanted.max(1), rtol=1e-5)


def test_the_score_is_the_mean_of_the_highest_hundredth_of_the_places():
    reference, new = maps(6), torch.randn(2, 4, 20, 20, generator=torch.Generator().manual_seed(3))
    score = fitted(UnusualPlaces, reference)
    distances = score.compared(Evidence(places=new)).double().flatten(1).numpy()
    wanted = np.sort(distances, 1)[:, -4:].mean(1)
    np.testing.assert_allclose(score.of(Evidence(places=new)), wanted, rtol=1e-6)


def test_a_map_counts_in_standard_deviations_between_reference_images():
    reference, new = maps(6), maps(9, 1)
    between = []
    for number, image in enumerate(reference.double().numpy()):
        others = [one for other in range(6) if other != number
                  for one in codes_of(reference[other].double().numpy())]  # fmt: skip
        between += [two_nearest(code, others) for code in codes_of(image)]
    wanted = (by_hand(reference, new) - np.mean(between)) / np.std(between)
    score = fitted(HighestPlace, reference)
    found = score.compared(Evidence(places=new))
    np.testing.assert_allclose(found, wanted.reshape(9, 3, 5), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(score.of(Evidence(places=new)), wanted.max(1), rtol=1e-3, atol=1e-4)


def test_of_many_places_some_of_all_images_are_kept(monkeypatch):
    monkeypatch.setattr(unusual_places, "MOST_REFERENCES", 60)
    reference = maps(40)
    reference[:, 0] = torch.arange(40.0)[:, None, None]  # the image, in the first feature
    kept = fitted(UnusualPlaces, reference).tensors()["codes"]
    assert kept.shape == (60, 4)
    assert torch.equal(kept, fitted(UnusualPlaces, reference).tensors()["codes"])
    assert len(kept[:, 0].unique()) > 20
    known = {tuple(one) for one in reference.movedim(1, -1).flatten(0, 2).tolist()}
    assert {tuple(one) for one in kept.tolist()} <= known


@pytest.mark.parametrize("kind", [UnusualPlaces, HighestPlace])
def test_nothing_depends_on_the_images_beside_one_or_on_their_number(kind):
    score, new = fitted(kind, maps(6)), maps(33, 1)
    whole = score.of(Evidence(places=new))
    for rows in (slice(0, 1), slice(32, 33), slice(5, 12)):
        assert torch.equal(score.of(Evidence(places=new[rows])), whole[rows])


@pytest.mark.parametrize("kind", [UnusualPlaces, HighestPlace])
def test_what_is_fitted_is_restored(kind):
    score, other, new = fitted(kind, maps(6)), kind(), maps(3, 1)
    other.restore(score.tensors())
    assert torch.equal(other.of(Evidence(places=new)), score.of(Evidence(places=new)))
    with pytest.raises(ModelFileError, match="'codes'"):
        other.restore({name: one for name, one in score.tensors().items() if name != "codes"})


@pytest.mark.parametrize("typical", [[1.0], [1.0, 0.0], [1.0, float("nan")]])
def test_a_deviation_that_is_none_is_refused(typical):
    score = fitted(HighestPlace, maps(6))
    with pytest.raises(ModelFileError, match="do not fit each other"):
        score.restore({**score.tensors(), "typical": torch.tensor(typical)})


def test_a_map_needs_two_images_and_equal_ones_are_no_fault():
    with pytest.raises(DataError, match="too few normal inputs"):
        fitted(HighestPlace, maps(1))
    score = fitted(HighestPlace, torch.ones(3, 4, 3, 5))
    assert score.of(Evidence(places=maps(2))).isfinite().all()
