"""The report: a web page about models in one file, which needs no network.

The page contains its data as JSON and its images as sheets of tiles; `page.js` draws them, with
what only images, text and vectors have from `images.js`, `text.js` and `vectors.js`.
"""

import base64
import gzip
import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from aectl.config.spelling import all_spelt, spelt
from aectl.inference.detection_quality import DetectionFindings
from aectl.inference.findings import CodeStatistics, Findings, TextFindings, VectorFindings
from aectl.outputs.curves import PANELS
from aectl.outputs.metrics_table import Group, is_list, to_cells
from aectl.outputs.page.detection_page import of_detection
from aectl.outputs.page.image_page import Sheets, of_images
from aectl.outputs.page.numbers import finite, rounded
from aectl.outputs.page.text_page import of_text
from aectl.outputs.page.vector_page import of_vectors

SCRIPTS = "images.js", "text.js", "vectors.js", "page.js", "detection.js"

OF_MODALITY: dict[type, Callable[[Any, Mapping[str, Any], Sheets], dict[str, Any]]] = {
    Findings: of_images,
    TextFindings: of_text,
    VectorFindings: of_vectors,
}
"""Further contents of a section, by the type of its findings."""


@dataclass(frozen=True)
class Portrait:
    """A model's section of the page.

    `facts`: lines about the model and its training; `command`: the command that trains it again;
    `metrics`: the rows of its training, if known; `results`: its metrics on the inputs that
    `measured_on` names, which are called `noun`; `classes`: the names of the rows of the confusion
    matrix; `target_activation`: the mean activation that the sparsity penalty aims at, if it aims
    at one; `detection`: the model as a detector of anomalies, if that was measured.
    """

    name: str
    facts: Mapping[str, str]
    command: str
    metrics: Sequence[Mapping[str, float]]
    results: Mapping[str, Any]
    measured_on: str
    noun: str
    findings: Findings | TextFindings | VectorFindings
    classes: Sequence[str] = ()
    target_activation: float | None = None
    detection: DetectionFindings | None = None


def to_html(title: str, portraits: Sequence[Portrait], groups: Sequence[Group] = ()) -> str:
    """The page, with a section per model, and a table of their metrics."""
    sheets = Sheets()
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
            script="\n".join(part(name).read_text("utf-8") for name in SCRIPTS),
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


def _model(portrait: Portrait, sheets: Sheets) -> dict[str, Any]:
    findings = portrait.findings
    of_modality = OF_MODALITY[type(findings)](findings, portrait.results, sheets)
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
        "noun": portrait.noun,
        "count": findings.count,
        "maps": {name: rounded(points) for name, points in findings.maps.items()},
        "classes": all_spelt(portrait.classes),
        "detection": portrait.detection and of_detection(portrait.detection, sheets),
        "code": findings.code and _code(findings.code, portrait.target_activation),
        **of_modality,
    }


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [finite(row.get(name)) for row in rows] for name in names}


def _code(code: CodeStatistics, target: float | None) -> dict[str, Any]:
    return {
        "rhoHat": rounded(code.rho_hat),
        "active": rounded(code.active),
        "l0": code.l0.tolist(),
        "target": target,
    }
