"""The report: a web page about models in one file, which needs no network.

The page contains its data as JSON and its images as sheets of tiles; `page.js` draws them.
"""

import base64
import gzip
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import all_spelt, spelt
from aectl.data.images.pixels import shrunk, to_pil
from aectl.inference.findings import (
    SAMPLE_SIDE,
    CodeStatistics,
    Findings,
    Gallery,
    Rival,
    Shown,
    Units,
)
from aectl.outputs import pictures
from aectl.outputs.captions import distinguished
from aectl.outputs.curves import PANELS
from aectl.outputs.metrics_table import OF_EACH_CLASS, Group, is_list, to_cells

GALLERY_SIDE = 128
DIGITS = 4
PNG = b"\x89PNG"
SMALL_SHEET = 1 << 20
"""Maximum pixels of a sheet in colour that is stored without loss; larger ones are compressed."""


@dataclass(frozen=True)
class Portrait:
    """A model's section of the page.

    `facts`: lines about the model and its training; `command`: the command that trains it again;
    `metrics`: the rows of its training, if known; `results`: its metrics on the images that
    `measured_on` names; `classes`: the names of the rows of the confusion matrix;
    `target_activation`: the mean activation that the sparsity penalty aims at, if it aims at one.
    """

    name: str
    facts: Mapping[str, str]
    command: str
    metrics: Sequence[Mapping[str, float]]
    results: Mapping[str, Any]
    measured_on: str
    findings: Findings
    classes: Sequence[str] = ()
    target_activation: float | None = None


def to_html(title: str, portraits: Sequence[Portrait], groups: Sequence[Group] = ()) -> str:
    """The page, with a section per model, and a table of their metrics."""
    sheets = _Sheets()
    data = {
        "models": [_model(portrait, sheets) for portrait in portraits],
        "panels": PANELS,
        "table": all_spelt(to_cells(groups)),
    }
    part = resources.files(__package__).joinpath
    return (
        part("page.html")
        .read_text("utf-8")
        .format(
            title=html.escape(spelt(title)),
            style=part("page.css").read_text("utf-8") + sheets.to_css(),
            plotly=_plotly(),
            data=_json(data),
            script=part("page.js").read_text("utf-8"),
        )
    )


@cache
def _plotly() -> str:
    """Plotly's script, compressed to a third of its 5 MB, in base64."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 6, mtime=0)).decode()


def _json(data: object) -> str:
    """JSON that is safe inside an HTML element: no string in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _model(portrait: Portrait, sheets: "_Sheets") -> dict[str, Any]:
    findings = portrait.findings
    return {
        "name": spelt(portrait.name),
        "facts": all_spelt(list(portrait.facts.items())),
        "command": spelt(portrait.command),
        "metrics": _columns(portrait.metrics),
        "results": {
            name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in portrait.results.items()
            if not is_list(value)
        },
        "measuredOn": spelt(portrait.measured_on),
        "images": findings.images,
        "sample": sheets.of(findings.sample, SAMPLE_SIDE),
        "maps": {name: _rounded(points) for name, points in findings.maps.items()},
        "units": _units(findings.units, sheets),
        "code": findings.code and _code(findings.code, portrait.target_activation),
        "galleries": {
            name: _gallery(gallery, sheets) for name, gallery in findings.galleries.items()
        },
        "rival": findings.rival and _rival(findings.rival, sheets),
        "confusion": portrait.results.get("confusion"),
        "ofClasses": {
            name: list(map(_finite, portrait.results[name]))
            for name in OF_EACH_CLASS
            if name in portrait.results
        },
        "classes": all_spelt(portrait.classes),
        "mistaken": findings.mistaken and sheets.of(findings.mistaken, SAMPLE_SIDE),
        "mistakes": [
            [one.place, one.label, one.prediction, _finite(one.probability)]
            for one in findings.mistakes
        ],
    }


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_finite(row.get(name)) for row in rows] for name in names}


def _units(units: Units, sheets: "_Sheets") -> dict[str, Any]:
    return {
        "total": units.total,
        "filters": sheets.add(pictures.filter_tiles(units.filters), SAMPLE_SIDE),
        "counts": units.counts.tolist(),
        "low": _rounded(units.low),
        "high": _rounded(units.high),
        "strongest": units.strongest.tolist(),
        "values": _rounded(units.values),
        "drawn": units.drawn,
    }


def _code(code: CodeStatistics, target: float | None) -> dict[str, Any]:
    return {
        "rhoHat": _rounded(code.rho_hat),
        "active": _rounded(code.active),
        "l0": code.l0.tolist(),
        "target": target,
    }


def _gallery(gallery: Gallery, sheets: "_Sheets") -> dict[str, Any]:
    return {
        "originals": sheets.of(gallery.shown, GALLERY_SIDE),
        "reconstructions": sheets.add(gallery.reconstructions, GALLERY_SIDE),
        "mse": _rounded(gallery.mse),
    }


def _rival(rival: Rival, sheets: "_Sheets") -> dict[str, Any]:
    return {
        **_gallery(rival.gallery, sheets),
        "shrunk": sheets.add(rival.shrunk, GALLERY_SIDE),
        "shrunkMse": _rounded(rival.shrunk_mse),
        "numbers": rival.numbers,
        "small": rival.small,
        "images": rival.images,
        "psnr": _finite(rival.psnr),
        "shrunkPsnr": _finite(rival.shrunk_psnr),
    }


def _rounded(values: NDArray[np.floating[Any]]) -> list[Any]:
    """Rounded numbers as nested lists; a number that is not finite is null."""
    if values.ndim > 1:
        return [_rounded(row) for row in values]
    return [_finite(value) for value in values.tolist()]


def _finite(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


@dataclass
class _Sheets:
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
