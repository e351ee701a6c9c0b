"""A linear classifier on features: the error that shows how well they separate the classes."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from aectl.errors import DataError
from aectl.inference.results import Floats
from aectl.progress import SILENT, Progress


def probe_error(
    train: tuple[Floats, NDArray[np.int64]],
    test: tuple[Floats, NDArray[np.int64]],
    progress: Progress = SILENT,
) -> float:
    """Percentage of test images that a linear classifier on their features gets wrong.

    Each pair is features (n, features) and labels (n,). The classifier is scikit-learn's
    multinomial logistic regression, on features divided by the standard deviation of the train
    split. Raises DataError for features that are not finite.
    """
    from sklearn.linear_model import LogisticRegression

    features, labels = train
    if not (np.isfinite(features).all() and np.isfinite(test[0]).all()):
        raise DataError("--probe: the codes are not finite numbers")
    scale = features.std(dtype=np.float64) or 1.0
    probe = LogisticRegression(max_iter=1000, tol=1e-3)
    progress.awaited(partial(probe.fit, features / scale, labels), "fitting the probe")
    return float(100 * (1 - probe.score(test[0] / scale, test[1])))
