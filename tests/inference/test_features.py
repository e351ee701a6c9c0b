"""The arrays that `encode` writes, against NumPy in 64 bits."""

import numpy as np
import pytest

from aectl.inference.features import Features


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_rows_of_length_one_are_as_numpy_has_them(scale):
    code = np.float32([[3.0, -4.0], [0.0, 0.0], [1.0, 1e-3]]) * np.float32(scale)
    found = Features(normalize="l2").of(code)
    exact = code.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(found, exact / np.where(length > 0, length, 1), rtol=1e-6)
    assert found.dtype == np.float32


def test_half_precision_rounds_as_numpy_does_and_a_plain_code_stays():
    code = np.random.default_rng(0).standard_normal((5, 6), np.float32)
    half = Features(dtype="float16").of(code)
    assert half.dtype == np.float16
    assert np.array_equal(half, code.astype(np.float16))
    assert np.array_equal(Features().of(code), code)
