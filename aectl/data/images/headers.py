"""The shapes of images in files, from their headers alone."""

import contextlib
from collections.abc import Iterable, Sequence

from aectl.config.decoding import USUAL_DECODING
from aectl.config.shapes import Shape, Sides
from aectl.data.found import Found
from aectl.data.images.decode import is_own, shape_in_header
from aectl.data.storage.objects import fetched
from aectl.errors import ImageError

LOOKED_AT = 300
"""Maximum number of images, evenly distributed over a folder, that determine the default size."""


class Headers:
    """Reads the headers of image files, each once."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, bool], Shape | None] = {}

    def shapes(self, files: Sequence[Found | Shape | None]) -> list[Shape]:
        """The shapes of some of the files, at equal distances, that can be read; a member of an
        archive is its shape, or None."""
        count = min(len(files), LOOKED_AT)
        looked_at = [files[number * len(files) // count] for number in range(count)]
        self._read(one for one in looked_at if isinstance(one, Found))
        shapes = [
            self._shapes[one.file, one.searched] if isinstance(one, Found) else one
            for one in looked_at
        ]
        return [shape for shape in shapes if shape]

    def _read(self, found: Iterable[Found]) -> None:
        """Reads the headers of files; those at URLs as a whole, several at once."""
        new = (one for one in found if (one.file, one.searched) not in self._shapes)
        for one in fetched(new, USUAL_DECODING.largest_file, USUAL_DECODING.file_too_large):
            if one is not None:
                source = one.file if one.content is None else one.content
                self._shapes[one.file, one.searched] = shape_of(source, one.searched)


def shape_of(source: str | bytes, searched: bool = False) -> Shape | None:
    """The shape of the image in a file, or at the start of its content; None if it cannot be read
    or, in what is searched, is a picture that aectl wrote."""
    with contextlib.suppress(ImageError):
        if not (searched and is_own(source)):
            return shape_in_header(source)
    return None


def median_of(shapes: Sequence[Shape]) -> Sides:
    """The medians of the heights and the widths; of an even number, the upper median; 0 of none."""
    if not shapes:
        return 0, 0
    _, *sides = zip(*shapes, strict=True)
    height, width = (sorted(one)[len(one) // 2] for one in sides)
    return height, width
