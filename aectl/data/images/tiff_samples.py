"""The meaning of the values of a TIFF page: which are colours, and what is black and white."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.levels import CONVERT, Levels, Opacity
from aectl.errors import ImageError

if TYPE_CHECKING:
    from tifffile import TiffPage

COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4}
"""Samples of a colour, by PhotometricInterpretation: white is 0, black is 0, RGB, palette, CMYK."""

MIN_IS_WHITE, PALETTE, CMYK, YCBCR = 0, 3, 5, 6
ASSOCIATED, UNASSOCIATED = 1, 2
"""ExtraSamples of an alpha channel, with colours multiplied by it, and without."""

BLACK_ABOVE = 255
"""A palette without a larger entry has 8 bits, by writers that ignored that the format has 16."""


class Samples(NamedTuple):
    """The channels of a page: the number of colours, the index of alpha, whether the colours are
    multiplied by alpha, and the remarks on other channels."""

    colours: int
    alpha: int | None
    associated: bool
    remarks: tuple[Remark, ...]


def samples_of(page: "TiffPage") -> Samples:
    """The channels of a page. Raises ImageError if the file does not define their meaning."""
    count, colours = page.samplesperpixel, COLOURS.get(page.photometric)
    if 262 not in page.tags:
        raise ImageError("does not say what its values mean: it has no PhotometricInterpretation")
    if colours is None or (page.photometric == CMYK and page.tags.valueof(332, default=1) != 1):
        raise ImageError(
            f"has colours of a kind that is not read ({spelt_value(page.photometric)}): {CONVERT}"
        )
    if page.imagedepth > 1:
        raise ImageError("is a volume of several layers, not an image")
    extra = tuple(map(int, page.extrasamples)) + (0,) * (count - colours)
    extra = extra[: max(0, count - colours)]
    alpha = next((i for i, kind in enumerate(extra) if kind in (ASSOCIATED, UNASSOCIATED)), None)
    unknown = len(extra) - (alpha is not None)
    if count < colours or (colours == 1 and unknown > 1):
        raise ImageError(f"has {count} channels, and does not say which are colours: {CONVERT}")
    remarks = (Remark.CHANNELS,) if unknown else ()
    if alpha is None:
        return Samples(colours, None, False, remarks)
    return Samples(colours, colours + alpha, extra[alpha] == ASSOCIATED, remarks)


def spelt_value(value: object) -> str:
    """The name of a value of a tag, or its number."""
    return str(getattr(value, "name", value))


def levels_of(page: "TiffPage", decoding: Decoding) -> Levels:
    """The conversion of a page's colours to 8 bits. Raises ImageError."""
    return Levels(dtype_of(page).kind, page.bitspersample, decoding.value_range, _declared(page))


def dtype_of(page: "TiffPage") -> np.dtype[Any]:
    """The type of a page's values. Raises ImageError."""
    if page.dtype is None or not isinstance(page.bitspersample, int):
        raise ImageError(f"has values of a kind that is not read: {CONVERT}")
    return page.dtype


def _declared(page: "TiffPage") -> tuple[float, float] | None:
    """The values of black and white: SMinSampleValue and SMaxSampleValue, or MinSampleValue and
    MaxSampleValue. If only the maximum is given, black is 0.
    """
    for lowest, highest in ((340, 341), (280, 281)):
        if highest in page.tags:
            low = np.min(page.tags.valueof(lowest, default=0))
            return float(low), float(np.max(page.tags.valueof(highest)))
    return None


def opacity_of(page: "TiffPage") -> Opacity:
    """The conversion of an alpha channel to 8 bits. Raises ImageError."""
    return Opacity(dtype_of(page).kind, page.bitspersample)


def palette_of(page: "TiffPage") -> NDArray[np.uint8]:
    """The colours of a palette: (entries, 3)."""
    entries = page.colormap
    if (
        entries is None
        or dtype_of(page).kind not in "bu"
        or entries.shape != (3, 2**page.bitspersample)
    ):
        raise ImageError("is damaged: its palette is missing, or of another size than it says")
    return (entries if entries.max() <= BLACK_ABOVE else entries >> 8).astype(np.uint8).T
