"""One image file, or one array, as the uint8 array of the shape that a model wants."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from aectl.errors import ImageError
from aectl.types import Shape

SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
     ".pbm", ".pgm", ".ppm", ".pnm", ".avif"]
)  # fmt: skip
"""The endings by which a folder's images are known."""

BACKGROUND = (255, 255, 255)
"""What shows through where an image is transparent."""

Pixels = NDArray[np.uint8]


def decode(path: str | Path, shape: Shape) -> Pixels:
    """The image in a file: (channels, height, width), 0 to 255.

    EXIF rotation is applied, transparency laid over white, 16 bits scaled to 8, palettes and CMYK
    converted; of an animation the first frame is taken; the image is resized with antialiasing.

    Raises ImageError, which says why the file is not a readable image.
    """
    with _explained(), Image.open(path) as image:
        return fit(_upright(image), shape)


def native_shape(path: str | Path) -> Shape:
    """(channels, height, width) of the image in a file, channels 1 or 3. Raises ImageError."""
    with _explained(), Image.open(path) as image:
        upright = _turned(image)
        return 3 if _is_colour(image) else 1, upright.height, upright.width


def has_colour(path: str | Path) -> bool:
    """Whether a file's header announces a colour image; a file that has none does not."""
    try:
        with _explained(), Image.open(path) as image:
            return _is_colour(image)
    except ImageError:
        return False


def fit(image: Image.Image, shape: Shape) -> Pixels:
    """A grey or RGB image as (channels, height, width), 0 to 255, resized with antialiasing."""
    channels, height, width = shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def fit_all(images: Pixels, shape: Shape) -> Pixels:
    """The images of a dataset, (n, channels, height, width), in another shape."""
    if images.shape[1:] == shape:
        return images
    return np.stack([fit(to_pil(pixels), shape) for pixels in images])


def to_pil(pixels: Pixels) -> Image.Image:
    """(channels, height, width) as a PIL image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Whatever goes wrong with an image in the block becomes an ImageError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except ImageError:
            raise
        except Exception as error:
            raise ImageError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _upright(image: Image.Image) -> Image.Image:
    """The first frame, turned as EXIF says, as 8-bit grey or RGB without transparency."""
    image = _turned(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bit(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(below, image).convert("RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def _is_colour(image: Image.Image) -> bool:
    return not (image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16"))


def _turned(image: Image.Image) -> Image.Image:
    """The image turned as EXIF says, or as it is where its EXIF cannot be read."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, or of numbers in [0, 1], scaled to 8 bits."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError("has pixels that are no numbers")
    if image.mode == "F":
        if low < 0 or high > 1:
            raise ImageError(f"has pixels from {low:g} to {high:g}; 0 to 1 can be read")
        scale = 255.0
    else:
        if low < 0 or high > 65535:
            raise ImageError(f"has pixels from {low:g} to {high:g}; 0 to 65535 can be read")
        scale = 255 / 65535
    return Image.fromarray((values * scale).round().astype(np.uint8))
