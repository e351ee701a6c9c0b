"""Heat maps of inputs: where an image is anomalous, as colours over it or as plain numbers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.images.pixels import Pixels
from aectl.data.storage.folders import OnBad, ignore
from aectl.outputs.run_folder import refuse_filled
from aectl.outputs.single_files import SingleFiles

if TYPE_CHECKING:
    from aectl.inference.error_maps import Region
    from aectl.inference.marking import Marked

THRESHOLD_GREY = 1024
"""The grey of the threshold in a raw map of 16 bits; a pixel with more is marked. Grey is
proportional to the error, up to 64 times the threshold."""

WHITE = 65_535
LEAST_THRESHOLD = 1e-38
SHOWN_SIDE = 384
"""Approximate longer side of a picture in pixels."""

HOTTEST = 3.0
"""Multiple of the threshold at which the colours end."""

HEAT = np.array(
    [
        (0.0, 255, 237, 160, 0.0),
        (0.5, 255, 224, 120, 0.15),
        (1.0, 254, 196, 40, 0.5),
        (1.7, 244, 109, 20, 0.55),
        (HOTTEST, 190, 0, 38, 0.62),
    ]
)
"""Multiples of the threshold, each with its red, green, blue and opacity."""

OUTLINE, EDGE = (0, 229, 255), (0, 40, 60)
"""The colours of the outline of a region, and of the thin line around that."""

OUTLINE_WIDTH = 2
GAP, PAPER = 6, 255

DIGITS = 4
"""Decimals of the edges of a box."""


class HeatMapFiles:
    """Writes the heat maps of images to the folders `shown` and `raw` of a folder, named by the
    paths of the images. Raises OutputError as `SingleFiles` does.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        refuse_filled(folder, overwrite)
        self._shown, self._raw = (
            SingleFiles(folder / name, overwrite) for name in ("shown", "raw")
        )

    def save_all(
        self, paths: Sequence[str], images: Pixels, marked: "Marked", on_bad: OnBad
    ) -> None:
        """Writes those of images, (n, channels, height, width). Those whose files cannot have such
        names are passed to `on_bad`."""
        pairs = list(zip(images, marked.maps, strict=True))
        shown = [heat_map(image, one, marked.threshold) for image, one in pairs]
        self._shown.save_all(paths, shown, on_bad)
        self._raw.save_all(paths, [raw(one, marked.threshold) for one in marked.maps], ignore)


def boxes(regions: "Sequence[Region]", sides: tuple[int, int]) -> str:
    """Regions of a map with some (height, width) as JSON, the highest first: left, top, right and
    bottom of each, as fractions of the width and the height of the image, whatever its size is.
    """
    height, width = sides
    return json.dumps([
        [round(value, DIGITS) for value in (
            one.left / width, one.top / height, one.right / width, one.bottom / height
        )]
        for one in regions
    ])  # fmt: skip


def raw(anomaly_map: NDArray[np.floating], threshold: float) -> NDArray[np.uint16]:
    """A map, (height, width), as grey of 16 bits, (1, height, width): see `THRESHOLD_GREY`."""
    grey = np.ceil(_multiples(anomaly_map, threshold) * THRESHOLD_GREY)
    return grey.clip(0, WHITE).astype(np.uint16)[None]


def heat_map(image: Pixels, anomaly_map: NDArray[np.floating], threshold: float) -> Pixels:
    """An image, and beside it the same in grey under the colours of its map: yellow at the
    threshold, red at three times it. What lies above the threshold is outlined.

    image: (channels, height, width), 0 to 255; anomaly_map: (height, width). Returns (3, height,
    width), enlarged by a whole number if the image is small.
    """
    times = max(1, round(SHOWN_SIDE / max(anomaly_map.shape)))
    multiples = _multiples(anomaly_map, threshold)
    *colours, opacity = (np.interp(multiples, HEAT[:, 0], values) for values in HEAT[:, 1:].T)
    grey = image.mean(0)
    heated = np.stack([(1 - opacity) * grey + opacity * colour for colour in colours])
    shown = _enlarged(heated.round().astype(np.uint8), times)
    marked = _enlarged(multiples > 1, times)
    for width, colour in ((OUTLINE_WIDTH + 1, EDGE), (OUTLINE_WIDTH, OUTLINE)):
        shown[:, _around(marked, width)] = np.array(colour, np.uint8)[:, None]
    original = np.broadcast_to(_enlarged(image, times), shown.shape)
    gap = np.full((*shown.shape[:2], GAP), PAPER, np.uint8)
    return np.concatenate([original, gap, shown], axis=2)


def _multiples(anomaly_map: NDArray[np.floating], threshold: float) -> NDArray[np.float64]:
    """A map in multiples of the threshold: above 1 where it is above the threshold."""
    return anomaly_map.astype(np.float64) / max(threshold, LEAST_THRESHOLD)


def _enlarged(values: NDArray[Any], times: int) -> NDArray[Any]:
    return values.repeat(times, axis=-2).repeat(times, axis=-1)


def _around(marked: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels outside of marked ones, (height, width), at most `width` pixels away."""
    wide = marked.copy()
    for _ in range(width):
        wider = wide.copy()
        wider[1:] |= wide[:-1]
        wider[:-1] |= wide[1:]
        wide = wider.copy()
        wide[:, 1:] |= wider[:, :-1]
        wide[:, :-1] |= wider[:, 1:]
    return wide & ~marked
