"""The picture of reconstructions: which images stand where, with which captions."""

from types import SimpleNamespace

import numpy as np
import pytest

from aectl.outputs import pictures
from aectl.outputs.reconstructions import TITLE, Reconstructions


def result(first, count, originals=True):
    """Images of one grey level each, and reconstructions that are 0.1 brighter."""
    levels = np.arange(first, first + count, dtype=np.uint8) * 10
    images = np.broadcast_to(levels[:, None, None, None], (count, 1, 4, 4)).copy()
    return SimpleNamespace(
        paths=[f"album/{number}.png" for number in range(first, first + count)],
        labels=[
            None if number % 2 else f"class {number}" for number in range(first, first + count)
        ],
        reconstruction=(images / 255 + 0.1).astype(np.float32),
        originals=images if originals else None,
    )


def drawn(results, most=5, **options):
    shown = Reconstructions(most)
    for one in results:
        shown.add(one)
    return [np.asarray(picture) for picture in shown.drawn(**options)]


def levels(first, last):
    return result(first, last - first)


NAMES = ["class 0", "1.png", "class 2", "3.png", "class 4"]
"""The label where there is one, else the end of the path that tells images apart."""


def test_the_first_images_stand_with_their_names_and_errors():
    (found,) = drawn([result(0, 2), result(2, 2), result(4, 9), result(13, 2)])
    captions = [f"{name}\n0.01" for name in NAMES]
    whole = levels(0, 5)
    wanted = pictures.reconstruction_grid(whole.originals, whole.reconstruction, captions, TITLE)
    assert np.array_equal(found, np.asarray(wanted))


@pytest.mark.parametrize("results", [[], [result(0, 0)]])
def test_without_images_there_is_no_picture(results):
    assert drawn(results) == []


def test_separate_pictures_are_of_the_inputs_and_of_the_outputs():
    inputs, outputs = drawn([result(0, 5)], separate=True)
    whole = levels(0, 5)
    made = np.round(whole.reconstruction * 255).astype(np.uint8)
    captions = [f"{name}\n0.01" for name in NAMES]
    assert np.array_equal(inputs, np.asarray(pictures.image_grid(whole.originals, NAMES)))
    assert np.array_equal(outputs, np.asarray(pictures.image_grid(made, captions)))


@pytest.mark.parametrize("separate", [False, True])
def test_images_of_codes_have_no_originals(separate):
    (found,) = drawn([result(0, 5, originals=False)], separate=separate)
    made = np.round(levels(0, 5).reconstruction * 255).astype(np.uint8)
    assert np.array_equal(found, np.asarray(pictures.image_grid(made, NAMES)))
