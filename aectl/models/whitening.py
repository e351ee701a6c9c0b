"""Contrast normalisation and whitening of patches, or of images that are one patch each."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

CONTRAST = 10 / 255**2
"""Added to the variance of a patch before division by its standard deviation (Coates et al.,
section 3.1.1, where pixels are 0 to 255)."""


class Whitened(NamedTuple):
    """Whitened patches: (..., values); the mean and the deviation of their pixels: (..., 1)."""

    values: Tensor
    mean: Tensor
    deviation: Tensor


class Whitening(nn.Module):
    """Divides patches by their contrast, and decorrelates their pixels (ZCA).

    x = (p - mean(p)) / sqrt(var(p) + 10 / 255^2); whitened = V (E + epsilon)^(-1/2) V' (x - m), for
    the mean m and the covariance V E V' of x over the training patches (Coates et al., section
    3.1). The inverse of the matrix is kept, because it takes long to compute.
    """

    center: Tensor
    matrix: Tensor
    inverse: Tensor

    def __init__(self, values: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(values))
        self.register_buffer("matrix", torch.eye(values))
        self.register_buffer("inverse", torch.eye(values))

    @torch.no_grad()
    def fit(self, patches: Tensor, epsilon: float) -> None:
        """Sets the center and the matrix for training patches: (n, values), in [0, 1]."""
        contrasts = _contrasts(patches).values
        center = contrasts.mean(0, dtype=torch.float64)
        x = contrasts - center.float()
        covariance = (x.t() @ x).double() / max(1, len(x) - 1)
        variances, components = torch.linalg.eigh(covariance)
        scales = (variances.clamp(min=0) + epsilon).rsqrt()
        self.center.copy_(center)
        self.matrix.copy_((components * scales) @ components.t())
        self.inverse.copy_((components / scales) @ components.t())

    def forward(self, patches: Tensor) -> Whitened:
        """patches: (..., values), in [0, 1]."""
        centred = self.centred(patches)
        return centred._replace(values=centred.values @ self.matrix)

    def centred(self, patches: Tensor) -> Whitened:
        """patches: (..., values) -> x - m, whose product with `matrix` is whitened."""
        contrasts = _contrasts(patches)
        return contrasts._replace(values=contrasts.values - self.center)

    def undone(self, whitened: Whitened) -> Tensor:
        """The patches, (..., values), that `forward` gives these for."""
        contrasts = whitened.values @ self.inverse + self.center
        patches: Tensor = contrasts * whitened.deviation + whitened.mean
        return patches


def _contrasts(patches: Tensor) -> Whitened:
    """Patches with mean 0, divided by their deviations, not yet decorrelated."""
    values, mean, inverse = torch.native_layer_norm(
        patches, [patches.shape[-1]], None, None, CONTRAST
    )
    return Whitened(values, mean, 1 / inverse)
