"""The section of a model of vectors: units, directions, errors of columns and of inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aectl.config.spelling import all_spelt, spelt
from aectl.inference.findings import DirectionsMap, ShownVectors, VectorFindings, VectorUnits
from aectl.outputs.page.numbers import of_units, rounded

MOST_COLUMNS = 40


def of_vectors(
    findings: VectorFindings, _results: Mapping[str, Any], _sheets: object
) -> dict[str, Any]:
    """The vectors of a model's section, its units, and what is wrong with reconstructions."""
    edges, counts = findings.activations
    return {
        "sample": _shown(findings.sample),
        "worst": _shown(findings.worst),
        "units": findings.units and _units(findings.units, findings.columns),
        "activations": {"edges": rounded(edges), "counts": counts.tolist()},
        "columns": _columns(findings),
        "directions": findings.directions and _directions(findings.directions),
    }


def _shown(shown: ShownVectors) -> dict[str, Any]:
    return {
        "paths": list(map(spelt, shown.paths)),
        "labels": [None if label is None else spelt(label) for label in shown.labels],
        "errors": rounded(shown.errors),
        "error": shown.error,
        "count": len(shown.paths),
    }


def _units(units: VectorUnits, columns: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("nearest", "cosines", "features", "weights"))
    if units.nearest is not None and units.cosines is not None:
        found |= {"nearest": units.nearest.tolist(), "cosines": rounded(units.cosines)}
    if units.features is not None and units.weights is not None:
        names = [all_spelt([columns[at] for at in row]) for row in units.features.tolist()]
        found |= {"features": names, "weights": rounded(units.weights)}
    return {
        "total": units.total,
        "numbers": units.numbers.tolist(),
        "inputs": _shown(units.inputs),
        **found,
        **of_units(units),
    }


def _columns(findings: VectorFindings) -> dict[str, Any] | None:
    """The names of the columns that are explained least, and their explained variance; None where
    columns have no names."""
    if not findings.columns:
        return None
    explained = findings.explained
    order = np.argsort(explained, kind="stable")
    order = order[np.isfinite(explained[order])][:MOST_COLUMNS]
    return {
        "names": all_spelt([findings.columns[place] for place in order.tolist()]),
        "explained": rounded(explained[order]),
        "total": len(findings.columns),
    }


def _directions(directions: DirectionsMap) -> dict[str, Any]:
    return {
        "units": directions.units.tolist(),
        "maps": {name: rounded(points) for name, points in directions.maps.items()},
        "explained": directions.explained,
    }
