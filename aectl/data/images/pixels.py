"""Images as arrays of pixels: resized, as bytes, and as Pillow has them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aectl.config.shapes import Shape

Pixels = NDArray[np.uint8]


def fit(image: Image.Image, shape: Shape) -> Pixels:
    """A grey or RGB image as (channels, height, width), 0 to 255, resized with antialiasing."""
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, channels)
    return pixels.transpose(2, 0, 1)


def fit_all(images: Pixels, shape: Shape) -> Pixels:
    """The images of a dataset, (n, channels, height, width), in another shape."""
    if images.shape[1:] == shape:
        return images
    return np.stack([fit(to_pil(pixels), shape) for pixels in images])


def shrunk(images: Pixels, side: int) -> Pixels:
    """Reduces images, (n, channels, height, width), to sides of at most `side` pixels."""
    channels, height, width = images.shape[1:]
    scale = min(1.0, side / max(height, width))
    return fit_all(images, (channels, max(1, round(height * scale)), max(1, round(width * scale))))


def to_bytes(images: NDArray[np.floating]) -> Pixels:
    """Converts images in [0, 1] to 0 to 255; other values are clipped."""
    cut = images.clip(0, 1)
    cut *= 255
    return np.round(cut, out=cut).astype(np.uint8)


def to_pil(pixels: Pixels | NDArray[np.uint16]) -> Image.Image:
    """Converts pixels, (channels, height, width), to a PIL image; those of 16 bits are grey."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
