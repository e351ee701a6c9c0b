"""Functions of networks of vectors, to be exported."""

from torch import Tensor

from aectl.config.exports import AUTOENCODER, DECODER
from aectl.models.graphs import Graph
from aectl.models.scaling import completed, scaled, unscaled


class VectorGraph(Graph):
    """Of vectors: float32, (batch, features), NaN where a value is missing and the model fills it;
    reconstructions are in the units of the vectors."""

    takes = "vectors"

    def prepared(self, inputs: Tensor) -> Tensor:
        """Vectors -> scaled ones."""
        return scaled(self.network.scaling, inputs)

    def finished(self, result: Tensor, inputs: Tensor | None) -> Tensor:
        """Reconstructions of scaled vectors -> those of vectors; those from codes of a model that
        scales each vector to length 1 have that length."""
        if self.part not in (AUTOENCODER, DECODER):
            return result
        scaling = self.network.scaling
        complete = None if inputs is None else completed(scaling, inputs)
        return unscaled(scaling, result, complete)
