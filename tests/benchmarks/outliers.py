"""How well errors of reconstruction find the rare class of a table, beside two other ways.

    python -m tests.benchmarks outliers OUT

Of each of scikit-learn's sets, one class is made rare: a twentieth as many rows, drawn anew with
each of five seeds, among all rows of the other classes. An autoencoder with the defaults and
`--scale standard` learns all of them, without labels, through a code of half as many units as there
are columns; `scaled_mse` of a row tells how unusual it is. Beside it, PCA with as many components
on standardised columns, and IsolationForest. Prints the mean and the standard deviation of the
areas under the ROC curves, in percent. OUT keeps the tables and the models.
"""

import csv
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from .commands import aectl, said, trained

SETS = {
    "breast cancer": (load_breast_cancer, 0),
    "wine": (load_wine, 2),
    "digits": (load_digits, 0),
}
"""Each set with the class that is made rare: malignant, the third cultivar, zeros."""

SEEDS, RARE = range(5), 20


class Table(NamedTuple):
    """Rows, (n, columns), and whether each is of the rare class."""

    rows: NDArray[np.float64]
    rare: NDArray[np.bool_]


def table(name: str, seed: int) -> Table:
    """A set with few rows of one class."""
    load, one = SETS[name]
    found = load()
    usual = np.flatnonzero(found.target != one)
    others = np.flatnonzero(found.target == one)
    drawn = np.random.default_rng(seed).choice(others, len(usual) // RARE, replace=False)
    chosen = np.sort(np.concatenate([usual, drawn]))
    return Table(found.data[chosen], found.target[chosen] == one)


def autoencoder(folder: Path, rows: NDArray[np.float64], components: int, seed: int) -> list[float]:
    """The `scaled_mse` of each row."""
    folder.mkdir(parents=True, exist_ok=True)
    data, errors = folder / "rows.npy", folder / "errors.csv"
    np.save(data, rows)
    options = ("--dataset", data, "--scale", "standard", "--hidden", components, "--seed", seed)
    model = trained(folder / "model", "-q", *options)
    aectl("eval", "-q", model, "--dataset", data, "--per-row", errors, "--overwrite")
    with errors.open() as file:
        return [float(row["scaled_mse"]) for row in csv.DictReader(file)]


def pca(rows: NDArray[np.float64], components: int) -> NDArray[np.float64]:
    """The squared error of each row."""
    x = StandardScaler().fit_transform(rows)
    found = PCA(components).fit(x)
    errors: NDArray[np.float64] = ((found.inverse_transform(found.transform(x)) - x) ** 2).sum(1)
    return errors


def main() -> None:
    out = Path(sys.argv[1])
    print(f"{'':14} {'rows':>6} {'rare':>5}  autoencoder    PCA            IsolationForest")
    for name in SETS:
        areas: dict[str, list[float]] = {"autoencoder": [], "pca": [], "forest": []}
        for seed in SEEDS:
            rows, rare = table(name, seed)
            components = rows.shape[1] // 2
            forest = IsolationForest(random_state=seed).fit(rows)
            scores = {
                "autoencoder": autoencoder(out / f"{name}-{seed}", rows, components, seed),
                "pca": pca(rows, components),
                "forest": -forest.score_samples(rows),
            }
            for way, of_rows in scores.items():
                areas[way].append(100 * roc_auc_score(rare, of_rows))
        told = "  ".join(f"{said(values):13}" for values in areas.values())
        print(f"{name:14} {len(rows):6} {rare.sum():5}  {told}", flush=True)


if __name__ == "__main__":
    main()
