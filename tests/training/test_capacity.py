"""What does not fit into memory is refused at once, with the options that would fit."""

import itertools
import re

import numpy as np
import pytest
import torch
from PIL import Image
from training.test_scale import PHOTO, images

from aectl.errors import ConfigError
from aectl.training.capacity import advice, explained, in_words

CPU = torch.device("cpu")
TOO_LARGE = {
    "conv": ("--model", "conv-autoencoder", "--bottleneck", "vector", "--size", "4096x4096"),
    "dense": ("--size", "2000x2000"),
    "wide": ("--size", "64x64", "--hidden", "1000000"),
    "classifier": ("--model", "classifier", "--size", "4096x4096", "--hidden", "1000000"),
}


@pytest.mark.parametrize("options", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_training_that_no_memory_holds_is_refused_in_two_lines(aectl, options):
    done = aectl("train", "--dataset", "digits", *options)
    assert done.status == 2
    first, second = done.err.splitlines()
    assert re.search(r"weights, and its training needs [\d,.]+ GiB of memory; cpu has", first)
    assert re.fullmatch(r"((--\S+ \S+ ?)+(?<! )(, | or )?)+ fits?", second)


def pairs(options):
    """The values of options by their names."""
    return dict(zip(options[::2], options[1::2], strict=True))


NO_MORE_THAN_HEADERS = {
    "map": ("--model", "conv-autoencoder", "--size", "4096x4096", "--crop", "4096x4096"),
    "vector": ("--model", "conv-autoencoder", "--bottleneck", "vector", "--size", "4096x4096"),
    "winners": ("--model", "conv-wta-autoencoder", "--size", "4096x4096"),
    "dense": ("--model", "autoencoder", "--size", "4096x4096"),
    "wide": ("--size", "64x64", "--hidden", "1000000"),
    "wide and large": ("--size", "4096x4096", "--hidden", "1000000,30"),
}


@pytest.mark.parametrize("options", NO_MORE_THAN_HEADERS.values(), ids=NO_MORE_THAN_HEADERS)
def test_every_option_that_the_message_names_is_accepted(aectl, tmp_path, options):
    """The images, which have only headers, are found to be broken after the check."""
    for number in range(250):
        (tmp_path / f"{number}.pgm").write_bytes(b"P5 64 64 255\n")
    refused = aectl("train", "--dataset", tmp_path, *options).err.splitlines()
    assert "of memory; cpu has" in refused[-2]
    for words in re.split(", | or ", refused[-1].rsplit(maxsplit=1)[0]):
        changed = {**pairs(options), **pairs(words.split())}
        done = aectl("train", "--dataset", tmp_path, *itertools.chain(*changed.items()))
        assert done.status == 2
        assert "of memory; cpu has" not in done.err
        assert "none of the 250 images" in done.err


def test_it_is_refused_before_any_image_of_a_folder_is_decoded(aectl, tmp_path):
    """Of the two files, none is an image inside; both have its header."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.pgm").write_bytes(b"P5 64 64 255\n")
    done = aectl("train", "--dataset", folder, "--hidden", "1000000", "--size", "512x512")
    assert done.status == 2
    assert "of memory; cpu has" in done.err
    assert "cannot be read" not in done.err


def test_images_in_colour_are_counted_with_three_channels_before_they_are_decoded(aectl, tmp_path):
    """What would fit in grey is not named: 64x64 pixels once and thrice are read and written."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "grey.pgm").write_bytes(b"P5 64 64 255\n")
    (folder / "colour.ppm").write_bytes(b"P6 64 64 255\n")
    done = aectl("train", "--dataset", folder, "--hidden", "1000000", "--size", "64x64")
    weights = 2 * 3 * 64 * 64 * 1_000_000 + 1_000_000 + 3 * 64 * 64
    assert f" has {weights:,} weights, " in done.err
    assert "--channels 1" not in done.err


def test_what_large_images_take_is_told_before_they_are_decoded(aectl, tmp_path):
    """The images have only headers: after the check, they are found to be broken."""
    for number in range(5):
        (tmp_path / f"{number}.pgm").write_bytes(b"P5 64 64 255\n")
    form = ("--model", "conv-autoencoder", "--hidden", "4,4", "--size", "4096x4096")
    done = aectl("train", "--dataset", tmp_path, *form)
    assert done.status == 2
    assert re.search(r"weights, about .*\n(.*\n)*.*none of the 5 images", done.err)


def test_what_large_images_take_is_told_once_and_their_middle_is_reported(aectl, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(5):
        image = Image.linear_gradient("L").rotate(10 * number)
        image.save(tmp_path / "in" / f"{number}.png")
    form = ("--model", "conv-autoencoder", "--hidden", "4,4", "--size", "2048x2048")
    done = aectl("train", "--dataset", tmp_path / "in", *form, "--epochs", "1", "--out", "run")
    assert done.status == 0
    assert len(re.findall(r"\d weights, about", done.err)) == 1
    page = (tmp_path / "run" / "report.html").read_text()
    assert "of each the middle 256x256 pixels" in page


def test_the_size_is_told_before_training(aectl):
    done = aectl("train", "--dataset", "digits", "--hidden", "8", "--epochs", "1")
    assert done.status == 0
    told = next(line for line in done.err.splitlines() if " weights, " in line)
    assert re.fullmatch(r"1,096 weights, about \d+ MiB of memory to train", told)


FAILING = {
    "torch": lambda: torch.empty(1 << 60),
    "numpy": lambda: np.empty(1 << 55),
    "python": lambda: bytearray(1 << 60),
}


@pytest.mark.parametrize("fail", FAILING.values(), ids=FAILING)
def test_where_memory_runs_out_the_message_names_what_needs_less(fail):
    sketch = images(PHOTO, hidden=(2000,))
    with pytest.raises(ConfigError) as raised, explained(sketch):
        fail()
    said = str(raised.value)
    assert said.startswith("memory ran out")
    assert re.search(r"--size \d+x\d+, --hidden \d+ or --channels 1 fit, in half of that$", said)


def test_other_errors_stay():
    with pytest.raises(RuntimeError, match="shapes"), explained(images()):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_where_nothing_smaller_fits_that_is_said():
    assert advice(images(), 10).startswith("no smaller value of a single option fits")


@pytest.mark.parametrize(
    ("size", "words"), [(1, "1 MiB"), (5 * 2**20, "5 MiB"), (3 * 2**30, "3.0 GiB")]
)
def test_bytes_are_told_in_a_unit_that_suits_them(size, words):
    assert in_words(size) == words
