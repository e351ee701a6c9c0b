"""Noise and shifts: how often they strike, and what they leave alone."""

import numpy as np
import pytest
import torch

from aectl.config.all_options import OPTIONS
from aectl.objectives import corruptions


def grey(*shape):
    torch.manual_seed(0)
    return 0.25 + 0.5 * torch.rand(*shape)


@pytest.mark.parametrize("level", [0.1, 0.25, 0.9, 1.0])
def test_masking_sets_a_part_of_the_pixels_to_0(level):
    x = grey(200, 1, 10, 10)
    noisy = corruptions.masked(x, level)
    struck = noisy != x
    assert struck.double().mean() == pytest.approx(level, abs=0.015)
    assert (noisy[struck] == 0).all()


@pytest.mark.parametrize("level", [0.1, 0.5, 1.0])
def test_salt_and_pepper_sets_a_part_to_0_and_as_many_to_1(level):
    x = grey(200, 1, 10, 10)
    noisy = corruptions.salt_and_pepper(x, level)
    assert (noisy == 0).double().mean() == pytest.approx(level / 2, abs=0.012)
    assert (noisy == 1).double().mean() == pytest.approx(level / 2, abs=0.012)
    left = (noisy != 0) & (noisy != 1)
    assert torch.equal(noisy[left], x[left])


def test_gaussian_noise_has_mean_0_and_the_level_as_its_standard_deviation():
    x = grey(200, 1, 10, 10)
    added = corruptions.gaussian(x, 0.3) - x
    assert added.mean().item() == pytest.approx(0, abs=0.01)
    assert added.std().item() == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize("name", corruptions.NOISE)
def test_each_call_strikes_elsewhere_and_leaves_its_input_alone(name):
    x = grey(4, 1, 10, 10)
    before = x.clone()
    assert not torch.equal(corruptions.NOISE[name](x, 0.5), corruptions.NOISE[name](x, 0.5))
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 4, 7)])
def test_a_shifted_image_is_one_of_all_shifts_and_each_is_as_likely(shape):
    count, most = 9000, 1
    image = grey(*shape)
    wide = np.pad(image.numpy(), ((0, 0), (most, most), (most, most)))
    _, height, width = shape
    shifts = [
        wide[:, top : top + height, left : left + width] for top in range(3) for left in range(3)
    ]
    moved = corruptions.shifted(image.expand(count, *shape), most).numpy()
    found = [(moved == one).all((1, 2, 3)).sum() for one in shifts]
    assert sum(found) == count
    assert min(found) > 850
    assert max(found) < 1150


def test_half_of_the_images_are_flipped_from_left_to_right():
    image = grey(3, 4, 5)
    found = corruptions.flipped(image.expand(4000, 3, 4, 5)).numpy()
    flipped = (found == image.numpy()[:, :, ::-1]).all((1, 2, 3))
    assert (flipped ^ (found == image.numpy()).all((1, 2, 3))).all()
    assert 1850 < flipped.sum() < 2150


def test_the_table_of_noise_is_the_choices_of_the_option():
    assert {*corruptions.NOISE, "none"} == set(OPTIONS["noise"].metadata["option"].choices)


def test_swapped_tokens_are_others_of_the_batch_and_padding_stays():
    torch.manual_seed(0)
    tokens = torch.randint(3, 9, (400, 10))
    tokens[:, 7:] = 0
    found = corruptions.swapped(tokens, 0.5)
    assert (found[:, 7:] == 0).all()
    assert (found[:, :7] >= 3).all()
    # A sixth of those that are replaced are replaced by what they were.
    changed = (found != tokens)[:, :7].double().mean().item()
    assert changed == pytest.approx(0.5 * 5 / 6, abs=0.03)
    assert corruptions.swapped(tokens, 0.0).equal(tokens)
