"""Grids of small pictures: originals above reconstructions, and what hidden units look for."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aectl.files import replacing

PAPER = 255
COLUMNS = 10
WANTED_SIDE = 64
MOST_FILTERS = 400
MARK = 96


def save_png(path: Path, picture: Image.Image) -> None:
    """Writes a PNG file. Raises OutputError."""
    with replacing(path) as temporary:
        picture.save(temporary, format="png")


def reconstruction_grid(
    originals: NDArray[np.uint8], reconstructions: NDArray[np.floating]
) -> Image.Image:
    """Rows of originals, and right under each row its reconstructions.

    originals: (n, channels, height, width), 0 to 255; reconstructions: the same shape, 0 to 1.
    """
    pairs = zip(originals, to_bytes(reconstructions), strict=True)
    tiles = [np.concatenate([above, _gap(above, 1), below], axis=1) for above, below in pairs]
    return grid(tiles, columns=min(COLUMNS, len(tiles)), side=originals.shape[-1])


def filter_grid(
    filters: NDArray[np.floating], dead: NDArray[np.bool_] | None = None
) -> Image.Image:
    """A tile a hidden unit, mid-grey where a pixel does not matter; at most 400 units.

    filters: (units, channels, height, width). Each is scaled to the full range on its own; those
    of units that are `dead`, (units,), are crossed out.
    """
    shown = filters[:MOST_FILTERS]
    largest = np.abs(shown).max(axis=(1, 2, 3), keepdims=True)
    scaled = 0.5 + 0.5 * shown / np.where(largest > 0, largest, 1)
    tiles = to_bytes(scaled)
    if dead is not None:
        tiles[dead[:MOST_FILTERS]] = _crossed_out(tiles[dead[:MOST_FILTERS]])
    columns = math.ceil(math.sqrt(len(shown)))
    return grid(list(tiles), columns=columns, side=shown.shape[-1], wanted=40)


def grid(
    tiles: Sequence[NDArray[np.uint8]], *, columns: int, side: int, wanted: int = WANTED_SIDE
) -> Image.Image:
    """Tiles (channels, height, width) of one shape, enlarged by whole pixels towards `wanted`.

    `side` is the width of an image in pixels, which decides how much it is enlarged.
    """
    scale = max(1, round(wanted / side))
    large = [tile.repeat(scale, axis=1).repeat(scale, axis=2) for tile in tiles]
    channels, height, width = large[0].shape
    space = max(4, scale * 3)
    rows = math.ceil(len(large) / columns)
    sheet = np.full(
        (channels, rows * (height + space) + space, columns * (width + space) + space),
        PAPER,
        np.uint8,
    )
    for number, tile in enumerate(large):
        row, column = divmod(number, columns)
        top, left = space + row * (height + space), space + column * (width + space)
        sheet[:, top : top + height, left : left + width] = tile
    return Image.fromarray(sheet[0] if channels == 1 else sheet.transpose(1, 2, 0))


def to_bytes(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Images in [0, 1] as 0 to 255; what lies beyond is cut off."""
    return (images.clip(0, 1) * 255).round().astype(np.uint8)


def _crossed_out(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles (n, channels, height, width), pale, and with a diagonal cross."""
    height, width = tiles.shape[2:]
    pale = (tiles // 4 + 3 * (PAPER // 4)).astype(np.uint8)
    for step in range(max(height, width)):
        row, column = step * height // max(height, width), step * width // max(height, width)
        pale[:, :, row, column] = pale[:, :, row, width - 1 - column] = MARK
    return pale


def _gap(tile: NDArray[np.uint8], rows: int) -> NDArray[np.uint8]:
    return np.full((tile.shape[0], rows, tile.shape[2]), PAPER, np.uint8)
