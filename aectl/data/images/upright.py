"""Images as they are shown: upright, in grey or RGB of 8 bits, transparency laid over white."""

from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image

from aectl.config.decoding import Decoding
from aectl.data.images.levels import Levels

STRIP = 1 << 22
"""Number of pixels that are converted at a time."""

BACKGROUND = (255, 255, 255)
"""The colour behind transparent pixels."""

EXIF = frozenset(["exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"])
"""Keys under which Pillow keeps EXIF data, or XMP instead."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns an image upright, by its EXIF orientation."""


def opaque(image: Image.Image, decoding: Decoding) -> Image.Image:
    """Converts the first frame to 8-bit grey or RGB without transparency."""
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        levels = Levels(values.dtype.kind, 8 * values.itemsize, decoding.value_range)
        return Image.fromarray(levels(values))
    grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        image = _by_strips(image, "RGB", _over_white)
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _by_strips(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Converts an image some rows at a time; at once, it would need several times its memory."""
    rows = max(1, STRIP // image.width)
    if rows >= image.height:
        return convert(image)
    made = Image.new(mode, image.size)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        made.paste(convert(strip), (0, top))
    return made


def _over_white(image: Image.Image) -> Image.Image:
    below = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")


def turned(described: Image.Image, pixels: Image.Image) -> Image.Image:
    """Rotates `pixels` upright by the EXIF orientation of the image `described`."""
    turn = TURNS.get(orientation_of(described))
    return pixels if turn is None else pixels.transpose(turn)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) if it is missing or unreadable."""
    if not EXIF.intersection(image.info):
        return 1
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return orientation if orientation in TURNS else 1
