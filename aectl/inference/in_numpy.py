"""Uses of a dense network on batches without torch, on the CPU."""

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
    """A network, and the number of threads that compute its products.

    `stored` gives the inputs of a batch, (n, ...), of which `unit` is 1 for the network.
    """

    network: NumpyNetwork
    stored: Callable[[Any], NDArray[Any]]
    unit: int
    threads: int

    def encode(self, batches: Iterable[Any], layer: int | None) -> Iterator[tuple[Any, Floats]]:
        """Yields each batch with its codes, or with the outputs of a hidden layer: (n, units)."""
        for batch in batches:
            yield batch, self._made(lambda x: self.network.network.encode(x, layer), batch)

    def classify(self, batches: Iterable[Any], top_k: int) -> Iterator[Classified]:
        """Yields each batch with the `top_k` most probable classes of its inputs; of equally
        probable ones, those that are named first."""
        for batch in batches:
            found = self._made(self.network.network.probabilities, batch)
            best = np.argsort(-found, axis=1, kind="stable")[:, :top_k]
            yield Classified(batch, best, np.take_along_axis(found, best, 1))

    def _made(self, use: Callable[[Floats], Floats], batch: Any) -> Floats:
        with _blas().limit(limits=self.threads, user_api="blas"), np.errstate(all="ignore"):
            return self.network.apply(use, self.stored(batch), self.unit)


@functools.cache
def _blas() -> Any:
    """Sets the number of threads of NumPy's products, which is that of the process."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
