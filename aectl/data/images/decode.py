"""Decodes an image file to the uint8 array of the shape that a model reads."""

import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from aectl.config.decoding import USUAL_DECODING, Decoding, Remark
from aectl.config.shapes import Shape
from aectl.data.images import bmp, deep_jpeg, heif, jpeg, png, pnm, tiff
from aectl.data.images.pixels import Pixels, fit
from aectl.data.images.upright import opaque, orientation_of, turned
from aectl.errors import ImageError
from aectl.files import descriptor_of, opened

SUFFIXES = (
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm",
    ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Extensions of image files that are searched for in folders."""

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF")
"""Formats that Pillow may open; others, such as EPS, start programs or contain no photos."""

STARTS = re.compile(
    rb"GIF8[79]a|(?P<webp>RIFF.{4}WEBP)|.{4}ftypavi[fs]|BM.{4}\0{4}|P[1-6]\s", re.DOTALL
)
"""The first bytes of files that Pillow decodes if they are sound. Of damaged WebP files, its errors
do not say that; of others, they say that the format is unknown."""

GREY_BANDS = frozenset(("1", "L", "I", "F", "A", "a"))
"""Names that Pillow gives the bands of images without colour."""


class DecodedImage(NamedTuple):
    """Pixels, (channels, height, width), 0 to 255, and remarks on the image."""

    pixels: Pixels
    remarks: tuple[Remark, ...] = ()


def decode(path: str | Path, shape: Shape, decoding: Decoding = USUAL_DECODING) -> Pixels:
    """Decodes the image in a file, as `decode_bytes` does. Raises ImageError."""
    with unchecked_by_pillow():
        return decode_bytes(read(path, decoding), shape, decoding).pixels


def decode_bytes(content: bytes, shape: Shape, decoding: Decoding = USUAL_DECODING) -> DecodedImage:
    """Decodes the image in the content of a file.

    EXIF rotation is applied, transparency laid over white, 16 bits scaled to 8, palettes and CMYK
    converted; the first frame of an animation is used; the image is resized with antialiasing.
    A JPEG is decoded at the smallest of its scales (n/8) that still covers the shape.

    Raises ImageError, which says why the content is not a readable image.
    """
    try:
        image, remarks = _upright(content, decoding, shape)
        return DecodedImage(fit(image, shape), remarks)
    except Exception as error:
        raise _explained(error) from error


def read(path: str | Path, decoding: Decoding = USUAL_DECODING) -> bytes:
    """The content of a file. Raises ImageError, also for a pipe, which might never end."""
    try:
        descriptor, size = descriptor_of(path)
        try:
            if size > decoding.largest_file:
                raise ImageError(decoding.file_too_large(size))
            content = os.read(descriptor, size)
            while len(content) < size and (more := os.read(descriptor, size)):
                content += more
            return content
        finally:
            os.close(descriptor)
    except Exception as error:
        raise _explained(error) from error


def native_shape(path: str | Path, decoding: Decoding = USUAL_DECODING) -> Shape:
    """(channels, height, width) of the image in a file, channels 1 or 3. Raises ImageError."""
    content = read(path, decoding)
    try:
        with unchecked_by_pillow():
            image, _ = _upright(content, decoding)
            return 1 if image.mode == "L" else 3, image.height, image.width
    except Exception as error:
        raise _explained(error) from error


def shape_in_header(source: str | Path | bytes) -> Shape:
    """(channels, height, width) of the image in a file, or at the start of its content, after EXIF
    rotation, from its header alone: 3 channels if it may have colour.

    Raises ImageError.
    """
    try:
        with unchecked_by_pillow(), _stream(source) as file:
            image = _header(file)
            channels = 1 if GREY_BANDS.issuperset(image.getbands()) else 3
            turned = image.format != "TIFF" and orientation_of(image) >= 5
            height, width = image.size if turned else image.size[::-1]
            return channels, height, width
    except Exception as error:
        raise _explained(error) from error


def _header(file: BinaryIO) -> Image.Image:
    """The header of an image, also of a JPEG with other than 8 bits per sample, or whose height
    follows its first scan, which Pillow refuses.
    """
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(len(jpeg.START)) != jpeg.START:
            raise
        content = jpeg.START + file.read(USUAL_DECODING.largest_file)
        return Image.open(io.BytesIO(jpeg.with_bits(content, 8)), formats=["JPEG"])


def _stream(source: str | Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else opened(source)


def is_own(source: str | Path | bytes) -> bool:
    """Whether a file, or the start of its content, is that of a picture that aectl wrote."""
    try:
        with _stream(source) as file:
            return png.is_own(file.read(png.OWN_BYTES))
    except OSError:
        return False


@contextlib.contextmanager
def unchecked_by_pillow() -> Iterator[None]:
    """Turns off Pillow's warnings and its size limit, which this module replaces."""
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _explained(error: Exception) -> ImageError:
    """Converts any exception of decoding to an ImageError that a user can act on."""
    if isinstance(error, ImageError):
        return error
    if isinstance(error, UnidentifiedImageError):
        return ImageError("not an image in a supported format; if it is one, convert it to PNG")
    if isinstance(error, OSError) and error.strerror:
        return ImageError(error.strerror)
    return ImageError(" ".join(str(error).split()) or type(error).__name__)


def _opened(content: bytes, decoding: Decoding) -> Image.Image:
    """The image with its header read, and its pixels not yet decoded."""
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except OSError as error:
        start = STARTS.match(content)
        if start and (isinstance(error, UnidentifiedImageError) or start["webp"]):
            raise ImageError("is damaged or truncated") from error
        raise
    _refuse_too_large(image, decoding)
    return image


def _refuse_too_large(header: Image.Image, decoding: Decoding) -> None:
    if header.width * header.height > decoding.max_pixels:
        raise ImageError(decoding.too_large)


def _upright(
    content: bytes, decoding: Decoding, shape: Shape | None = None
) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The upright image in grey or RGB of 8 bits, and the remarks on it.

    A JPEG may be decoded at a reduced size, which still covers `shape`.
    """
    if not content:
        raise ImageError("is empty, of 0 bytes: copy it again, or delete it")
    if content.startswith(jpeg.START):
        return _of_jpeg(content, decoding, shape)
    if content.startswith(png.SIGNATURE):
        return _of_png(content, decoding)
    if heif.is_heif(content):
        image, remarks = heif.read(content, decoding)
        return opaque(image, decoding), remarks
    if tiff.is_tiff(content):
        image, remarks = tiff.read(content, decoding)
        return opaque(turned(image, image), decoding), remarks
    if pnm.is_deep(content):
        return pnm.read(content, decoding)
    if bmp.has_masks(content):
        return opaque(bmp.read(content, decoding), decoding), ()
    header = _opened(content, decoding)
    remarks = (Remark.FRAMES,) if _has_frames(header) else ()
    header.load()
    return opaque(turned(header, header), decoding), remarks


def _of_png(content: bytes, decoding: Decoding) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The upright image of a PNG in grey or RGB, and the remarks on it."""
    if (image := png.plain(content, decoding.max_pixels)) is not None:
        return image, ()
    own = (Remark.OWN,) if png.is_own(content) else ()
    content = png.sound(content)
    header = PngImageFile(io.BytesIO(content))
    _refuse_too_large(header, decoding)
    remarks = (Remark.FRAMES,) if _has_frames(header) else ()
    image, more = png.load(content, header, decoding)
    return opaque(turned(header, image), decoding), (*own, *remarks, *more)


def _has_frames(header: Image.Image) -> bool:
    """Whether an image is an animation."""
    if header.format not in ("GIF", "PNG", "WEBP", "AVIF"):
        return False
    try:
        return bool(header.is_animated)  # type: ignore[attr-defined]
    except Exception:  # the second frame is damaged; the first may be intact
        return True


def _of_jpeg(
    content: bytes, decoding: Decoding, shape: Shape | None = None
) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The upright image of a JPEG in grey or RGB, and the remarks on it.

    It is decoded at the smallest scale that covers `shape`, or at full size without one. A file
    with corrupt data is refused, because the decoder would continue with invented pixels. Further
    pictures in the file (MPO), such as previews, are ignored.
    """
    try:
        return _decoded_jpeg(content, decoding, shape), ()
    except ImageError:
        raise
    except Exception:  # perhaps because of flaws outside the image data
        found = jpeg.mended(content, decoding)
        remarks = (Remark.TRUNCATED,) if found.truncated else ()
        if found.bits != 8:
            image, more = deep_jpeg.read(found, decoding)
            return turned(_opened(found.content, decoding), image), (*remarks, *more)
        image = _decoded_jpeg(found.content, decoding, shape, strict=not found.truncated)
        return image, remarks


def _decoded_jpeg(
    content: bytes, decoding: Decoding, shape: Shape | None, strict: bool = True
) -> Image.Image:
    header = JpegImageFile(io.BytesIO(content))
    _refuse_too_large(header, decoding)
    if header.mode == "CMYK":
        jpeg.decode(content, "CMYK", strict=strict)
        header.load()
        return turned(header, header.convert("RGB"))
    channels, height, width = shape or (3, header.height, header.width)
    if shape and orientation_of(header) >= 5:  # rotated by 90 degrees
        height, width = width, height
    grey = channels == 1 or header.mode == "L"
    if not grey:
        across, down = jpeg.sampling(header.layer)
        width, height = width * across, height * down
    pixels = jpeg.decode(content, "GRAY" if grey else "RGB", height, width, strict)
    return turned(header, Image.fromarray(pixels[..., 0] if grey else pixels))
