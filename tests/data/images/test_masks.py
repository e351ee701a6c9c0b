"""Masks of defects, in the layout of MVTec AD."""

import numpy as np
import pytest
from PIL import Image

from aectl.data.images.masks import mask_of
from aectl.errors import DataError


@pytest.fixture
def layout(tmp_path):
    """Writes the mask of an image, (height, width), 0 to 255; returns the path of the image."""

    def write(name, grey=None):
        image = tmp_path / "test" / "crack" / f"{name}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        if grey is not None:
            file = tmp_path / "ground_truth" / "crack" / f"{name}_mask.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey).save(file)
        return image

    return write


def test_the_mask_of_a_defect_is_what_is_white_in_its_file(layout):
    grey = np.array([[0, 255, 128], [127, 3, 200]], np.uint8)
    found = mask_of(layout("a.b", grey), "crack", (2, 3))
    assert found.tolist() == [[False, True, True], [False, False, True]]


def test_a_mask_is_resized_as_the_images_are(layout):
    grey = np.zeros((64, 96), np.uint8)
    grey[16:40, 24:64] = 255
    found = mask_of(layout("a", grey), "crack", (8, 12))
    expected = np.zeros((8, 12), np.bool_)
    expected[2:5, 3:8] = True
    assert np.array_equal(found, expected)


def test_a_thin_defect_is_not_lost_in_a_small_mask(layout):
    grey = np.zeros((64, 64), np.uint8)
    grey[:, 33] = 255
    found = mask_of(layout("a", grey), "crack", (8, 8))
    assert found[:, 4].all()
    assert found.sum() == 8


def test_a_normal_image_has_an_empty_mask_and_a_defect_without_a_file_none(layout, monkeypatch):
    crack = layout("a")
    assert mask_of(crack, "crack", (3, 4)) is None
    good = crack.parent.parent / "good" / "a.png"
    assert mask_of(good, "good", (3, 4)).tolist() == [[False] * 4] * 3
    grey = np.full((2, 2), 255, np.uint8)
    layout("b", grey)
    monkeypatch.chdir(crack.parent)
    assert mask_of("b.png", "crack", (1, 1)).tolist() == [[True]]


def test_a_damaged_or_an_empty_mask_is_refused_by_name(layout):
    empty = layout("a", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"a_mask.png: nothing is marked"):
        mask_of(empty, "crack", (4, 4))
    damaged = layout("b", np.ones((4, 4), np.uint8))
    file = damaged.parents[2] / "ground_truth" / "crack" / "b_mask.png"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DataError, match=r"b_mask.png: is truncated"):
        mask_of(damaged, "crack", (4, 4))
