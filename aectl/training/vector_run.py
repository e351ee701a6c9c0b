"""A run on vectors: an autoencoder of them, or a classifier."""

import dataclasses

import torch

from aectl.config.kinds import KINDS
from aectl.data.vectors.vector_set import VectorSet
from aectl.inference.apply_vectors import reconstructed
from aectl.inference.vector_metrics import VectorMetrics
from aectl.models.model_card import ModelCard
from aectl.models.networks import Autoencoder, Classifier
from aectl.training.initialisation import Start
from aectl.training.memory_run import MemoryRun
from aectl.training.run import mean_error
from aectl.training.vector_sets import FloatSet
from aectl.training.vector_sketch import VectorSketch

FITTED_ROWS = 1 << 14
"""Rows of a block from which the numbers of a scaling are computed."""


class VectorRun(MemoryRun):
    """A run on vectors."""

    noun = "vectors"
    labels_are = "a table has them in a column (--label-column), a folder in its sub-folders"
    sketch_class = VectorSketch
    data: VectorSet
    sketch: VectorSketch
    _training: FloatSet
    _held_out: FloatSet
    _sample: FloatSet

    @property
    def _stored(self) -> tuple[int, float]:
        return self.data.vectors.nbytes, 0

    def _on_device(self) -> FloatSet:
        """All vectors."""
        data = self.data
        there = self._place(data.vectors.nbytes)
        learnt = data.labels is not None and not KINDS[self.config.model.model].has_code
        labels = torch.from_numpy(data.labels).to(there) if learnt else None
        rows = torch.arange(len(data), device=there)
        vectors = torch.from_numpy(data.vectors).to(there)
        return FloatSet(vectors, labels, rows, self.device, self.network.scaling)

    def _begin(self, start: Start) -> None:
        """Initialises the scaling, then the weights."""
        scaling, source = self.network.scaling, start.weights or (start.encoder or [None])[0]
        if scaling is not None and source is None:
            scaling.fit(self._training.unscaled(FITTED_ROWS))
        elif scaling is not None and isinstance(source, Autoencoder | Classifier):
            assert source.scaling is not None
            scaling.load_state_dict(source.scaling.state_dict())
        super()._begin(start)

    @torch.no_grad()
    def _measured_on(self, inputs: FloatSet) -> dict[str, float]:
        network = self.network.eval()
        if isinstance(network, Classifier):
            return mean_error(network, inputs.in_order(self.evaluation_batch))
        return self._metrics_on(inputs).result()

    def measured(self) -> VectorMetrics:
        """The metrics of what is held out, or of a sample of the others."""
        return self._metrics_on(self._held_out if len(self._held_out) else self._sample)

    @torch.no_grad()
    def _metrics_on(self, inputs: FloatSet) -> VectorMetrics:
        network = self.network.eval()
        assert not isinstance(network, Classifier)
        metrics = VectorMetrics(network.active_above)
        for vectors in inputs.unscaled(self.evaluation_batch):
            metrics.update(*reconstructed(network, vectors))
        return metrics

    def card(self) -> ModelCard:
        """The description of this run in a model file."""
        return dataclasses.replace(super().card(), columns=self.data.columns)
