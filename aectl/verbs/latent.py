"""Images decoded from codes: between two images, along one unit of the code, and of a table."""

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import spelt_out
from aectl.data.images.pixels import Pixels, to_bytes
from aectl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from aectl.data.codes.code_tables import Codes
    from aectl.verbs.use import Use

RANGED = 1000
"""Maximum number of images over which the range of a unit is found."""


class Grid(NamedTuple):
    """Images, (n, channels, height, width), 0 to 255, to be drawn in rows of `columns`.

    `read`: the number of inputs that were read; without any, there are no images.
    """

    read: int
    images: Pixels
    captions: list[str]
    title: str
    columns: int


class DecodedCodes(NamedTuple):
    """Inputs that n codes of a table decode to: images, (n, channels, height, width), in [0, 1], or
    vectors, (n, features)."""

    paths: list[str]
    labels: list[str | None]
    reconstruction: NDArray[np.float32]
    originals: None = None


def interpolated(use: "Use", ends: tuple[str, str], steps: int) -> Grid:
    """One row: images decoded from the codes between those of two images, which words name.

    Raises DataError for a word that does not name a single image, and ModelFileError if the result
    is not finite.
    """
    found = np.concatenate([_single(use, word) for word in ends])

    from aectl.inference import arrays

    made = to_bytes(arrays.interpolate(use.network(), found, steps))
    captions = ["A", *(f"{place:.3g}" for place in np.linspace(0, 1, steps)), "B"]
    a, b = (spelt_out(word) for word in ends)
    title = f"from A ({a}) to B ({b}): images decoded from the codes in between"
    row = np.concatenate([found[:1], made, found[1:]])
    return Grid(2, row, captions, title, len(row))


def traversed(use: "Use", unit: int, steps: int, rows: int) -> Grid:
    """One row per image, decoded with other values of one unit of its code, from the unit's minimum
    to its maximum over the inputs.

    Raises ConfigError for a unit that the code does not have, and ModelFileError if the result is
    not finite.
    """
    units = use.card.architecture.code_size
    if unit >= units:
        raise ConfigError(f"--traverse is {unit}; the code's units are 0 to {units - 1}")
    found = _some(use, RANGED)
    if not len(found):
        return Grid(0, found, [], "", 0)

    from aectl.inference import arrays

    network = use.network()
    own = arrays.codes_of(network, found)[:, unit]
    values = np.linspace(own.min(), own.max(), steps, dtype=np.float32)
    shown = found[:rows]
    made = to_bytes(arrays.traverse(network, shown, unit, values))
    made = made.reshape(len(shown), steps, *shown.shape[1:])
    images = np.concatenate([shown[:, None], made], axis=1).reshape(-1, *shown.shape[1:])
    captions = ["image", *(f"{value:.3g}" for value in values)] * len(shown)
    title = (
        f"unit {unit} from its minimum to its maximum over {len(found):,} images, all other"
        " units unchanged"
    )
    return Grid(len(found), images, captions, title, steps + 1)


def decoded(use: "Use", codes: "Codes", most: int | None = None) -> Generator[DecodedCodes]:
    """Yields the inputs that the codes of a table, at most `most`, decode to.

    Those whose values are not all finite are passed to the `on_bad` of the request.
    """
    from aectl.inference.arrays import BLOCK, decode_codes
    from aectl.outputs.rows import NOT_FINITE

    network = use.network()
    end = min(most or len(codes), len(codes))
    size = 1 if network.one_at_a_time else BLOCK
    for first in range(0, end, size):
        block = slice(first, min(first + size, end))
        made, names = decode_codes(network, codes.part(block)), codes.names[block]
        finite = np.isfinite(made).reshape(len(made), -1).all(1)
        for number in np.flatnonzero(~finite).tolist():
            use.request.on_bad(names[number], NOT_FINITE)
        kept = [names[number] for number in np.flatnonzero(finite).tolist()]
        yield DecodedCodes(kept, [None] * len(kept), made[finite])


def _some(use: "Use", most: int) -> Pixels:
    """The first images of the inputs: (n, channels, height, width)."""
    parts: list[Pixels] = [np.empty((0, *use.card.shape), np.uint8)]
    with use.stream.batches(most=most) as batches:
        for batch in batches:
            parts.append(batch.images)
            if sum(map(len, parts)) >= most:
                break
    return np.concatenate(parts)[:most]


def _single(use: "Use", word: str) -> Pixels:
    """The single image that a word names: (1, channels, height, width)."""
    found = _some(replace(use, request=replace(use.request, words=[word])), 2)
    if len(found) != 1:
        several = "more than one image" if len(found) else "no image that can be read"
        raise DataError(f"--interpolate goes from one image to another; {word} is {several}")
    return found
