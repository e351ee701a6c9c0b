"""Inference with dense networks in NumPy, each method a generator over batches."""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.inference.results import Classified, Floats
from aectl.models.numpy_networks import NumpyNetwork


@dataclass(frozen=True)
class InNumpy:
    """A dense network in NumPy, and how batches become its inputs.

    stored: returns the inputs of a batch, (n, ...). unit: the value in them that is 1 for the
    network, such as 255 for pixels. threads: the number of CPU threads of matrix products.
    """

    network: NumpyNetwork
    stored: Callable[[Any], NDArray[Any]]
    unit: int
    threads: int

    def encode(self, batches: Iterable[Any], layer: int | None) -> Iterator[tuple[Any, Floats]]:
        """Yields each batch with its codes, or with the outputs of the hidden `layer`, from 1: (n,
        units)."""
        for batch in batches:
            yield batch, self._made(lambda x: self.network.network.encode(x, layer), batch)

    def classify(self, batches: Iterable[Any], top_k: int) -> Iterator[Classified]:
        """Yields each batch with the `top_k` most probable classes of its inputs. Among equally
        probable classes, the first in the list of classes come first."""
        for batch in batches:
            found = self._made(self.network.network.probabilities, batch)
            best = np.argsort(-found, axis=1, kind="stable")[:, :top_k]
            yield Classified(batch, best, np.take_along_axis(found, best, 1))

    def _made(self, use: Callable[[Floats], Floats], batch: Any) -> Floats:
        with _blas().limit(limits=self.threads, user_api="blas"), np.errstate(all="ignore"):
            return self.network.apply(use, self.stored(batch), self.unit)


@functools.cache
def _blas() -> Any:
    """Returns the controller of the number of threads of the BLAS library that NumPy calls; the
    number applies to the whole process."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
