"""The options of decoding an image file, and the remarks returned with its pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MAX_PIXELS = 89_478_485
"""The limit above which Pillow, too, treats an image as an attack on memory."""

REFUSE, KEEP = "refuse", "keep"
TRUNCATED = (REFUSE, KEEP)
"""The choices of `--truncated`."""


@dataclass(frozen=True)
class Decoding:
    """How image files are decoded, apart from the shape.

    `value_range`: the values in a file of black and of white; None: those of its format.
    `max_pixels`: larger images are refused. `truncated`: whether a truncated JPEG is refused, or
    read as far as it goes.
    """

    value_range: tuple[float, float] | None = None
    max_pixels: int = MAX_PIXELS
    truncated: str = REFUSE

    @property
    def too_large(self) -> str:
        """Why an image of more than `max_pixels` is refused."""
        return f"has more than {self.max_pixels:,} pixels (--max-pixels N allows it)"


USUAL_DECODING = Decoding()


class Remark(StrEnum):
    """A remark on an image that was read; the value is the text of the notice."""

    CHANNELS = "channels of unknown meaning were ignored"
    DARK = (
        "no value is above a quarter of 65,535, which was taken as white"
        " (train with --value-range LOW,HIGH if white is another value)"
    )
    PAGES = "only the first page was read"
    FRAMES = "only the first frame was read"
    TRUNCATED = "truncated; only the readable part was used"


OnRemark = Callable[[str, Remark], None]
"""Called with the path of an image and a remark on it."""
