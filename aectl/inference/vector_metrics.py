"""Metrics of an autoencoder of vectors, in their own units."""

import torch.nn.functional as F
from torch import Tensor

from aectl.inference.metrics import ReconstructionMetrics

OF_VECTORS = (
    "mse", "explained_variance", "cosine_similarity", "mean_activation", "l0", "dead",
)  # fmt: skip


class VectorMetrics:
    """Metrics of an autoencoder of vectors, over all calls of `update`."""

    def __init__(self, active_above: float | None) -> None:
        self._squared = ReconstructionMetrics(active_above)
        self._cosines = 0.0

    def update(
        self, vectors: Tensor, reconstruction: Tensor, code: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Adds a batch: vectors and reconstruction (batch, features), code (batch, units).

        Returns the mean squared error of each vector, and the cosine similarity of it to its
        reconstruction, (batch,) each.
        """
        errors = self._squared.update(vectors, reconstruction, code)
        if vectors.device.type == "mps":  # which has no float64
            vectors, reconstruction = vectors.cpu(), reconstruction.cpu()
        cosines = F.cosine_similarity(vectors.double(), reconstruction.double(), eps=0)
        cosines = cosines.nan_to_num(0.0)  # of a vector of zeros, which has no direction
        self._cosines += cosines.sum().item()
        return errors, cosines

    def result(self) -> dict[str, float]:
        """All metrics by name: mse; explained_variance; cosine_similarity, the mean over all
        vectors; and those of the code. Raises DataError if there were no vectors.
        """
        found = self._squared.result()
        found["cosine_similarity"] = self._cosines / self._squared.images
        return {name: found[name] for name in OF_VECTORS}
