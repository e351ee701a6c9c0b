"""A run on vectors: an autoencoder of them, or a classifier."""

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aectl.config.kinds import KINDS
from aectl.data.vectors.stored_vectors import StoredVectors
from aectl.data.vectors.vector_set import VectorSet
from aectl.inference.apply_vectors import reconstructed
from aectl.inference.vector_metrics import VectorMetrics
from aectl.models.model_card import ModelCard
from aectl.models.networks import Autoencoder, Classifier
from aectl.models.scaling import Scaling, factor_of
from aectl.training.initialisation import Start
from aectl.training.measured import mean_error
from aectl.training.memory_run import MemoryRun
from aectl.training.streamed_set import StreamedSet, split
from aectl.training.vector_sets import FloatSet
from aectl.training.vector_sketch import VectorSketch

TURNS = 4
"""Turns that each of several runs takes in a buffer."""

FITTED_VALUES = 1 << 17
"""Values of a block from which the numbers of a scaling are computed, at most: a larger one does
not fit into the cache of a processor core, and takes several times as long."""


class VectorRun(MemoryRun):
    """A run on vectors."""

    noun = "vectors"
    labels_are = "a table has them in a column (--label-column), a folder in its sub-folders"
    sketch_class = VectorSketch
    data: VectorSet
    sketch: VectorSketch
    _training: FloatSet | StreamedSet
    _held_out: FloatSet | StreamedSet
    _sample: FloatSet

    @property
    def _stored(self) -> tuple[int, float]:
        vectors = self.data.vectors
        if isinstance(vectors, StoredVectors):
            return 2 * 4 * vectors.shape[1] * min(len(vectors), self._buffer), math.inf
        return vectors.nbytes, 0

    @property
    def _buffer(self) -> int:
        """The number of vectors that are shuffled together, if they are read from disk."""
        count = self.config.data.shuffle_buffer
        assert count is not None
        return count

    @property
    def turn(self) -> int | None:
        """Several times in a buffer, so that runs which share it are done with it soon after each
        other."""
        if not isinstance(self.data.vectors, StoredVectors):
            return None
        return max(1, self._buffer // (TURNS * self._batch_size))

    @property
    def _labels(self) -> Tensor | None:
        """Those of all vectors, if they are learnt."""
        labels = None if KINDS[self.config.model.model].has_code else self.data.labels
        return None if labels is None else torch.from_numpy(labels)

    def _split(self) -> tuple[Any, Any]:
        """The vectors that are learnt, and those that are held out."""
        vectors, config = self.data.vectors, self.config
        if not isinstance(vectors, StoredVectors):
            return super()._split()
        blocks, held = split(vectors, self._buffer, config.data.validation, self.data.held_out)
        self.held_out = vectors.rows([span for block in held for span in block])
        how = self._buffer, self.device, self.network.scaling
        learnt = StreamedSet(vectors, self._labels, blocks, *how)
        return learnt, dataclasses.replace(learnt, blocks=held)

    def _on_device(self) -> FloatSet:
        """All vectors."""
        vectors, labels = self.data.vectors, self._labels
        assert isinstance(vectors, np.ndarray)
        there = self._place(vectors.nbytes)
        of_rows = None if labels is None else labels.to(there)
        rows = torch.arange(len(vectors), device=there)
        found = torch.from_numpy(vectors).to(there)
        return FloatSet(found, of_rows, rows, self.device, self.network.scaling)

    def _take(self, inputs: Any, held_out: Any) -> None:
        """Sets what is trained on and what is measured, of vectors that are learnt and held out."""
        if not isinstance(inputs, StreamedSet):
            super()._take(inputs, held_out)
            return
        self._training, self._held_out = inputs, held_out
        self._sample = inputs.some(self.sketch.sampled, self.config.training.seed)

    def _begin(self, start: Start) -> None:
        """Initialises the scaling, then the weights."""
        scaling, source = self.network.scaling, start.weights or (start.encoder or [None])[0]
        if scaling is not None and source is None:
            self._fit(scaling)
        elif scaling is not None and isinstance(source, Autoencoder | Classifier):
            assert source.scaling is not None
            scaling.load_state_dict(source.scaling.state_dict())
        super()._begin(start)

    def _fit(self, scaling: Scaling) -> None:
        """Fits the scaling to the vectors that are learnt; if they stay on disk, all runs learn the
        same, and what one has found serves the others."""
        kind, found = self.config.model.scale, self.data.fitted
        if kind in found:
            scaling.load_state_dict(found[kind])
            return
        rows = FITTED_VALUES // self.data.shape.features
        scaling.fit(self._training.unscaled(max(1, rows)))
        if isinstance(self._training, StreamedSet):
            found[kind] = {name: value.clone() for name, value in scaling.state_dict().items()}

    @torch.no_grad()
    def _measured_on(self, inputs: FloatSet | StreamedSet) -> dict[str, float]:
        network = self.network.eval()
        if isinstance(network, Classifier):
            return mean_error(network, inputs.in_order(self.evaluation_batch))
        return self._metrics_on(inputs).result()

    def measured(self) -> VectorMetrics:
        """The metrics of what is held out, or of a sample of the others."""
        return self._metrics_on(self._held_out if len(self._held_out) else self._sample)

    @torch.no_grad()
    def _metrics_on(self, inputs: FloatSet | StreamedSet) -> VectorMetrics:
        network = self.network.eval()
        assert not isinstance(network, Classifier)
        metrics = VectorMetrics(network.active_above, factor_of(network.scaling))
        for vectors in inputs.unscaled(self.evaluation_batch):
            metrics.update(*reconstructed(network, vectors))
        return metrics

    def card(self) -> ModelCard:
        """The description of this run in a model file."""
        return dataclasses.replace(super().card(), columns=self.data.columns)
