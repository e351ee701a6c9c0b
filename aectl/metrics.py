"""What is measured, each figure defined once and summed up batch by batch in float64."""

import math

import torch
from torch import Tensor

from aectl.errors import DataError


class ReconstructionMetrics:
    """The figures of an autoencoder, over all images that `update` has seen."""

    def __init__(self, active_above: float | None) -> None:
        self.active_above = active_above
        self.images = 0

    def update(self, images: Tensor, reconstruction: Tensor, code: Tensor) -> Tensor:
        """Both images (batch, ...), in [0, 1]; code (batch, code_size).

        Returns the mean squared error of each image: (batch,).
        """
        if images.device.type == "mps":  # which has no float64
            images, reconstruction, code = images.cpu(), reconstruction.cpu(), code.cpu()
        x = images.flatten(1).double()
        squares = (reconstruction.flatten(1).double() - x).square()
        active = is_active(code, self.active_above)
        if self.images == 0:
            self._squares = self._x_squares = x.new_zeros(())
            self._x = x.new_zeros(x.shape[1])
            self._code = torch.zeros_like(code[0], dtype=torch.float64)
            self._active = torch.zeros_like(code[0], dtype=torch.int64)
        self.images += len(x)
        self._squares = self._squares + squares.sum()
        self._x += x.sum(0)
        self._x_squares = self._x_squares + x.square().sum()
        self._code += code.sum(0, dtype=torch.float64)
        self._active += active.sum(0)
        return squares.mean(1)

    @property
    def rho_hat(self) -> Tensor:
        """The mean activation of each unit: (code_size,)."""
        return (self._code / self.images).cpu()

    @property
    def active(self) -> Tensor:
        """The part of the images for which each unit is active: (code_size,)."""
        return (self._active.double() / self.images).cpu()

    def result(self) -> dict[str, float]:
        """Every figure by name; the design's section 4 says what each is."""
        if self.images == 0:
            raise DataError("there are no images to measure")
        pixels = len(self._x)
        squares = self._squares.item()
        mse = squares / (self.images * pixels)
        spread = self._x_squares.item() - self._x.square().sum().item() / self.images
        return {
            "mse": mse,
            "sse": squares / self.images,
            "psnr": -10 * math.log10(mse) if mse else math.inf,
            "explained_variance": 1 - squares / spread if spread > 0 else math.nan,
            "mean_activation": self.rho_hat.mean().item(),
            "l0": self.active.sum().item(),
            "dead": (self.active == 0).double().mean().item(),
        }


def is_active(code: Tensor, active_above: float | None) -> Tensor:
    """Which units of a code count as active: those above a line, or where there is none, not 0."""
    return code != 0 if active_above is None else code > active_above


class ClassificationMetrics:
    """The figures of a classifier, over all images that `update` has seen."""

    def __init__(self, classes: int) -> None:
        self._confusion = torch.zeros(classes, classes, dtype=torch.int64)

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Both (batch,): indices of classes."""
        classes = len(self._confusion)
        pairs = (labels * classes + predictions).cpu()
        self._confusion += torch.bincount(pairs, minlength=classes**2).view(classes, classes)

    def result(self) -> dict[str, object]:
        """accuracy (a fraction), error (percent), confusion (a row a true class)."""
        total = int(self._confusion.sum())
        if total == 0:
            raise DataError("there are no labelled images to measure")
        right = int(self._confusion.diagonal().sum())
        return {
            "accuracy": right / total,
            "error": 100 * (total - right) / total,
            "confusion": self._confusion.tolist(),
        }


class PCA:
    """Principal components of images, from the sums of a single pass over them."""

    def __init__(self) -> None:
        self._images = 0

    def update(self, images: Tensor) -> None:
        """images: (batch, ...)."""
        x = images.cpu().flatten(1).double()
        if self._images == 0:
            self._sum = x.new_zeros(x.shape[1])
            self._products = x.new_zeros(x.shape[1], x.shape[1])
        self._images += len(x)
        self._sum += x.sum(0)
        self._products += x.T @ x

    def fit(self, components: int) -> "Projection":
        """The projection on the `components` directions of largest variance."""
        if self._images == 0:
            raise DataError("there are no images to fit PCA to")
        mean = self._sum / self._images
        covariance = self._products / self._images - torch.outer(mean, mean)
        directions = torch.linalg.eigh(covariance).eigenvectors
        return Projection(mean, directions[:, -components:])


class Projection:
    """x -> mean + V V^T (x - mean): the linear autoencoder of the smallest squared error."""

    def __init__(self, mean: Tensor, directions: Tensor) -> None:
        self.mean, self.directions = mean, directions

    def reconstruct(self, images: Tensor) -> Tensor:
        """images -> reconstruction, both (batch, ...)."""
        x = images.cpu().flatten(1).double() - self.mean
        return ((x @ self.directions) @ self.directions.T + self.mean).view(images.shape)
