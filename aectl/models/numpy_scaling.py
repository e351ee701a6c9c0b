"""The scaling of vectors in arrays: what `models.scaling.Scaling` makes of the inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aectl.config.model_options import ModelConfig
from aectl.models.numpy_elements import FloatArray

OFFSET, FACTOR = ("standard", "minmax", "center"), ("standard", "minmax")
"""The scalings that subtract a number from each feature, and that multiply each by one."""

UNIT_NORM, LAYER_NORM, MEAN = "unit-norm", "layer-norm", "mean"

ADDED_TO_DEVIATION = 1e-5
"""Of layer-norm, as SAELens has it (sae_lens/saes/sae.py)."""


@dataclass(frozen=True)
class NumpyScaling:
    """Vectors, (n, features), NaN where a value is missing -> the input of a network."""

    scale: str
    offset: FloatArray | None
    factor: FloatArray | None
    fill: FloatArray | None

    @classmethod
    def of(cls, config: ModelConfig, tensors: Mapping[str, FloatArray]) -> "NumpyScaling | None":
        """That of a config, with its tensors; None if vectors stay as they are."""
        if config.scale == "none" and config.missing != MEAN:
            return None
        return cls(config.scale, *(tensors.get(name) for name in ("offset", "factor", "fill")))

    @staticmethod
    def shapes(config: ModelConfig, features: int) -> dict[str, tuple[int, ...]]:
        """The shapes of its tensors, by their names in a model file."""
        there = {
            "offset": config.scale in OFFSET,
            "factor": config.scale in FACTOR,
            "fill": config.missing == MEAN,
        }
        return {f"scaling.{name}": (features,) for name, kept in there.items() if kept}

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Fills and scales vectors."""
        if self.fill is not None:
            vectors = np.where(np.isnan(vectors), self.fill, vectors)
        if self.scale == UNIT_NORM:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            norms[norms == 0] = 1
            found: FloatArray = np.divide(vectors, norms)
            return found
        if self.scale == LAYER_NORM:
            return _of_rows(vectors)
        if self.offset is not None:
            vectors = vectors - self.offset
        return vectors if self.factor is None else vectors * self.factor


def _of_rows(vectors: FloatArray) -> FloatArray:
    """Each with mean 0 and standard deviation 1."""
    centered: FloatArray = vectors - vectors.mean(1, keepdims=True)
    squares = np.square(centered).sum(1, keepdims=True)
    deviation = np.sqrt(squares / max(1, vectors.shape[1] - 1))
    found: FloatArray = centered / (deviation + ADDED_TO_DEVIATION)
    return found
