"""Patches of photographs: where they come from, how they are whitened and scaled."""

import os

import numpy as np
import pytest
from PIL import Image

from aectl.data.images import patches
from aectl.errors import DataError, UnknownInputError


def refuse(path, reason):
    raise AssertionError(f"{path}: {reason}")


def saved(path, pixels):
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def scenes(tmp_path):
    """Three images with neighbours alike, as in nature; the last in colour."""
    chance = np.random.default_rng(0)
    for number, size in enumerate([(40, 60), (64, 64), (50, 30, 3)]):
        walk = chance.normal(size=size).cumsum(0).cumsum(1)
        span = walk.max() - walk.min()
        saved(tmp_path / f"{number}.png", 255 * (walk - walk.min()) / span)
    return tmp_path


def grey(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def test_raw_patches_are_cut_out_of_the_images_in_grey(scenes):
    found = patches.load(f"raw-patches:{scenes}", refuse, (6, 5), 50)
    assert found.images.shape == (50, 1, 6, 5)
    windows = [
        np.lib.stride_tricks.sliding_window_view(grey(path), (6, 5))
        for path in sorted(scenes.iterdir())
    ]
    sources = [
        [number for number, there in enumerate(windows) if (there == one[0]).all((2, 3)).any()]
        for one in found.images
    ]
    assert all(sources)
    assert {number for source in sources for number in source} == {0, 1, 2}


def test_every_place_of_an_image_is_as_likely(tmp_path):
    saved(tmp_path / "a.png", np.arange(20).reshape(4, 5))
    found = patches.load(f"raw-patches:{tmp_path}", refuse, (3, 3), 6000).images[:, 0, 0, 0]
    places, counts = np.unique(found, return_counts=True)
    assert places.tolist() == [0, 1, 2, 5, 6, 7]
    assert counts.min() > 850
    assert counts.max() < 1150


def test_the_splits_are_two_draws_each_always_the_same(scenes):
    drawn = [
        patches.load(f"patches:{scenes}", refuse, count=20, split=split).images
        for split in ("train", "train", "test")
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_whitening_multiplies_each_wave_by_the_filter_of_olshausen_and_field():
    rows, columns = np.mgrid[:32, :48]
    for down, across in [(4, 0), (0, 6), (8, 12), (16, 3), (0, 0)]:
        wave = np.cos(2 * np.pi * (down * rows / 32 + across * columns / 48))
        f = np.hypot(down / 32, across / 48)
        expected = f * np.exp(-((f / 0.4) ** 4)) * wave
        np.testing.assert_allclose(patches.whitened(wave), expected, atol=1e-12)


def test_whitening_flattens_a_spectrum_that_falls_as_one_over_f():
    chance = np.random.default_rng(0)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    f[0, 0] = np.inf
    natural = np.fft.ifft2(np.fft.fft2(chance.normal(size=(128, 128))) / f).real
    power = np.abs(np.fft.fft2(patches.whitened(natural))) ** 2
    low, high = power[(f > 0.02) & (f < 0.1)].mean(), power[(f > 0.1) & (f < 0.2)].mean()
    assert low == pytest.approx(high, rel=0.1)


def test_patches_are_centred_cut_at_three_deviations_and_scaled():
    given = np.random.default_rng(0).standard_cauchy((200, 4, 4)).clip(-50, 50) + 7
    scaled = patches.rescaled(given)
    assert (scaled.min(), scaled.max()) == (pytest.approx(0.1), pytest.approx(0.9))
    centred = given - given.mean((1, 2), keepdims=True)
    limit = 3 * centred.std()
    inside = np.abs(centred) < limit
    assert 0.9 < inside.mean() < 1
    np.testing.assert_allclose(scaled[inside], 0.5 + 0.4 * centred[inside] / limit)


def test_patches_without_any_contrast_are_mid_grey():
    assert (patches.rescaled(np.full((3, 2, 2), 5.0)) == 0.5).all()


def test_large_images_are_reduced_to_512_pixels_first(tmp_path):
    rows, columns = np.mgrid[:600, :1024]
    saved(tmp_path / "a.png", (rows // 2 + columns // 4) % 256)
    found = patches.load(f"raw-patches:{tmp_path}", refuse, (300, 512), 1)
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(image.resize((512, 300), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found.images[0, 0], expected)


def test_what_cannot_be_read_or_is_smaller_than_a_patch_is_named(scenes):
    (scenes / "bad.png").write_bytes(b"no image")
    saved(scenes / "small.png", np.zeros((7, 20)))
    told = {}
    found = patches.load(f"patches:{scenes}", told.__setitem__, count=5)
    assert len(found) == 5
    assert {os.path.basename(path) for path in told} == {"bad.png", "small.png"}
    assert told[str(scenes / "small.png")] == "has 7x20 pixels, fewer than a patch"


def test_a_folder_without_images_or_none_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no images in"):
        patches.load(f"patches:{tmp_path}", refuse)
    with pytest.raises(UnknownInputError, match="no folder"):
        patches.load(f"patches:{tmp_path}/none", refuse)
