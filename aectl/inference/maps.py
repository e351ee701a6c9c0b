"""Maps of codes: points in two dimensions, by PCA, t-SNE or UMAP."""

import importlib
from collections.abc import Callable, Sequence

import numpy as np
import torch

from aectl.errors import ConfigError
from aectl.inference.results import Floats

FEWEST_MAPPED = 3
LARGEST_MAPPED = 1e9


def maps_of(features: Floats, methods: Sequence[str]) -> dict[str, Floats]:
    """The points, (n, 2), of features, (n, width), by PCA and by each of the other `methods`.

    Raises ConfigError if a method needs a missing package.
    """
    features = _small_enough(features)
    return {name: MAPS[name](features) for name in dict.fromkeys(("pca", *methods))}


def explained_by_map(features: Floats, points: Floats) -> float:
    """The fraction of the variance of features, (n, width), that the points of PCA have."""
    whole = np.var(features, 0, dtype=np.float64).sum()
    return float(np.var(points, 0, dtype=np.float64).sum() / whole) if whole else 1.0


def _small_enough(features: Floats) -> Floats:
    """Divides features by their maximum if their squares might overflow 32-bit floats."""
    largest = np.abs(features).max(initial=0)
    return features / largest if largest > LARGEST_MAPPED else features


def _pca(features: Floats) -> Floats:
    """Projects features on the two directions of largest variance, with fixed signs: the largest
    absolute coordinate of each is positive.
    """
    x = torch.from_numpy(features).float()
    x = x - x.mean(0)
    few = min(6, *x.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, _, directions = torch.pca_lowrank(x, q=few, center=False, niter=8)
    points = torch.nn.functional.pad(x @ directions[:, :2], (0, 2 - min(2, few)))
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    return (points * torch.where(largest < 0, -1, 1)).numpy()


def _tsne(features: Floats) -> Floats:
    from sklearn.manifold import TSNE

    if len(features) < FEWEST_MAPPED:
        raise ConfigError(f"--map tsne needs at least {FEWEST_MAPPED} images, not {len(features)}")
    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    spread = features.shape[1] > 1 and (features != features[0]).any()
    tsne = TSNE(perplexity=perplexity, init="pca" if spread else "random", random_state=0)
    made: Floats = tsne.fit_transform(features)
    return made


def _umap(features: Floats) -> Floats:
    try:
        umap = importlib.import_module("umap")
    except ImportError:
        raise ConfigError("--map umap needs a package: pip install umap-learn") from None
    made: Floats = umap.UMAP(random_state=0).fit_transform(features)
    return made


MAPS: dict[str, Callable[[Floats], Floats]] = {"pca": _pca, "tsne": _tsne, "umap": _umap}
"""Methods that map codes to two dimensions, by the name that users type."""
