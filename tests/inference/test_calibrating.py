"""Normal inputs that a score is fitted to, and others that calibrate it."""

import weakref

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from aectl.data.images.image_batches import InputBatch
from aectl.data.named_inputs import Position
from aectl.errors import DataError
from aectl.inference import calibrating
from aectl.inference.anomaly_scores import Evidence, Examined, ReconstructionError
from aectl.inference.calibrating import Calibrating
from aectl.inference.code_distances import Mahalanobis, Neighbours

CODES = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32))


def batches(evidence, size):
    count = max(len(one) for one in evidence if one is not None)
    for first in range(0, count, size):
        some = evidence.rows(slice(first, first + size))
        paths = [str(row) for row in range(first, min(first + size, count))]
        batch = InputBatch(paths, np.empty(0), [None] * len(paths), size, Position(0, ""))
        yield Examined(batch, some)


def calibrated(score, fitted, evidence, size=7):
    found = Calibrating(score, fitted, ("error", "code"))
    for one in batches(evidence, size):
        found.add(one)
    return found.result()


def test_a_score_that_is_not_fitted_is_calibrated_on_all():
    errors = torch.rand(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = calibrated(ReconstructionError(), False, Evidence(errors))
    assert np.array_equal(found.normal.scores, np.sort(errors.float().numpy()))
    assert (found.fitted_to, found.suspects) == (0, [])


def test_half_of_the_inputs_fit_a_score_and_the_others_calibrate_it():
    found = calibrated(Neighbours(), True, Evidence(code=CODES))
    codes = found.score.tensors()["codes"]
    assert (found.fitted_to, len(codes), len(found.normal)) == (30, 30, 30)
    fitted = (CODES[:, None] == codes).all(2).any(1)
    assert fitted.sum() == 30
    assert not torch.equal(fitted, torch.arange(60) < 30), "the halves are random"
    others = found.score.of(Evidence(code=CODES[~fitted])).numpy()
    assert np.array_equal(found.normal.scores, np.sort(others))


def test_reference_inputs_fit_a_score_and_all_others_calibrate_it():
    found = Calibrating(Neighbours(), True, ("code",))
    for one in batches(Evidence(code=CODES[:20]), 7):
        found.add(one)
    for one in batches(Evidence(code=CODES[20:]), 7):
        found.refer(one)
    made = found.result()
    assert (made.fitted_to, len(made.normal)) == (40, 20)
    codes = made.score.tensors()["codes"]
    assert {*map(tuple, codes.tolist())} == {*map(tuple, CODES[20:].tolist())}


def test_the_size_of_batches_changes_nothing():
    first, second = (calibrated(Neighbours(), True, Evidence(code=CODES), n) for n in (7, 60))
    assert np.array_equal(first.normal.scores, second.normal.scores)


def test_of_many_inputs_a_random_part_is_kept(monkeypatch):
    """Wherever they stand: also near the end, where inputs meet a sample that is full."""
    monkeypatch.setattr(calibrating, "MOST_NUMBERS", 20)
    kept = np.zeros(3)
    for seed in range(60):
        monkeypatch.setattr(calibrating, "SEED", seed)
        found = calibrated(Neighbours(), True, Evidence(code=CODES[:, :1]))
        assert (found.fitted_to, len(found.normal)) == (10, 10)
        rows = (CODES[:, :1] == found.score.tensors()["codes"][:, 0]).nonzero()[:, 0]
        kept += np.bincount(rows.numpy() // 20, minlength=3)
    assert chisquare(kept).pvalue > 0.01


@pytest.mark.parametrize(
    ("score", "fitted", "needs"),
    [(Neighbours(), True, ("code",)), (ReconstructionError(), False, ("error",))],
)
def test_evidence_that_a_score_does_not_need_is_not_kept(score, fitted, needs):
    maps = torch.ones(len(CODES), 4, 4)
    whole = Evidence(error=CODES[:, 0].double(), code=CODES, map=maps)
    found, kept = Calibrating(score, fitted, needs), []
    for take in (found.add, found.refer):
        for one in batches(whole, 7):
            kept += [weakref.ref(one.evidence.map), weakref.ref(one.evidence.code)]
            take(one)
            del one
    assert all(one() is None for one in kept[::2])
    assert fitted or all(one() is None for one in kept)
    assert len(found.result().normal) == len(CODES)


def test_inputs_far_above_the_others_are_named_the_highest_first():
    errors = torch.linspace(1, 2, 50, dtype=torch.float64)
    errors[[7, 20]] = torch.tensor([1e3, 1e4], dtype=torch.float64)
    found = calibrated(ReconstructionError(), False, Evidence(errors))
    assert found.suspects == ["20", "7"]


def test_scores_beyond_all_numbers_calibrate_as_the_highest():
    errors = torch.tensor([1.0, torch.inf, 2.0, torch.nan, 1e300], dtype=torch.float64)
    normal = calibrated(ReconstructionError(), False, Evidence(errors)).normal
    assert normal.scores.tolist() == [1, 2, *[np.finfo(np.float32).max] * 3]


def test_a_score_is_fitted_to_finite_codes_alone():
    score = Mahalanobis()
    odd = CODES.clone()
    odd[::2] = torch.nan
    calibrated(score, True, Evidence(code=odd))
    assert all(one.isfinite().all() for one in score.tensors().values())


@pytest.mark.parametrize(
    ("score", "fitted", "evidence"),
    [
        (ReconstructionError(), False, Evidence(torch.empty(0))),
        (Neighbours(), True, Evidence(code=CODES[:0])),
        (Neighbours(), True, Evidence(code=CODES[:1])),
    ],
)
def test_too_few_inputs_are_refused(score, fitted, evidence):
    with pytest.raises(DataError, match="normal inputs"):
        calibrated(score, fitted, evidence)
