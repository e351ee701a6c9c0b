"""Where patches lie, by counting them; and sizes that do not fit are refused."""

import pytest

from aectl.config.configuration import Config
from aectl.config.patching import Patching
from aectl.errors import ConfigError


def patching(sides=(6, 6), stride=1, threshold=0.25, pool="sum", grid=(2, 2)):
    return Patching(sides, stride, threshold, pool, grid)


@pytest.mark.parametrize("height", [6, 7, 9, 32])
@pytest.mark.parametrize(("side", "stride"), [(6, 1), (3, 2), (6, 4), (5, 7)])
def test_places_are_those_where_a_patch_fits(height, side, stride):
    rows = [top for top in range(0, height, stride) if top + side <= height]
    found = patching((side, 6), stride).places((3, height, 6))
    assert found == (len(rows), 1)


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 2), (27, 1)])
def test_every_place_lies_in_one_cell(grid):
    shape = (3, 32, 32)
    cells = patching(grid=grid).cells(shape)
    seen = [
        (row, column)
        for rows, columns in cells
        for row in range(27)[rows]
        for column in range(27)[columns]
    ]
    assert len(cells) == grid[0] * grid[1]
    assert sorted(seen) == [(row, column) for row in range(27) for column in range(27)]


@pytest.mark.parametrize("overlap", [0, 1, 40])
def test_cells_extend_into_their_neighbours_but_not_beyond_the_image(overlap):
    found = Patching((1, 1), 1, None, "max", (4, 3), overlap=overlap).cells((1, 8, 9))
    pairs = [
        ((2 * row, 2 * row + 2), (3 * column, 3 * column + 3))
        for row in range(4)
        for column in range(3)
    ]
    wanted = [
        (set(range(a - overlap, b + overlap)) & set(range(8)),
         set(range(c - overlap, d + overlap)) & set(range(9)))
        for (a, b), (c, d) in pairs
    ]  # fmt: skip
    assert [(set(range(8)[y]), set(range(9)[x])) for y, x in found] == wanted


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 2 * 2 * 2 * 1600), ({"threshold": None}, 2 * 2 * 1600),
        ({"pool": "none"}, 27 * 27 * 2 * 1600), ({"grid": (3, 1)}, 3 * 2 * 1600),
    ],
)  # fmt: skip
def test_features_are_counted_by_cells_signs_and_units(options, count):
    assert patching(**options).feature_count((3, 32, 32), 1600) == count


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"patch_size": 9}, "--patch-size 9x9 does not fit into images of 8x8"),
        ({"patch_size": "2x9"}, "--patch-size 2x9 does not fit into images of 8x8"),
        ({"grid": 4}, "--grid 4x4 has more cells than there are places of patches, 3x3"),
        ({"stride": 3, "grid": "1x2"}, "--grid 1x2 has more cells than there are places"),
    ],
)
def test_patches_that_do_not_fit_are_refused(options, reason):
    config = Config.from_options({"model": "patch-autoencoder", **options})
    with pytest.raises(ConfigError, match=reason):
        config.resolved((1, 8, 8), 64, 100)
