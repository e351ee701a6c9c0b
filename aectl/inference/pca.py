"""Principal component analysis of images or vectors, the best linear autoencoder, as a baseline."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.errors import DataError
from aectl.inference.explained_variance import EPSILON
from aectl.progress import SILENT, Progress

LARGEST_SIDE = 16_384
"""Maximum side of the matrix whose eigenvectors are computed: 2 GB, some minutes."""

COLUMNS = 4096
"""Number of pixels of all images that are converted to float64 at a time."""


@torch.inference_mode()
def pca_mse(
    train: Iterable[Any],
    test: Iterable[Any],
    values: Callable[[Any], NDArray[Any]],
    components: int,
    progress: Progress = SILENT,
) -> float:
    """Mean squared error per value, on `test`, of PCA with `components` fitted on `train`; `values`
    gives the images or vectors of a batch, (n, ...).
    """
    pca = PCA()
    for batch in progress.counted(train, "reading for PCA"):
        SILENT.awaited(partial(pca.update, torch.from_numpy(values(batch))), "")
    projection = progress.awaited(partial(pca.fit, components), "fitting PCA")
    squares, count = 0.0, 0
    for batch in progress.counted(test, "measuring PCA"):
        x = torch.from_numpy(values(batch))
        made = SILENT.awaited(partial(projection.reconstruct, x), "")
        squares += (made - x).square().sum().item()
        count += x.numel()
    return squares / count


class PCA:
    """Principal components of images, computed in a single pass over them.

    For n images of d pixels, the directions are eigenvectors of the covariance, d x d, or computed
    from those of the Gram matrix of the images, n x n, whichever is smaller: up to d images are
    kept in memory; of more images, only sums are kept.
    """

    def __init__(self) -> None:
        self._images = 0
        self._kept: list[Tensor] = []
        self._products: Tensor | None = None

    def update(self, images: Tensor) -> None:
        """Adds images: (batch, ...). Raises DataError if there are too many large images."""
        x = images.cpu().flatten(1)
        if self._images == 0:
            self._sum = x.new_zeros(x.shape[1], dtype=torch.float64)
        self._images += len(x)
        self._sum += x.sum(0, dtype=torch.float64)
        side = min(self._images, x.shape[1])
        if side > LARGEST_SIDE:
            raise DataError(
                f"--pca takes at most {LARGEST_SIDE:,} inputs if they have more values than"
                f" that; these have {x.shape[1]:,}: leave it out, or use fewer inputs"
            )
        self._kept.append(x)
        if self._images > x.shape[1]:
            self._sum_up()

    def fit(self, components: int) -> "Projection":
        """The projection on the `components` directions of largest variance."""
        if self._images == 0:
            raise DataError("there are no inputs to fit PCA to")
        mean = self._sum / self._images
        if self._products is not None:
            covariance = self._products / self._images - torch.outer(mean, mean)
            return Projection(mean, _leading(covariance, components)[1])
        x = torch.cat(self._kept)
        blocks = [slice(first, first + COLUMNS) for first in range(0, x.shape[1], COLUMNS)]
        products = torch.zeros(len(x), len(x), dtype=torch.float64)
        for block in blocks:
            centred = x[:, block] - mean[block]
            products += centred @ centred.T
        values, vectors = _leading(products, components)
        weights = vectors / values.sqrt()
        directions = [(x[:, block] - mean[block]).T @ weights for block in blocks]
        return Projection(mean, torch.cat(directions))

    def _sum_up(self) -> None:
        for kept in self._kept:
            x = kept.double()
            products = x.T @ x
            self._products = products if self._products is None else self._products + products
        self._kept = []


def _leading(matrix: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The `most` largest eigenvalues of a positive semi-definite matrix, and their eigenvectors as
    columns, without eigenvalues that are 0 up to rounding errors.
    """
    values, vectors = torch.linalg.eigh(matrix)
    values, vectors = values[-most:], vectors[:, -most:]
    kept = values > len(matrix) * EPSILON * values[-1].clamp(min=0)
    return values[kept], vectors[:, kept]


class Projection:
    """x -> mean + V V^T (x - mean): the linear autoencoder with the smallest squared error."""

    def __init__(self, mean: Tensor, directions: Tensor) -> None:
        self.mean, self.directions = mean, directions

    def reconstruct(self, images: Tensor) -> Tensor:
        """images -> reconstruction, both (batch, ...)."""
        x = images.cpu().flatten(1).double() - self.mean
        return ((x @ self.directions) @ self.directions.T + self.mean).view(images.shape)
