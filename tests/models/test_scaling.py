"""The scaling of vectors, against scikit-learn's scalers."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

from aectl.config.model_options import ModelConfig
from aectl.models.scaling import Moments, Scaling, scaling_of

RNG = np.random.default_rng(0)
ROWS = (RNG.standard_normal((50, 4)) * [1, 10, 1e-3, 0] + [0, -5, 1, 7]).astype("f4")
SCALERS = {
    "standard": StandardScaler(),
    "minmax": MinMaxScaler(),
    "center": StandardScaler(with_std=False),
    "unit-norm": Normalizer(),
}


def fitted(scale, rows=ROWS, blocks=3, missing="refuse"):
    scaling = Scaling(rows.shape[1], scale, missing)
    scaling.fit(torch.from_numpy(part) for part in np.array_split(rows, blocks))
    return scaling


@pytest.mark.parametrize("scale", SCALERS)
def test_vectors_are_scaled_as_scikit_learn_scales_them_and_come_back(scale):
    wanted = SCALERS[scale].fit_transform(ROWS.astype("f8"))
    scaling, vectors = fitted(scale), torch.from_numpy(ROWS)
    np.testing.assert_allclose(scaling(vectors), wanted, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(
        scaling.back(scaling(vectors), vectors), vectors, rtol=1e-5, atol=1e-3
    )


def test_a_small_deviation_beside_a_large_mean_is_found():
    rows = (1e6 + RNG.standard_normal((1000, 1))).astype("f4")
    scaling = fitted("standard", rows, blocks=7)
    assert 1 / scaling.factor.item() == pytest.approx(rows.astype("f8").std(), rel=1e-5)


def test_values_that_are_missing_have_no_part_in_the_numbers_and_become_the_mean():
    rows = ROWS.copy()
    rows[::3, 1] = np.nan
    rows[:17, 0] = np.nan  # all of the first block
    scaling = fitted("standard", rows, missing="mean")
    np.testing.assert_allclose(scaling.fill, np.nanmean(rows.astype("f8"), 0), rtol=1e-5)
    np.testing.assert_allclose(
        1 / scaling.factor[:2], np.nanstd(rows.astype("f8"), 0)[:2], rtol=1e-5
    )
    complete = scaling.complete(torch.from_numpy(rows))
    assert not complete.isnan().any()
    assert scaling(complete)[0, 1].item() == pytest.approx(0, abs=1e-6)


def test_a_vector_of_zeros_stays_one_at_unit_norm():
    zeros = torch.zeros(2, 4)
    scaling = fitted("unit-norm")
    assert torch.equal(scaling(zeros), zeros)
    assert torch.equal(scaling.back(zeros, zeros), zeros)


def test_a_vector_of_equal_features_is_one_of_zeros_with_layer_norm_and_comes_back():
    equal, scaling = torch.full((2, 4), 3.0), fitted("layer-norm")
    assert torch.equal(scaling(equal), torch.zeros(2, 4))
    assert torch.equal(scaling.back(torch.ones(2, 4), equal), equal)
    assert torch.equal(scaling(torch.ones(3, 1)), torch.zeros(3, 1)), "of one feature"


def test_layer_norm_is_that_of_torch_but_for_its_definition_of_the_deviation():
    rows = torch.randn(50, 400)
    found = fitted("layer-norm", rows.numpy())(rows)
    wanted = torch.nn.functional.layer_norm(rows, (400,))
    torch.testing.assert_close(found, wanted * (399 / 400) ** 0.5, rtol=1e-4, atol=1e-4)


def test_what_decodes_without_an_input_has_no_length_to_come_back_to():
    made = torch.tensor([[0.6, 0.8, 0, 0]])
    assert torch.equal(fitted("unit-norm").back(made, None), made)
    assert torch.equal(fitted("layer-norm").back(made, None), made)


@pytest.mark.parametrize(("scale", "missing", "there"), [
    ("none", "refuse", False), ("none", "mean", True), ("center", "refuse", True),
])  # fmt: skip
def test_a_model_has_a_scaling_if_it_changes_anything(scale, missing, there):
    config = ModelConfig(scale=scale, missing=missing)
    assert (scaling_of(config, 4) is not None) == there


def test_moments_of_blocks_are_those_of_all_rows():
    found = Moments()
    for part in np.array_split(ROWS, 4):
        found.add(torch.from_numpy(part))
    rows = ROWS.astype("f8")
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation[:3], rows.std(0)[:3], rtol=1e-5)
    assert found.deviation[3] == 0
    np.testing.assert_array_equal(found.least, rows.min(0))
    np.testing.assert_array_equal(found.most, rows.max(0))
