"""Damaged images of every format."""

import io
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import tifffile
from damage import DAMAGES
from imagecodecs import jpeg8_encode
from PIL import Image

from aectl.data.images.decode import SUFFIXES, decode

SHAPES = ((1, 28, 28), (3, 64, 48))
MODES = {".pbm": ("1",), ".pgm": ("L",), ".gif": ("P",), ".ppm": ("RGB",), ".pnm": ("RGB", "L"),
         ".png": ("L", "RGB", "RGBA", "P", "1", "I;16"), ".bmp": ("L", "RGB", "P"),
         ".tif": ("L", "RGB", "RGBA", "CMYK", "I;16", "F"), ".webp": ("RGB", "RGBA"),
         ".avif": ("RGB", "RGBA")}  # fmt: skip


TIFFS = (
    ("uint8", {"compression": "lzw", "predictor": 2}),
    ("uint16", {"photometric": "miniswhite", "compression": "zlib", "rowsperstrip": 3}),
    ("uint16", {"tile": (16, 16), "byteorder": ">", "compression": "zstd"}),
    ("float32", {"compression": "zlib", "predictor": 3, "bigtiff": True}),
    ("float64", {"compression": "lzma"}),
    ("uint8", {"compression": "packbits", "tile": (16, 16)}),
    ("uint8", {"compression": "jpeg"}),
    ("uint8 rgb", {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}),
    ("uint16 rgba", {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    ("uint8 stack", {"imagej": True}),
)
"""Kinds of values, and how tifffile writes them."""


@cache
def tiff(number: int, size: int) -> bytes:
    """A sound TIFF of the kind of this number."""
    kind, options = TIFFS[number]
    dtype, _, layout = kind.partition(" ")
    grey = np.add.outer(np.arange(size), np.arange(size + 3)) / (2.0 * size + 3)
    stacked = {"": grey, "rgb": np.stack([grey] * 3), "rgba": np.stack([grey] * 4, -1),
               "stack": np.stack([grey] * 2)}[layout]  # fmt: skip
    top = 1 if dtype.startswith("float") else np.iinfo(dtype).max
    content = io.BytesIO()
    tifffile.imwrite(content, (stacked * top).astype(dtype), **options)
    return content.getvalue()


DEEP = ({"bitspersample": 12}, {"bitspersample": 12, "lossless": True}, {"lossless": True})
"""How imagecodecs writes JPEGs that Pillow does not write: of 12 bits, and lossless ones."""


@cache
def deep_jpeg(number: int, size: int) -> bytes:
    """A sound JPEG of the kind of this number, grey or in colour."""
    options = DEEP[number % len(DEEP)]
    top = 4095 if "bitspersample" in options else 255
    grey = np.add.outer(np.arange(size), np.arange(size + 3)) / (2.0 * size + 3) * top
    pixels = np.stack([grey] * 3, -1) if number >= len(DEEP) else grey
    return bytes(jpeg8_encode(pixels.astype(np.uint16 if top > 255 else np.uint8), **options))


@cache
def written(suffix: str, mode: str, size: int) -> bytes:
    """A sound image: a gradient with some noise."""
    chance = np.random.default_rng(0)
    pixels = np.add.outer(np.arange(size), np.arange(size + 3)) % 256
    noisy = np.uint8((pixels[..., None] + chance.integers(0, 40, (*pixels.shape, 3))) % 256)
    image = Image.fromarray(noisy)
    if mode == "I;16":
        image = Image.fromarray(np.uint16(pixels * 257))
    elif mode == "F":
        image = Image.fromarray(np.float32(pixels / 300))
    else:
        image = image.convert(mode)
    content = io.BytesIO()
    kind = Image.registered_extensions()[suffix]
    image.save(content, kind, **({"progressive": size > 100} if kind == "JPEG" else {}))
    return content.getvalue()


def damaged_image(number: int) -> bytes:
    """The damaged image of this number."""
    chance = Random(number)
    suffix = SUFFIXES[number % len(SUFFIXES)]
    mode = chance.choice(MODES.get(suffix, ("L", "RGB", "CMYK") if "j" in suffix else ("RGB",)))
    size = chance.choice((8, 40, 120))
    content = written(suffix, mode, size)
    if suffix == ".tiff":
        content = tiff(chance.randrange(len(TIFFS)), size)
    elif suffix == ".jpe":
        content = deep_jpeg(chance.randrange(2 * len(DEEP)), size)
    for _ in range(chance.choice((1, 1, 2))):
        content = chance.choice(DAMAGES)(content, chance) or b"\0"
    return content


def read_image(path: Path) -> None:
    """Decodes it as every command does."""
    for shape in SHAPES:
        pixels = decode(path, shape)
        assert pixels.shape == shape
        assert pixels.dtype == np.uint8
