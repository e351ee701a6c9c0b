"""The options of decoding an image file, and the remarks that come back with its pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MAX_PIXELS = 89_478_485
"""Pillow, too, takes an image of more pixels for an attack on the machine's memory."""

REFUSE, KEEP = "refuse", "keep"
TRUNCATED = (REFUSE, KEEP)
"""The choices of `--truncated`."""


@dataclass(frozen=True)
class Decoding:
    """How a file becomes pixels, beside their shape: the same way from the options to the workers.

    `value_range`: the values in a file that become black and white; None: those of its format.
    `max_pixels`: an image with more is refused. `truncated`: whether a JPEG that is cut short is
    refused, or kept with what there is of it.
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
    """Something that a user should know of an image that was read; the value is how it is said."""

    CHANNELS = "channels that the file does not explain were left aside"
    DARK = (
        "no value above a quarter of 65,535, which was taken for white"
        " (train with --value-range LOW,HIGH if another one is)"
    )
    PAGES = "only the first page was read"
    FRAMES = "only the first frame was read"
    TRUNCATED = "cut short, and kept with what there is"


OnRemark = Callable[[str, Remark], None]
"""Told the path of each image of which there is something to say, and what."""
