"""The section of a model of images: sheets of tiles, galleries, filters, mistakes."""

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import spelt
from aectl.data.images.pixels import shrunk, to_pil
from aectl.inference.findings import SAMPLE_SIDE, Findings, Gallery, Rival, Shown, Units
from aectl.outputs import pictures
from aectl.outputs.captions import distinguished
from aectl.outputs.metrics_table import OF_EACH_CLASS
from aectl.outputs.page.numbers import finite, of_units, rounded

GALLERY_SIDE = 128
PNG = b"\x89PNG"
SMALL_SHEET = 1 << 20
"""Maximum pixels of a sheet in colour that is stored without loss; larger ones are compressed."""


def of_images(findings: Findings, results: Mapping[str, Any], sheets: "Sheets") -> dict[str, Any]:
    """The images of a model's section, its units and, of a classifier, its mistakes."""
    return {
        "sample": sheets.of(findings.sample, SAMPLE_SIDE),
        "units": _units(findings.units, sheets),
        "galleries": {
            name: _gallery(gallery, sheets) for name, gallery in findings.galleries.items()
        },
        "rival": findings.rival and _rival(findings.rival, sheets),
        "confusion": results.get("confusion"),
        "ofClasses": {
            name: list(map(finite, results[name])) for name in OF_EACH_CLASS if name in results
        },
        "mistaken": findings.mistaken and sheets.of(findings.mistaken, SAMPLE_SIDE),
        "mistakes": [
            [one.place, one.label, one.prediction, finite(one.probability)]
            for one in findings.mistakes
        ],
    }


def _units(units: Units, sheets: "Sheets") -> dict[str, Any]:
    return {
        "total": units.total,
        "filters": sheets.add(pictures.filter_tiles(units.filters), SAMPLE_SIDE),
        "drawn": units.drawn,
        **of_units(units),
    }


def _gallery(gallery: Gallery, sheets: "Sheets") -> dict[str, Any]:
    return {
        "originals": sheets.of(gallery.shown, GALLERY_SIDE),
        "reconstructions": sheets.add(gallery.reconstructions, GALLERY_SIDE),
        "mse": rounded(gallery.mse),
    }


def _rival(rival: Rival, sheets: "Sheets") -> dict[str, Any]:
    return {
        **_gallery(rival.gallery, sheets),
        "shrunk": sheets.add(rival.shrunk, GALLERY_SIDE),
        "shrunkMse": rounded(rival.shrunk_mse),
        "numbers": rival.numbers,
        "small": rival.small,
        "images": rival.images,
        "psnr": finite(rival.psnr),
        "shrunkPsnr": finite(rival.shrunk_psnr),
    }


@dataclass
class Sheets:
    """Images as sheets of tiles; a sheet that several models share is stored only once."""

    _numbers: dict[bytes, int] = field(default_factory=dict)

    def of(self, shown: Shown, side: int) -> dict[str, Any]:
        """Images with their paths and labels."""
        return {
            **self.add(shown.images, side),
            "paths": list(map(spelt, shown.paths)),
            "names": list(map(spelt, distinguished(shown.paths))),
            "labels": [None if label is None else spelt(label) for label in shown.labels],
        }

    def add(self, tiles: NDArray[np.uint8], side: int) -> dict[str, int]:
        """Adds tiles, (n, channels, height, width), reduced to at most `side` pixels."""
        tiles = shrunk(tiles, side)
        count, channels, height, width = tiles.shape
        columns = math.ceil(math.sqrt(count))
        rows = math.ceil(count / columns)
        filled = np.zeros((rows * columns, channels, height, width), np.uint8)
        filled[:count] = tiles
        in_place = filled.reshape(rows, columns, channels, height, width).transpose(2, 0, 3, 1, 4)
        picture = to_pil(in_place.reshape(channels, rows * height, columns * width))
        file = io.BytesIO()
        if channels == 1 or picture.width * picture.height <= SMALL_SHEET:
            picture.save(file, format="png")
        else:
            picture.save(file, format="webp", quality=90)
        number = self._numbers.setdefault(file.getvalue(), len(self._numbers))
        return {
            "sheet": number, "count": count, "columns": columns, "rows": rows,
            "width": width, "height": height,
        }  # fmt: skip

    def to_css(self) -> str:
        """CSS with a class for each sheet."""
        return "".join(
            f".sheet-{number}{{background-image:url(data:image/"
            f"{'png' if file.startswith(PNG) else 'webp'};base64,"
            f"{base64.b64encode(file).decode()})}}\n"
            for file, number in self._numbers.items()
        )
