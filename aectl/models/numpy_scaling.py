"""The scaling of vectors in NumPy, at inference, as in `models.scaling.Scaling`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aectl.config.model_options import ModelConfig
from aectl.models.numpy_elements import FloatArray

OFFSET, FACTOR = ("standard", "minmax", "center"), ("standard", "minmax")
"""The scalings that subtract an offset from each feature, and those that multiply each feature by a
factor."""

UNIT_NORM, LAYER_NORM, MEAN = "unit-norm", "layer-norm", "mean"

ADDED_TO_DEVIATION = 1e-5
"""Added to the standard deviation by layer-norm, as in SAELens (sae_lens/saes/sae.py)."""


@dataclass(frozen=True)
class NumpyScaling:
    """Fills and scales vectors for a network; the formulas are those of `models.scaling.Scaling`.

    offset, factor, fill: (features,), or None.
    """

    scale: str
    offset: FloatArray | None
    factor: FloatArray | None
    fill: FloatArray | None

    @classmethod
    def of(cls, config: ModelConfig, tensors: Mapping[str, FloatArray]) -> "NumpyScaling | None":
        """Makes the scaling of a config from its tensors, by name; None if vectors stay as they
        are."""
        if config.scale == "none" and config.missing != MEAN:
            return None
        return cls(config.scale, *(tensors.get(name) for name in ("offset", "factor", "fill")))

    @staticmethod
    def shapes(config: ModelConfig, features: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the tensors of the scaling, by their names in a model file."""
        there = {
            "offset": config.scale in OFFSET,
            "factor": config.scale in FACTOR,
            "fill": config.missing == MEAN,
        }
        return {f"scaling.{name}": (features,) for name, kept in there.items() if kept}

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """(n, features), NaN where a value is missing -> the input of a network, (n, features); NaN
        in rows whose length or deviation overflows 32-bit floats."""
        if self.fill is not None:
            vectors = np.where(np.isnan(vectors), self.fill, vectors)
        if self.scale == UNIT_NORM:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            norms[norms == 0] = 1
            return _quotient(vectors, norms)
        if self.scale == LAYER_NORM:
            return _of_rows(vectors)
        if self.offset is not None:
            vectors = vectors - self.offset
        return vectors if self.factor is None else vectors * self.factor


def _of_rows(vectors: FloatArray) -> FloatArray:
    """Scales each row to mean 0 and standard deviation 1; the variance is the sum of squares
    divided by one less than the number of features."""
    centered: FloatArray = vectors - vectors.mean(1, keepdims=True)
    squares = np.square(centered).sum(1, keepdims=True)
    deviation = np.sqrt(squares / max(1, vectors.shape[1] - 1))
    return _quotient(centered, deviation + ADDED_TO_DEVIATION)


def _quotient(rows: FloatArray, by: FloatArray) -> FloatArray:
    """rows / by, (n, features) and (n, 1); NaN, and not 0, in rows where `by` is infinite."""
    found: FloatArray = np.divide(rows, by)
    found[np.isinf(by)[:, 0]] = np.nan
    return found
