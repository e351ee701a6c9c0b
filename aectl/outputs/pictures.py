"""Grids of small pictures: originals above reconstructions, what hidden units look for, a walk."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from aectl.data.images import png
from aectl.data.images.decode import shrunk, to_bytes, to_pil
from aectl.files import replacing

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

PAPER, INK = 255, "#464646"
WANTED_SIDE, WANTED_FILTER = 64, 40
LARGEST_SIDE = 256
MOST_PIXELS = 24_000_000
"""Of all tiles of a picture together."""

ASPECT = 4 / 3
"""Width by height that a picture comes near to."""

MOST_FILTERS = 400
MARK = 96
SPACE, FILTER_SPACE, PAIR_SPACE = 8, 3, 3
TEXT_SIZE, LINE = 11, 14
LEAST_CAPTION, LARGEST_CAPTION = 56, 112
"""Pixels of width in which a caption finds room; a longer one has several lines."""

MOST_LINES = 3


def save_png(path: Path, picture: Image.Image) -> None:
    """Writes a PNG file that is marked as one of aectl. Raises OutputError."""
    with replacing(path) as temporary:
        picture.save(temporary, format="png", pnginfo=png.mark())


def reconstruction_grid(
    originals: NDArray[np.uint8],
    reconstructions: NDArray[np.floating],
    captions: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """Rows of originals, and right under each its reconstruction, with a caption a pair.

    originals: (n, channels, height, width), 0 to 255; reconstructions: the same shape, 0 to 1.
    """
    both = (originals, to_bytes(reconstructions))
    above, below = (_for_display(images, 2 * len(originals)) for images in both)
    gap = np.full((*above.shape[:2], PAIR_SPACE, above.shape[3]), PAPER, np.uint8)
    return _sheet(np.concatenate([above, gap, below], axis=2), captions, title)


def image_grid(
    images: NDArray[np.uint8],
    captions: Sequence[str] = (),
    title: str = "",
    columns: int | None = None,
) -> Image.Image:
    """Images (n, channels, height, width), 0 to 255, in rows, each with its caption."""
    return _sheet(_for_display(images, len(images)), captions, title, columns)


def filter_grid(
    filters: NDArray[np.floating], dead: NDArray[np.bool_] | None = None, title: str = ""
) -> Image.Image:
    """A tile a hidden unit, mid-grey where a pixel does not matter; at most 400 units.

    filters: (units, channels, height, width). Each is scaled to the full range on its own; those
    of units that are `dead`, (units,), are crossed out.
    """
    tiles = filter_tiles(filters[:MOST_FILTERS])
    if dead is not None:
        out = dead[: len(tiles)]
        tiles[out] = _crossed_out(tiles[out])
    columns = math.ceil(math.sqrt(len(tiles)))
    shown = _for_display(tiles, len(tiles), WANTED_FILTER)
    return _sheet(shown, (), title, columns, FILTER_SPACE)


def filter_tiles(filters: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Filters (units, channels, height, width) as tiles, each scaled to the full range."""
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    return to_bytes(0.5 + 0.5 * filters / np.where(largest > 0, largest, 1))


def errors(originals: NDArray[np.uint8], reconstructions: NDArray[np.floating]) -> list[str]:
    """The mean squared error of each reconstruction, (n, ...), in [0, 1], as a caption."""
    squares = (reconstructions.astype(np.float64) - originals / 255) ** 2
    return [f"{error:.3g}" for error in squares.mean((1, 2, 3))]


def _for_display(
    images: NDArray[np.uint8], tiles: int, wanted: int = WANTED_SIDE
) -> NDArray[np.uint8]:
    """Images for a picture of so many: enlarged by whole pixels towards the `wanted` width, or
    made smaller where they are large, or many."""
    height, width = images.shape[2:]
    most = min(LARGEST_SIDE, math.isqrt(MOST_PIXELS // tiles))
    times = min(max(1, round(wanted / width)), most // max(height, width))
    if times < 1:
        return shrunk(images, most)
    return images.repeat(times, axis=2).repeat(times, axis=3)


def _sheet(
    tiles: NDArray[np.uint8],
    captions: Sequence[str],
    title: str,
    columns: int | None = None,
    space: int = SPACE,
) -> Image.Image:
    """Tiles (n, channels, height, width) in rows on paper, each above its caption."""
    count, channels, height, width = tiles.shape
    longest = max(map(_length, captions), default=0)
    wide = max(width, min(max(longest, LEAST_CAPTION), LARGEST_CAPTION)) if captions else width
    said = [_caption(caption, wide + space - 2) for caption in captions]
    lines = max(map(len, said), default=0)
    below = lines * LINE + 2 if lines else 0
    columns = columns or _columns(count, wide + space, height + below + space)
    across = columns * (wide + space) + space
    heading = _wrapped(title, across - 2 * space) if title else []
    top = len(heading) * (LINE + 2) + (space if heading else 0)
    down = top + math.ceil(count / columns) * (height + below + space) + space
    sheet = Image.new("L" if channels == 1 else "RGB", (across, down), "white")
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        draw.text((space, space + number * (LINE + 2)), line, INK, _font())
    for place in range(count):
        row, column = divmod(place, columns)
        x = space + column * (wide + space)
        y = top + space + row * (height + below + space)
        sheet.paste(to_pil(tiles[place]), (x + (wide - width) // 2, y))
        for number, line in enumerate(said[place] if said else ()):
            middle = x + wide / 2, y + height + 1 + number * LINE
            draw.text(middle, line, INK, _font(), anchor="ma")
    return sheet


def _columns(count: int, width: int, height: int) -> int:
    """How many cells stand in a row, so that the picture has about its aspect and full rows."""
    columns = min(count, math.ceil(math.sqrt(count * ASPECT * height / width)))
    return math.ceil(count / math.ceil(count / columns))


@cache
def _font() -> "FreeTypeFont":
    """DejaVu Sans, which has letters for most scripts and comes with matplotlib."""
    import matplotlib

    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(file), TEXT_SIZE)


def _length(caption: str) -> int:
    """Pixels that the longest line of a caption takes."""
    return max(math.ceil(_font().getlength(line)) for line in caption.split("\n"))


def _caption(caption: str, width: int) -> list[str]:
    """The lines of a caption; one that is too long is broken, and loses its middle at last."""
    return [piece for line in caption.split("\n") for piece in _broken(line, width)]


def _broken(line: str, width: int) -> list[str]:
    """A line as a few that are no longer than `width`, broken at signs in it where it can be."""
    pieces: list[str] = []
    while line and _font().getlength(line) > width and len(pieces) < MOST_LINES - 1:
        fitting = next(n for n in range(len(line), 0, -1) if _font().getlength(line[:n]) <= width)
        signs = [n for n in range(1, fitting + 1) if not line[n - 1].isalnum()]
        end = max((n for n in signs if n > fitting // 2), default=fitting)
        pieces.append(line[:end].rstrip())
        line = line[end:].lstrip()
    return [*pieces, _elided(line, width)]


def _elided(line: str, width: int) -> str:
    """A line that is too long without its middle."""
    for kept in range(len(line), 0, -1):
        shown = line if kept == len(line) else f"{line[: kept // 2]}…{line[-(kept - kept // 2) :]}"
        if _font().getlength(shown) <= width:
            return shown
    return ""


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines that are no longer than `width`, where its words allow it."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font().getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_elided(line, width) for line in lines]


def _crossed_out(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles (n, channels, height, width), pale, and with a diagonal cross."""
    height, width = tiles.shape[2:]
    pale = (tiles // 4 + 3 * (PAPER // 4)).astype(np.uint8)
    for step in range(max(height, width)):
        row, column = step * height // max(height, width), step * width // max(height, width)
        pale[:, :, row, column] = pale[:, :, row, width - 1 - column] = MARK
    return pale
