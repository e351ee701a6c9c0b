"""The options of decoding an image file, and the remarks returned with its pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MAX_PIXELS = 89_478_485
"""The limit above which Pillow, too, treats an image as an attack on memory."""

LARGEST_FILE = 1 << 30
"""Bytes of a file; as many as `MAX_PIXELS` need."""

BYTES_OF_PIXEL = 12
"""Maximum bytes of a file per allowed pixel: three colours of 32 bits."""

REFUSE, KEEP = "refuse", "keep"
TRUNCATED = (REFUSE, KEEP)
"""The choices of `--truncated`."""


@dataclass(frozen=True)
class Decoding:
    """Options for decoding image files, apart from the shape.

    `value_range`: the values of black and white in a file; None: those of its format.
    `max_pixels`: larger images are refused. `truncated`: whether a truncated JPEG is refused, or
    its readable part is used.
    """

    value_range: tuple[float, float] | None = None
    max_pixels: int = MAX_PIXELS
    truncated: str = REFUSE

    @property
    def largest_file(self) -> int:
        """Maximum size in bytes of an image file that is read into memory."""
        return max(LARGEST_FILE, BYTES_OF_PIXEL * self.max_pixels)

    def file_too_large(self, size: int | None) -> str:
        """The reason for refusing a file of more than `largest_file` bytes; `size`: its bytes, None
        where a server does not state them."""
        if size is None:
            return (
                f"has more than {self.largest_file:,} bytes, and the server does not say how many"
            )
        enough = -(-size // BYTES_OF_PIXEL)
        return f"has more than {self.largest_file:,} bytes (--max-pixels {enough} allows it)"

    @property
    def too_large(self) -> str:
        """The reason for refusing an image of more than `max_pixels`."""
        return f"has more than {self.max_pixels:,} pixels (--max-pixels N allows it)"


USUAL_DECODING = Decoding()


class Remark(StrEnum):
    """A remark on an image that was read; the value is the text of the notice."""

    CHANGED = "changed since their rows were written, which are kept (--overwrite writes all again)"
    CHANNELS = "channels of unknown meaning were ignored"
    DARK = (
        "no value is above a quarter of 65,535, which was taken as white"
        " (train with --value-range LOW,HIGH if white is another value)"
    )
    PAGES = "only the first page was read"
    FRAMES = "only the first frame was read"
    OWN = "written by aectl"
    TRUNCATED = "truncated; only the readable part was used"


OnRemark = Callable[[str, Remark], None]
"""Called with the path of an image and a remark on it."""
