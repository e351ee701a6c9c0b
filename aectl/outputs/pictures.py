"""Grids of small pictures: originals above reconstructions, filters, images decoded from codes."""

import math
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from aectl.data.images import png
from aectl.data.images.pixels import shrunk, to_bytes, to_pil
from aectl.files import replacing

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

PAPER, INK = 255, "#464646"
WANTED_SIDE, WANTED_FILTER = 64, 40
LARGEST_SIDE = 256
MOST_PIXELS = 24_000_000
"""Maximum number of pixels in all tiles of a picture."""

ASPECT = 4 / 3
"""Approximate ratio of width to height of a picture."""

MOST_FILTERS = 400
MARK = 96
SPACE, FILTER_SPACE, PAIR_SPACE = 8, 3, 3
TEXT_SIZE, LINE = 11, 14
LEAST_CAPTION, LARGEST_CAPTION = 56, 112
"""Minimum and maximum width of a caption in pixels; longer captions are broken into lines."""

MOST_LINES = 3


def save_png(path: Path, picture: Image.Image) -> None:
    """Writes a PNG file, marked as written by aectl. Raises OutputError.

    Its compression by runs of equal bytes takes photographs to the usual size in a third of the
    time.
    """
    with replacing(path) as temporary:
        picture.save(temporary, format="png", compress_type=Image.RLE, pnginfo=png.mark())


def reconstruction_grid(
    originals: NDArray[np.uint8],
    reconstructions: NDArray[np.floating],
    captions: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """Draws rows of originals, each with its reconstruction and a caption below.

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
    """Draws images, (n, channels, height, width), 0 to 255, in rows, each with its caption."""
    return _sheet(_for_display(images, len(images)), captions, title, columns)


def filter_grid(
    filters: NDArray[np.floating], dead: NDArray[np.bool_] | None = None, title: str = ""
) -> Image.Image:
    """Draws one tile per hidden unit, at most 400; a value of 0 is mid-grey.

    filters: (units, channels, height, width). Each filter is scaled to the full range separately;
    those of `dead` units, (units,), are crossed out.
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
    """Scales images for a picture of `tiles`: enlarges them by a whole number to about the `wanted`
    width, or reduces them if they are large or many."""
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
    """Draws tiles, (n, channels, height, width), in rows, each above its caption."""
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
        draw.text((space, space + number * (LINE + 2)), line, INK, font())
    for place in range(count):
        row, column = divmod(place, columns)
        x = space + column * (wide + space)
        y = top + space + row * (height + below + space)
        sheet.paste(to_pil(tiles[place]), (x + (wide - width) // 2, y))
        for number, line in enumerate(said[place] if said else ()):
            middle = x + wide / 2, y + height + 1 + number * LINE
            draw.text(middle, line, INK, font(), anchor="ma")
    return sheet


def _columns(count: int, width: int, height: int) -> int:
    """The number of columns for about the wanted aspect ratio and full rows."""
    columns = min(count, math.ceil(math.sqrt(count * ASPECT * height / width)))
    return math.ceil(count / math.ceil(count / columns))


@cache
def font(size: int = TEXT_SIZE) -> "FreeTypeFont":
    """DejaVu Sans, which is installed with matplotlib and covers most scripts; the font that Pillow
    has lacks accents, Greek and Cyrillic letters, which names of files have.

    matplotlib itself, which takes a third of a second, is not loaded.
    """
    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    file = Path(found.origin).with_name("mpl-data") / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), size)


def _length(caption: str) -> int:
    """The width in pixels of the longest line of a caption."""
    return max(math.ceil(font().getlength(line)) for line in caption.split("\n"))


def _caption(caption: str, width: int) -> list[str]:
    """Breaks a caption into lines of at most `width` pixels; shortens what does not fit."""
    return [piece for line in caption.split("\n") for piece in _broken(line, width)]


def _broken(line: str, width: int) -> list[str]:
    """Breaks a line into at most three of `width` pixels, if possible after punctuation."""
    pieces: list[str] = []
    while line and font().getlength(line) > width and len(pieces) < MOST_LINES - 1:
        fitting = next(n for n in range(len(line), 0, -1) if font().getlength(line[:n]) <= width)
        signs = [n for n in range(1, fitting + 1) if not line[n - 1].isalnum()]
        end = max((n for n in signs if n > fitting // 2), default=fitting)
        pieces.append(line[:end].rstrip())
        line = line[end:].lstrip()
    return [*pieces, _elided(line, width)]


def _elided(line: str, width: int) -> str:
    """Replaces the middle of a line by an ellipsis if it is wider than `width`."""
    for kept in range(len(line), 0, -1):
        shown = line if kept == len(line) else f"{line[: kept // 2]}…{line[-(kept - kept // 2) :]}"
        if font().getlength(shown) <= width:
            return shown
    return ""


def _wrapped(text: str, width: int) -> list[str]:
    """Breaks a text between words into lines of at most `width` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font().getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_elided(line, width) for line in lines]


def _crossed_out(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles, (n, channels, height, width), made pale and crossed out."""
    height, width = tiles.shape[2:]
    pale = (tiles // 4 + 3 * (PAPER // 4)).astype(np.uint8)
    for step in range(max(height, width)):
        row, column = step * height // max(height, width), step * width // max(height, width)
        pale[:, :, row, column] = pale[:, :, row, width - 1 - column] = MARK
    return pale
