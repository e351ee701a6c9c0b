"""HEIC and other HEIF files, as phones write them; read if the extra `heif` is installed."""

import importlib.util
import io

from PIL import Image

from aectl.config.decoding import Decoding, Remark
from aectl.errors import ImageError

ENDINGS = (".heic", ".heif", ".hif")

BRANDS = frozenset(
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"]
)
"""Brands of HEIF files (ISO/IEC 23008-12, section 10)."""

AVIF = frozenset([b"avif", b"avis"])
"""Brands of files of the same structure that Pillow itself reads."""


def is_installed() -> bool:
    """Whether the extra `heif` is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def is_heif(content: bytes) -> bool:
    """Whether the content of a file is HEIF."""
    if content[4:8] != b"ftyp":
        return False
    size = min(int.from_bytes(content[:4]), 1024)
    brands = {content[at : at + 4] for at in (8, *range(16, size, 4))}
    return bool(brands & BRANDS) and not brands & AVIF


def read(content: bytes, decoding: Decoding) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The upright image, 8 bits per channel, and the remarks on it.

    Raises ImageError if the extra is not installed, or the image is too large.
    """
    try:
        import pillow_heif
    except ImportError:
        raise ImageError("is HEIC; to read it: pip install 'aectl[heif]'") from None
    file = pillow_heif.open_heif(io.BytesIO(content))
    width, height = file.size
    if width * height > decoding.max_pixels:
        raise ImageError(decoding.too_large)
    return file.to_pillow(), (Remark.FRAMES,) if len(file) > 1 else ()
