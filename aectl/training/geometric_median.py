"""The geometric median of vectors: the point with the smallest mean distance to them.

A few vectors far from all others, as networks of language have them, move the mean, and hardly move
the geometric median.
"""

import torch
from torch import Tensor

STEPS, CLOSE = 50, 1e-6
"""Steps of the algorithm, and the distance, relative to the mean, below which vectors count as at
the point."""

FEWEST, MOST_VALUES = 1000, 1 << 22
"""Vectors that are always looked at, and numbers of them up to which more are."""


@torch.no_grad()
def geometric_median(vectors: Tensor) -> Tensor:
    """The geometric median of vectors, or of a part of them, evenly spaced (Weiszfeld 1937).

    (n, features) -> (features,).
    """
    rows = max(FEWEST, MOST_VALUES // vectors.shape[1])
    x = vectors[:: -(-len(vectors) // rows)]
    median = x.mean(0)
    for _ in range(STEPS):
        distances = torch.linalg.vector_norm(x - median, dim=1)
        close = CLOSE * distances.mean() + torch.finfo(x.dtype).tiny
        weights = close / distances.clamp(min=close)
        median = (weights / weights.sum()) @ x
    return median
