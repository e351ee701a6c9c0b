"""Uses of a trained network on vectors, each a generator over batches."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from aectl.config.scores import CODE
from aectl.data.vectors.vector_batches import VectorBatch
from aectl.errors import DataError
from aectl.inference.anomaly_scores import Evidence, Examined
from aectl.inference.apply import ToTensor, refuse_overflow, traced
from aectl.inference.results import Floats, Result, rows_of_batch
from aectl.inference.vector_metrics import VectorMetrics
from aectl.models.placing import placed
from aectl.models.scaling import completed, factor_of, scaled, unscaled

FURTHEST = 1e18
"""The magnitude of values above which a vector, and not the weights, makes an output overflow:
squares of much larger ones do not fit into 32-bit floats."""


@dataclass(frozen=True, eq=False)
class ReconstructedVectors(Result):
    """The reconstructions of n vectors, in the units of the vectors: (n, features)."""

    batch: VectorBatch = field(repr=False)
    reconstruction: Floats

    @property
    def originals(self) -> Floats:
        """The vectors: (n, features)."""
        return self.batch.vectors

    def first(self, count: int) -> Self:
        """The result for the first `count` vectors."""
        return type(self)(rows_of_batch(self.batch, range(count)), self.reconstruction[:count])


@dataclass(frozen=True, eq=False)
class MeasuredVectors(Result):
    """Metrics of n vectors by name, (n,) each: `mse`, `scaled_mse` if the model scales features,
    `cosine_similarity`; and their codes, (n, units).
    """

    metrics: Mapping[str, Floats]
    code: Tensor = field(repr=False)


def vector_tensor(network: Any, batch: VectorBatch, rows: int, device: torch.device) -> Tensor:
    """The input of the network, (rows, features): the vectors of a batch, scaled, padded with
    zeros."""
    missing = np.zeros((rows - len(batch.vectors), batch.vectors.shape[1]), np.float32)
    vectors = placed(torch.from_numpy(np.concatenate([batch.vectors, missing])), device)
    return scaled(network.scaling, vectors)


def reconstructed(network: Any, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """vectors: (n, features), NaN where a value is missing -> the same, complete; their
    reconstructions; and their codes, (n, units).
    """
    return _traced(network, scaled(network.scaling, vectors), vectors)


def _traced(network: Any, inputs: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same, for the inputs of the network that belong to the vectors, and perhaps more."""
    complete = completed(network.scaling, vectors)
    code, made = traced(network, inputs, len(vectors))
    return complete, unscaled(network.scaling, made, complete), code


@torch.inference_mode()
def reconstruct(
    network: Any, batches: Iterable[VectorBatch], to_tensor: ToTensor
) -> Iterator[ReconstructedVectors]:
    """Yields each batch with its reconstruction, which is not finite where a vector is too large.

    Raises ModelFileError if it, or the code, is not finite for any other.
    """
    for batch, _, made, _ in _each(network, batches, to_tensor):
        yield ReconstructedVectors(batch, made.cpu().numpy())


@torch.inference_mode()
def measure(
    network: Any, batches: Iterable[VectorBatch], to_tensor: ToTensor, metrics: VectorMetrics
) -> Iterator[MeasuredVectors]:
    """Updates `metrics` with all vectors.

    Raises ModelFileError for results that are not finite, or DataError if a vector is too large.
    """
    for batch, complete, made, code in _each(network, batches, to_tensor):
        _refuse_too_large(batch, made, code)
        found = metrics.update(complete, made, code)
        refuse_overflow(found["mse"])
        told = {name: values.float().cpu().numpy() for name, values in found.items()}
        yield MeasuredVectors(batch, told, code)


@torch.inference_mode()
def examine(
    network: Any, batches: Iterable[VectorBatch], to_tensor: ToTensor, needed: Collection[str]
) -> Iterator[Examined]:
    """Yields each batch with the evidence that is needed: errors are those of scaled features where
    the model scales them. A vector that is too large has the greatest error.

    Raises ModelFileError for results of others that are not finite.
    """
    if {*needed} <= {CODE}:
        for batch in batches:
            code = network.encode(to_tensor(batch))[: len(batch.paths)]
            refuse_overflow(code[_ordinary(batch)])
            yield Examined(batch, Evidence(code=code.cpu()))
        return
    for batch, complete, made, code in _each(network, batches, to_tensor):
        yield Examined(batch, _compared(network, complete, made, code).only(needed))


def evidence(network: Any, inputs: Tensor, vectors: Tensor, needed: Collection[str]) -> Evidence:
    """The evidence that is needed of vectors, (n, features), and of the inputs of the network that
    belong to them."""
    if {*needed} <= {CODE}:
        return Evidence(code=network.encode(inputs))
    complete = completed(network.scaling, vectors)
    code, made = traced(network, inputs)
    made = unscaled(network.scaling, made, complete)
    return _compared(network, complete, made, code).only(needed)


def _compared(network: Any, complete: Tensor, made: Tensor, code: Tensor) -> Evidence:
    """The evidence of complete vectors, their reconstructions and their codes."""
    factor = factor_of(network.scaling)
    differences = complete.cpu().double() - made.cpu().double()
    if factor is not None:
        differences = differences * factor.cpu()
    errors = differences.square().mean(1).nan_to_num(torch.inf)
    return Evidence(errors, code.cpu(), differences.float())


def _each(
    network: Any, batches: Iterable[VectorBatch], to_tensor: ToTensor
) -> Iterator[tuple[VectorBatch, Tensor, Tensor, Tensor]]:
    """Each batch with its vectors, complete, their reconstructions and their codes."""
    for batch in batches:
        inputs = to_tensor(batch)
        vectors = torch.from_numpy(batch.vectors).to(inputs.device)
        complete, made, code = _traced(network, inputs, vectors)
        ordinary = _ordinary(batch)
        refuse_overflow(code[ordinary], made[ordinary])
        yield batch, complete, made, code


def _ordinary(batch: VectorBatch) -> Tensor:
    """Whether each vector of a batch is small enough for any sensible weights, (n,)."""
    return torch.from_numpy(~(np.abs(batch.vectors) > FURTHEST).any(1))


def _refuse_too_large(batch: VectorBatch, *results: Tensor) -> None:
    """Raises DataError for the first vector of a batch for which a result is not finite."""
    finite = torch.stack([one.isfinite().all(1) for one in results]).all(0).tolist()
    if not all(finite):
        path = batch.paths[finite.index(False)]
        raise DataError(
            f"{path}: its values are too large: the model's output for it overflows 32-bit floats"
        )
