"""Images decoded from codes, against codes that `aectl.load` gives and scikit-learn's digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import aectl as package
from aectl.config.kinds import with_a_code
from aectl.data.codes.code_tables import Codes
from aectl.errors import ConfigError, DataError
from aectl.verbs.latent import decoded, interpolated, traversed
from aectl.verbs.use import use_of

DIGITS = np.round(load_digits().images[-360:] * (255 / 16)).astype(np.uint8)


def use(model, words=None, **options):
    return use_of(model, "reconstruct", with_a_code(), words, options, "cpu", 1)


def codes_of(model, *numbers):
    with torch.no_grad():
        return package.load(model).encode(torch.tensor(DIGITS[list(numbers), None]) / 255).numpy()


def images_of(model, codes):
    """Decoded codes as bytes, (n, 1, 8, 8)."""
    with torch.no_grad():
        made = package.load(model).decode(torch.tensor(np.asarray(codes, np.float32))).numpy()
    return np.round(made.clip(0, 1) * 255)


def close(found, wanted):
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(int), wanted, atol=1)


def test_a_row_goes_from_one_image_to_the_other(dense):
    grid = interpolated(use(dense), ("digits:test/3", "digits:test/8"), 3)
    assert (grid.read, grid.columns) == (2, 5)
    assert grid.captions == ["A", "0", "0.5", "1", "B"]
    assert "A (digits:test/3) to B (digits:test/8)" in grid.title
    first, last = codes_of(dense, 3, 8)
    assert np.array_equal(grid.images[[0, 4], 0], DIGITS[[3, 8]])
    close(grid.images[1:4], images_of(dense, [first, (first + last) / 2, last]))


@pytest.mark.parametrize(
    ("word", "said"), [("digits:test", "is more than one image"), ("bad.png", "is no image that")]
)
def test_an_end_that_is_not_a_single_image_is_refused(dense, tmp_path, monkeypatch, word, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=said):
        interpolated(use(dense), ("digits:test/3", word), 3)


def test_a_unit_goes_from_its_least_to_its_largest_over_the_inputs(dense):
    grid = traversed(use(dense, "digits:test"), 5, steps=3, rows=2)
    whole = codes_of(dense, *range(360))
    low, high = whole[:, 5].min(), whole[:, 5].max()
    values = [low, (low + high) / 2, high]
    assert (grid.read, grid.columns) == (360, 4)
    assert grid.captions == ["image", *(f"{value:.3g}" for value in values)] * 2
    rows = grid.images.reshape(2, 4, 1, 8, 8)
    for number in (0, 1):
        codes = np.repeat(whole[[number]], 3, 0)
        codes[:, 5] = values
        assert np.array_equal(rows[number, 0, 0], DIGITS[number])
        close(rows[number, 1:], images_of(dense, codes))


def test_a_unit_that_the_code_has_not_is_refused_with_the_range(dense):
    assert package.load(dense).code_size == 32
    traversed(use(dense, "digits:test/0"), 31, 2, 1)
    with pytest.raises(ConfigError, match="--traverse is 32; the code's units are 0 to 31"):
        traversed(use(dense, "digits:test/0"), 32, 2, 1)


def test_without_inputs_there_is_no_grid(dense, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert traversed(use(dense, str(tmp_path / "bad.png")), 0, 2, 1).read == 0


def table(codes):
    return Codes([f"row {n}" for n in range(len(codes))], codes.shape[1], codes)


@pytest.mark.parametrize("most", [None, 1, 300, 1000])
def test_codes_of_a_table_are_decoded_in_order_up_to_a_number(dense, most):
    codes = codes_of(dense, *range(360))
    results = list(decoded(use(dense), table(codes), most))
    count = min(most or 360, 360)
    assert [name for result in results for name in result.paths] == [
        f"row {n}" for n in range(count)
    ]
    made = np.concatenate([result.reconstruction for result in results])
    close(np.round(made * 255).astype(np.uint8), images_of(dense, codes[:count]))


def test_codes_that_decode_to_no_numbers_are_told_and_left_out(dense):
    codes, told = codes_of(dense, 0, 1, 2), []
    codes[1] = 3e38
    given = use(dense, on_bad=lambda path, reason: told.append((path, reason)))
    (result,) = decoded(given, table(codes))
    assert result.paths == ["row 0", "row 2"]
    assert len(result.reconstruction) == 2
    assert told == [("row 1", "the model's output for it is not finite")]
