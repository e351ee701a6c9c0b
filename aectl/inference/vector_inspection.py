"""Collects the contents of a report while an autoencoder of vectors is measured."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.inference.apply_vectors import MeasuredVectors
from aectl.inference.dictionaries import of_length_1
from aectl.inference.findings import (
    CodeStatistics,
    DirectionsMap,
    ShownVectors,
    VectorFindings,
    VectorUnits,
)
from aectl.inference.maps import explained_by_map, maps_of
from aectl.inference.metrics import is_active
from aectl.inference.results import Floats
from aectl.inference.sampling import Extremes, Spread
from aectl.inference.strongest import Strongest, StrongInput
from aectl.inference.unit_values import histograms
from aectl.inference.vector_metrics import VectorMetrics
from aectl.models.networks import Autoencoder

MOST_SAMPLED, MOST_MAPPED = 5000, 2000
SAMPLED_VALUES, MAPPED_VALUES = 1 << 23, 1 << 24
"""Maximum numbers of the sample's codes that are not 0, and of all numbers of those on the map."""

MOST_UNITS, MOST_DIRECTIONS = 200, 2000
STRONGEST, NEAREST, WEIGHTS, WORST = 8, 6, 6, 20
BINS = 40


class _Vector(NamedTuple):
    """A vector by its path and label, the error of its reconstruction, and its code: the units that
    are not 0, and their values."""

    path: str
    label: str | None
    error: float
    units: NDArray[np.int32]
    values: Floats


def _vector(error: str, measured: MeasuredVectors, row: int) -> _Vector:
    code = measured.code[row]
    units = code.nonzero()[:, 0]
    return _Vector(
        measured.paths[row], measured.labels[row], float(measured.metrics[error][row]),
        units.int().cpu().numpy(), code[units].float().cpu().numpy(),
    )  # fmt: skip


class VectorInspection:
    """Receives all measured vectors, keeps some of them, and computes the contents of a report.

    `error`: the name of the metric that ranks them.
    """

    def __init__(self, network: Autoencoder, columns: Sequence[str], error: str) -> None:
        self._network, self._columns, self._error = network, columns, error
        self._kept = partial(_vector, error)
        self._strongest = Strongest(STRONGEST)
        self._worst = Extremes(WORST, self._kept, largest=True)
        self._sample: Spread[_Vector] | None = None
        self._squares: Tensor | None = None
        self._vectors = 0

    def add(self, measured: MeasuredVectors) -> None:
        """Adds a measured batch."""
        code, errors = measured.code.cpu(), measured.metrics[self._error]
        if self._sample is None or self._squares is None:
            active = max(1.0, (code != 0).sum().item() / len(code))
            self._sample = Spread(min(MOST_SAMPLED, int(SAMPLED_VALUES / active) or 1), self._kept)
            self._squares = torch.zeros(code.shape[1], dtype=torch.float64)
        self._vectors += len(code)
        self._squares += torch.linalg.vector_norm(code, dim=0).double().square()
        self._strongest.add(code, measured.paths, measured.labels, errors)
        self._sample.add(measured)
        self._worst.add(measured, errors)

    def findings(self, metrics: VectorMetrics, methods: Sequence[str] = ()) -> VectorFindings:
        """Computes the contents of a report, with the metrics of all vectors.

        Maps are computed by PCA, and by each of the other `methods`, names of `maps.MAPS`. Raises
        ConfigError if a method needs a missing package.
        """
        assert self._sample is not None
        sample = self._sample.kept
        width = self._network.code_size
        step = max(1, -(-len(sample) // max(3, min(MOST_MAPPED, MAPPED_VALUES // width))))
        mapped = sample[::step]
        above = metrics.codes.active_above
        counts = [int(is_active(torch.from_numpy(one.values), above).sum()) for one in sample]
        values = np.concatenate([one.values for one in sample])
        order = self._order(metrics)
        return VectorFindings(
            self._vectors,
            self._shown(mapped),
            self._shown(self._worst.kept),
            self._units(order[:MOST_UNITS], sample) if len(order) else None,
            CodeStatistics(
                metrics.codes.rho_hat.numpy(), metrics.codes.active.numpy(), np.array(counts)
            ),
            _of_logarithms(values),
            metrics.of_features()["explained_variance"].numpy(),
            self._columns,
            maps_of(_codes(mapped, np.arange(width)), methods),
            self._directions_of(order[:MOST_DIRECTIONS], methods),
        )

    def _order(self, metrics: VectorMetrics) -> NDArray[np.int64]:
        """The units that are active for any vector, the one first that adds most to the
        reconstructions: mean of (activation * length of its direction)^2."""
        assert self._squares is not None
        added = self._squares.numpy()
        if (columns := self._columns_of_decoder()) is not None:
            added = added * np.square(columns, dtype=np.float64).sum(1)
        alive = metrics.codes.active.numpy() > 0
        order = np.argsort(-added, kind="stable")
        return order[alive[order]]

    def _columns_of_decoder(self) -> Floats | None:
        """The weights of each unit in a decoder of one layer, (units, features), or None."""
        if len(self._network.decoder.layers) > 1:
            return None
        found: Floats = self._network.decoder.directions.detach().t().float().cpu().numpy()
        return found

    def _units(self, order: NDArray[np.int64], sample: "Sequence[_Vector]") -> VectorUnits:
        """Some of the units, which `order` names."""
        inputs, strongest, values = self._strongest.of_units(order)
        counts, low, high = histograms(_codes(sample, order))
        nearest = cosines = features = weights = None
        columns = self._columns_of_decoder()
        if columns is not None and len(columns) > 1:
            directions = of_length_1(columns)
            products = directions[order] @ directions.T
            products[np.arange(len(order)), order] = -np.inf
            nearest = np.argsort(-products, axis=1, kind="stable")[
                :, : min(NEAREST, len(columns) - 1)
            ]
            cosines = np.take_along_axis(products, nearest, axis=1)
        if columns is not None and self._columns:
            features = np.argsort(-np.abs(columns[order]), axis=1, kind="stable")[:, :WEIGHTS]
            weights = np.take_along_axis(columns[order], features, axis=1)
        return VectorUnits(
            counts, low, high, strongest, values, len(self._strongest), order, self._shown(inputs),
            nearest, cosines, features, weights,
        )  # fmt: skip

    def _shown(self, vectors: "Sequence[_Vector | StrongInput]") -> ShownVectors:
        return ShownVectors(
            [one.path for one in vectors], [one.label for one in vectors],
            np.array([one.error for one in vectors]), self._error,
        )  # fmt: skip

    def _directions_of(
        self, units: NDArray[np.int64], methods: Sequence[str]
    ) -> DirectionsMap | None:
        """The directions of some units on a map; None where there are too few to say anything."""
        columns = self._columns_of_decoder()
        if columns is None or len(units) < 3:
            return None
        chosen = np.sort(units)
        directions = of_length_1(columns[chosen]).astype(np.float32)
        maps = maps_of(directions, methods)
        return DirectionsMap(chosen, maps, explained_by_map(directions, maps["pca"]))


def _codes(vectors: "Sequence[_Vector]", units: NDArray[np.int64]) -> Floats:
    """The values of some units, different ones, for each vector: (n, units)."""
    last = max(int(units.max(initial=0)), *(int(one.units.max(initial=0)) for one in vectors))
    place = np.full(last + 1, -1)
    place[units] = np.arange(len(units))
    found = np.zeros((len(vectors), len(units)), np.float32)
    for row, one in enumerate(vectors):
        at = place[one.units]
        found[row, at[at >= 0]] = one.values[at >= 0]
    return found


def _of_logarithms(values: Floats) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The edges and the counts of a histogram of the logarithms of magnitudes other than 0."""
    logarithms = np.log10(np.abs(values[values != 0], dtype=np.float64))
    counts, edges = np.histogram(logarithms, BINS if len(logarithms) else 1)
    return edges, counts
