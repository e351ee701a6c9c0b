"""The scaling of vectors, which a model keeps: what a network takes, and back."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from aectl.config.model_options import ModelConfig
from aectl.models.numpy_scaling import (
    ADDED_TO_DEVIATION,
    FACTOR,
    LAYER_NORM,
    MEAN,
    OFFSET,
    UNIT_NORM,
)


class Scaling(nn.Module):
    """x -> (x - offset) * factor, x / ||x||, or (x - m) / (s + 1e-5) with the mean m and the
    standard deviation s of the features of x, with `fill` in place of values that are missing.

    offset, factor, fill: (features,), or None. A feature that is constant has the factor 1.
    """

    offset: Tensor | None
    factor: Tensor | None
    fill: Tensor | None

    def __init__(self, features: int, scale: str, missing: str) -> None:
        super().__init__()
        self._scale = scale
        self.register_buffer("offset", torch.zeros(features) if scale in OFFSET else None)
        self.register_buffer("factor", torch.ones(features) if scale in FACTOR else None)
        self.register_buffer("fill", torch.zeros(features) if missing == MEAN else None)

    @torch.no_grad()
    def fit(self, blocks: Iterable[Tensor]) -> None:
        """Sets the numbers for the vectors of a training set, in blocks: (n, features) each."""
        found = Moments()
        for block in blocks:
            found.add(block)
        if self.offset is not None:
            self.offset.copy_(found.least if self._scale == "minmax" else found.mean)
        if self.factor is not None:
            width = found.most - found.least if self._scale == "minmax" else found.deviation
            self.factor.copy_(torch.where(width > 0, 1 / width, 1.0))
        if self.fill is not None:
            self.fill.copy_(found.mean)

    def complete(self, vectors: Tensor) -> Tensor:
        """(n, features), with NaN where a value is missing -> the same, with `fill` there."""
        return vectors if self.fill is None else vectors.where(~vectors.isnan(), self.fill)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, features), complete -> the input of the network, of the same shape."""
        if self._scale == UNIT_NORM:
            return vectors / _norms(vectors)
        if self._scale == LAYER_NORM:
            mean, deviation = _of_features(vectors)
            return (vectors - mean) / (deviation + ADDED_TO_DEVIATION)
        if self.offset is not None:
            vectors = vectors - self.offset
        return vectors if self.factor is None else vectors * self.factor

    def back(self, made: Tensor, vectors: Tensor | None) -> Tensor:
        """The output of the network -> reconstructions of `vectors`, both (n, features); of those
        without length, or without mean and deviation, if None."""
        if self._scale == UNIT_NORM:
            return made if vectors is None else made * _norms(vectors)
        if self._scale == LAYER_NORM:
            mean, deviation = (0.0, 1.0) if vectors is None else _of_features(vectors)
            return made * deviation + mean
        if self.factor is not None:
            made = made / self.factor
        return made if self.offset is None else made + self.offset


def factor_of(scaling: Scaling | None) -> Tensor | None:
    """The factor of each feature, (features,); None if features keep their units."""
    return None if scaling is None else scaling.factor


def scaling_of(config: ModelConfig, features: int) -> Scaling | None:
    """The scaling that a config asks for, yet without numbers; None if vectors stay as they are."""
    if config.scale == "none" and config.missing != MEAN:
        return None
    return Scaling(features, config.scale, config.missing)


def completed(scaling: Scaling | None, vectors: Tensor) -> Tensor:
    """Vectors, (n, features), NaN where a value is missing -> the same, with what stands for it."""
    return vectors if scaling is None else scaling.complete(vectors)


def scaled(scaling: Scaling | None, vectors: Tensor) -> Tensor:
    """Vectors, (n, features), NaN where a value is missing -> the input of a network."""
    return vectors if scaling is None else scaling(scaling.complete(vectors))


def unscaled(scaling: Scaling | None, made: Tensor, vectors: Tensor | None) -> Tensor:
    """The output of a network in the units of its inputs; `vectors`: those, complete, or None where
    they are not known."""
    return made if scaling is None else scaling.back(made, vectors)


def _norms(vectors: Tensor) -> Tensor:
    """The length of each vector, (n, 1); 1 for a vector of zeros."""
    norms = vectors.norm(dim=1, keepdim=True)
    found: Tensor = norms.where(norms > 0, 1.0)
    return found


def _of_features(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of the features of each vector, (n, 1): the root of the
    sum of squares divided by one less than their number."""
    mean = vectors.mean(dim=1, keepdim=True)
    squares = (vectors - mean).square().sum(dim=1, keepdim=True)
    return mean, (squares / max(1, vectors.shape[1] - 1)).sqrt()


class Moments:
    """The mean, the standard deviation and the range of each feature, over all calls of `add`, in
    float64; values that are missing, NaN, do not count."""

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def add(self, vectors: Tensor) -> None:
        """Adds a block: (n, features)."""
        vectors = vectors.double()
        if self._first is None:
            zeros = vectors.new_zeros(vectors.shape[1])
            self._first, self._sum, self._squares, self._count = zeros, zeros, zeros, zeros
            self.least, self.most = zeros + torch.inf, zeros - torch.inf
            self._first = _mean(vectors)
        there = ~vectors.isnan()
        from_first = (vectors - self._first).where(there, 0)
        self._sum = self._sum + from_first.sum(0)
        self._squares = self._squares + from_first.square().sum(0)
        self._count = self._count + there.sum(0)
        self.least = torch.minimum(self.least, vectors.where(there, torch.inf).amin(0))
        self.most = torch.maximum(self.most, vectors.where(there, -torch.inf).amax(0))

    @property
    def mean(self) -> Tensor:
        """(features,); 0 where all values are missing."""
        assert self._first is not None
        found: Tensor = self._first + self._sum / self._count.clamp(min=1)
        return found

    @property
    def deviation(self) -> Tensor:
        """(features,): 0 of a feature whose values are all the same."""
        count = self._count.clamp(min=1)
        variance = self._squares / count - (self._sum / count).square()
        same = self.most <= self.least
        found: Tensor = variance.clamp(min=0).sqrt().where(~same, 0)
        return found


def _mean(vectors: Tensor) -> Tensor:
    """The mean of each feature over the values that are there; 0 without any."""
    return vectors.nanmean(0).nan_to_num()
