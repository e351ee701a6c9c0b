"""Metrics of an autoencoder of vectors, in their own units, summed over batches in float64."""

import torch
import torch.nn.functional as F
from torch import Tensor

from aectl.errors import DataError
from aectl.inference.explained_variance import Variation, explained_variance
from aectl.inference.metrics import CodeMetrics
from aectl.inference.prefixes import PrefixErrors


class VectorMetrics:
    """Metrics of an autoencoder of vectors, over all calls of `update`.

    `factor`: what a scaling multiplies each feature by, (features,), or None.
    """

    def __init__(self, active_above: float | None, factor: Tensor | None = None) -> None:
        self.codes = CodeMetrics(active_above)
        self.vectors, self._cosines, self._factor = 0, 0.0, factor
        self._variation = Variation()
        self.prefixes: PrefixErrors | None = None

    def update(self, vectors: Tensor, reconstruction: Tensor, code: Tensor) -> dict[str, Tensor]:
        """Adds a batch: vectors and reconstruction (batch, features), code (batch, units).

        Returns the mse of each vector, with a factor its scaled_mse, and its cosine_similarity,
        (batch,) each.
        """
        if vectors.device.type == "mps":  # which has no float64
            vectors, reconstruction = vectors.cpu(), reconstruction.cpu()
        x, made = vectors.double(), reconstruction.double()
        if self.vectors == 0:
            self._squares = torch.zeros_like(x[0])
        self.vectors += len(x)
        self._variation.add(x)
        squares = (made - x).square()
        self._squares += squares.sum(0)
        cosines = F.cosine_similarity(x, made, eps=0).nan_to_num(0.0)  # zeros have no direction
        self._cosines += cosines.sum().item()
        self.codes.update(code)
        if self.prefixes:
            self.prefixes.update(vectors, code)
        found = {"mse": squares.mean(1)}
        if self._factor is not None:
            found["scaled_mse"] = (squares * self._squared_factor(squares)).mean(1)
        return {**found, "cosine_similarity": cosines}

    def result(self) -> dict[str, float]:
        """All metrics by name: mse; with a factor scaled_mse, the mse of features multiplied by it;
        explained_variance; cosine_similarity, the mean over all vectors; and those of the code.
        Raises DataError if there were no vectors.
        """
        if self.vectors == 0:
            raise DataError("there are no vectors to measure")
        squares, variation = self._squares.sum(), self._variation.total
        return {
            "mse": squares.item() / self.vectors / len(self._squares),
            **self._scaled(),
            "explained_variance": explained_variance(squares, variation).item(),
            **(self.prefixes.explained(variation) if self.prefixes else {}),
            "cosine_similarity": self._cosines / self.vectors,
            **self.codes.result(),
        }

    def _scaled(self) -> dict[str, float]:
        if self._factor is None:
            return {}
        of_features = self._squares * self._squared_factor(self._squares)
        return {"scaled_mse": of_features.mean().item() / self.vectors}

    def _squared_factor(self, like: Tensor) -> Tensor:
        assert self._factor is not None
        return self._factor.to(like).square()

    def of_features(self) -> dict[str, Tensor]:
        """The mse and the explained_variance of each feature, (features,) each; the latter is nan
        where all vectors have the same value."""
        found = {
            "mse": self._squares / self.vectors,
            "explained_variance": explained_variance(self._squares, self._variation.of_features),
        }
        return {name: value.cpu() for name, value in found.items()}
