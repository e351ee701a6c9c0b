"""Grids of pictures: which pixel stands where."""

import numpy as np
import pytest
from PIL import Image

from aectl.errors import OutputError
from aectl.outputs.pictures import filter_grid, reconstruction_grid, save_png

PAPER = 255


def box_of(sheet, value):
    """(top, left, bottom, right) of the pixels that have a value."""
    rows, columns = np.nonzero(sheet == value)
    assert len(rows), f"no pixel is {value}"
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def flat_images(values, side=8, channels=1):
    values = np.asarray(values).reshape(-1, 1, 1, 1)
    return np.broadcast_to(values, (len(values), channels, side, side)).copy()


def pair_grid(count, side=8):
    """A grid whose originals are grey 2, 4, ... and their reconstructions 3, 5, ..."""
    originals = np.arange(1, count + 1) * 2
    sheet = reconstruction_grid(
        flat_images(originals, side).astype(np.uint8), flat_images((originals + 1) / 255, side)
    )
    return originals, np.asarray(sheet)


@pytest.mark.parametrize("count", [1, 3, 10, 11, 25])
def test_each_original_stands_right_above_its_reconstruction(count):
    originals, sheet = pair_grid(count)
    for value in originals:
        top, left, bottom, right = box_of(sheet, value)
        below_top, below_left, below_bottom, below_right = box_of(sheet, value + 1)
        assert (below_left, below_right) == (left, right)
        assert below_bottom - below_top == bottom - top
        assert bottom < below_top < bottom + (bottom - top) / 2
        assert (sheet[bottom:below_top, left:right] == PAPER).all()


@pytest.mark.parametrize("count", [1, 3, 10, 11, 25])
def test_originals_follow_each_other_as_text_does(count):
    originals, sheet = pair_grid(count)
    assert sorted(originals, key=lambda value: box_of(sheet, value)[:2]) == originals.tolist()


@pytest.mark.parametrize("count", [1, 12, 40])
def test_every_image_is_drawn_once_and_the_rest_is_paper(count):
    _, sheet = pair_grid(count)
    top, left, bottom, right = box_of(sheet, 2)
    area = (bottom - top) * (right - left)
    drawn = {value: np.count_nonzero(sheet == value) for value in np.unique(sheet)}
    paper = drawn.pop(PAPER)
    assert drawn == dict.fromkeys(range(2, 2 * count + 2), area)
    assert paper == sheet.size - 2 * count * area
    assert (sheet[0] == PAPER).all()
    assert (sheet[:, -1] == PAPER).all()


@pytest.mark.parametrize(("side", "scale"), [(8, 8), (28, 2), (32, 2), (64, 1), (100, 1)])
def test_images_are_enlarged_by_whole_pixels(side, scale):
    original = np.random.default_rng(0).integers(0, 255, (1, 1, side, side), dtype=np.uint8)
    sheet = np.asarray(reconstruction_grid(original, 1 - original / 255))
    rows, columns = np.nonzero(sheet != PAPER)
    top, left = rows.min(), columns.min()
    shown = sheet[top : top + side * scale, left : left + side * scale]
    np.testing.assert_array_equal(shown, np.kron(original[0, 0], np.ones((scale, scale))))


def test_images_that_are_not_square_keep_their_proportions():
    originals = np.full((2, 1, 4, 16), 10, np.uint8)
    sheet = np.asarray(reconstruction_grid(originals, np.full((2, 1, 4, 16), 20 / 255)))
    top, left, bottom, right = box_of(sheet, 20)
    pieces = np.flatnonzero(np.diff((sheet[top] == 20).astype(int)) == 1)
    assert len(pieces) == 2
    width = (sheet[top, left:right] == 20).sum() / 2
    assert width == 4 * (bottom - top)


def test_colours_stay_in_their_channels():
    originals = flat_images([7], channels=3).astype(np.uint8)
    originals[0, 1], originals[0, 2] = 90, 200
    reconstructions = originals[:, ::-1] / 255
    sheet = reconstruction_grid(originals, reconstructions)
    assert sheet.mode == "RGB"
    pixels = np.asarray(sheet).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    assert colours.tolist() == [[7, 90, 200], [200, 90, 7], [PAPER] * 3]
    assert counts[0] == counts[1]


def test_grey_images_give_a_grey_picture():
    assert reconstruction_grid(*[flat_images([0]).astype(np.uint8)] * 2).mode == "L"


def test_what_lies_outside_the_range_is_cut_off():
    reconstruction = np.array([[-3.0, -0.001, 0.0, 0.2, 0.5, 1.0, 1.001, 9.0]])
    rows = np.tile(reconstruction, (8, 1))[None, None]
    sheet = np.asarray(reconstruction_grid(flat_images([100]).astype(np.uint8), rows))
    _, left, bottom, right = box_of(sheet, 100)
    top = box_of(sheet, 51)[0]
    assert top > bottom
    shown = sheet[top, left : right : (right - left) // 8]
    assert shown.tolist() == [0, 0, 0, 51, 128, 255, 255, 255]


def test_zero_in_a_filter_is_mid_grey_and_its_extremes_black_or_white():
    filters = np.zeros((1, 1, 4, 4), np.float32)
    filters[0, 0, 1, 1], filters[0, 0, 2, 2], filters[0, 0, 3, 3] = 0.02, -0.02, 0.01
    sheet = np.asarray(filter_grid(filters))
    top, left, bottom, right = box_of(sheet, 128)
    scale = (bottom - top) // 4
    shown = sheet[top:bottom:scale, left:right:scale]
    wanted = np.full((4, 4), 128)
    wanted[1, 1], wanted[2, 2], wanted[3, 3] = 255, 0, 191
    np.testing.assert_array_equal(shown, wanted)


def test_each_filter_has_a_range_of_its_own():
    weights = np.random.default_rng(0).normal(size=(1, 3, 5, 5))
    one = np.asarray(filter_grid(weights)).astype(int)
    two = np.asarray(filter_grid(np.concatenate([1e-6 * weights, 1e6 * weights]))).astype(int)
    inner = one[(one != PAPER).any(2)]
    np.testing.assert_array_equal(two[(two != PAPER).any(2)].sum(), 2 * inner.sum())


def test_a_filter_of_zeros_is_mid_grey_and_divides_by_nothing():
    with np.errstate(all="raise"):
        sheet = np.asarray(filter_grid(np.zeros((2, 1, 4, 4), np.float32)))
    assert set(np.unique(sheet)) == {128, PAPER}


def test_dead_units_are_crossed_out_and_the_others_left_alone():
    filters = np.random.default_rng(0).normal(size=(4, 1, 6, 6))
    plain = np.asarray(filter_grid(filters)).astype(int)
    marked = np.asarray(filter_grid(filters, np.array([False, True, False, True]))).astype(int)
    middle = plain.shape[1] // 2
    np.testing.assert_array_equal(marked[:, :middle], plain[:, :middle])
    right = marked[:, middle:]
    tile = np.unique(np.nonzero(right != PAPER)[0]), np.unique(np.nonzero(right != PAPER)[1])
    assert (right[np.ix_(*tile)] >= 96).all()
    side, scale = len(tile[1]), len(tile[1]) // 6
    shown = right[np.ix_(tile[0][:side:scale], tile[1][::scale])]
    assert (np.diag(shown) == 96).all()
    assert (np.diag(shown[:, ::-1]) == 96).all()
    assert (shown[~np.eye(6, dtype=bool) & ~np.eye(6, dtype=bool)[::-1]] >= 189).all()


@pytest.mark.parametrize(("units", "shown"), [(1, 1), (7, 7), (400, 400), (401, 400), (1000, 400)])
def test_at_most_four_hundred_filters_are_shown(units, shown):
    one = np.count_nonzero(np.asarray(filter_grid(np.zeros((1, 1, 2, 2)))) == 128)
    sheet = np.asarray(filter_grid(np.zeros((units, 1, 2, 2))))
    assert np.count_nonzero(sheet == 128) == shown * one


def test_a_picture_is_saved_as_png(tmp_path):
    picture = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    save_png(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as read:
        assert read.format == "PNG"
        np.testing.assert_array_equal(np.asarray(read), np.asarray(picture))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_picture_that_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere/a\.png"):
        save_png(tmp_path / "nowhere" / "a.png", Image.new("L", (2, 2)))
