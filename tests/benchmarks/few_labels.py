"""A classifier of few labels of MNIST: on pixels, and on what autoencoders learnt of all images.

    python -m tests.benchmarks few-labels OUT RECIPES

For 100 and 1,000 labels, ten draws of them, the same for every way: classifiers on pixels, on a
frozen code, on encoders that are fine-tuned; scikit-learn's label spreading to the neighbours of
each image, on pixels and on a code; and a classifier that learns from all the labels it spread.
Prints the error on the test set, mean and standard deviation over the draws. OUT keeps what was
trained; RECIPES is the folder in which `recipes` keeps its models. AECTL_DATA_DIR names the
folder of the datasets.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.semi_supervised import LabelSpreading

from aectl.data.images.datasets import ImageSet, load
from aectl.data.splits import few_labels

from .commands import aectl, reports, said, trained

LABELS = (100, 1000)
DRAWS = range(10)
DATA = Path(os.environ["AECTL_DATA_DIR"])
COMMON = ("--dataset", "mnist", "--model", "classifier", "--shift", "1", "--weight-decay", "0.01")
LINEAR = ("--hidden", "")
MLP = ("--hidden", "1000,1000", "--dropout", "0.5")
ENCODERS = ("k-sparse", "denoising")
GRAPH = "deep-30"
TUNED = "denoising"
NEIGHBOURS = 8
EPOCHS_OF_SPREAD_LABELS = 10


def of_labels(folder: Path, *words: object) -> str:
    """The error of classifiers that learn from the labels alone."""
    models = [folder / f"seed-{seed}" for seed in DRAWS]
    if not all((model / "model.safetensors").exists() for model in models):
        options = ("--seeds", len(DRAWS), "--out", folder)
        aectl("train", "-q", "--overwrite", *COMMON, *words, *options)
    return said([report["error"] for report in reports(*models)])


class Spreading:
    """Label spreading (Zhou et al. 2004) over the nearest neighbours among the training images."""

    def __init__(self, train: np.ndarray, test: np.ndarray) -> None:
        self.train, self.test = train, test
        near = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute", n_jobs=-1).fit(train)
        among = near.kneighbors_graph(train)
        among.setdiag(0)
        self._of_train = among.maximum(among.T)
        self._of_test = near.kneighbors_graph(test).T

    def _kernel(self, _: np.ndarray, others: np.ndarray) -> object:
        return self._of_train if len(others) == len(self.train) else self._of_test

    def spread(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The labels of the training and the test images; of the given ones, -1 is unknown."""
        found = LabelSpreading(kernel=self._kernel, alpha=0.99, max_iter=2000).fit(
            self.train, labels
        )
        return found.transduction_, found.predict(self.test)


def draws(images: ImageSet, count: int) -> Iterator[np.ndarray]:
    """The labels that `aectl train --labels COUNT --seed N` sees, and -1 for all others."""
    for seed in DRAWS:
        kept = few_labels(images, np.arange(len(images)), count, seed)
        labels = np.full(len(images), -1)
        labels[kept] = images.labels[kept]
        yield labels


def with_labels(folder: Path, labels: np.ndarray) -> Path:
    """A data folder with MNIST's images, and these as the labels of its training set."""
    raw, name = folder / "MNIST" / "raw", "train-labels-idx1-ubyte"
    raw.mkdir(parents=True, exist_ok=True)
    for file in (DATA / "MNIST" / "raw").iterdir():
        if file.name != name and not (raw / file.name).exists():
            (raw / file.name).symlink_to(file)
    head = (DATA / "MNIST" / "raw" / name).read_bytes()[:8]
    (raw / name).write_bytes(head + labels.astype(np.uint8).tobytes())
    return folder


def spread(out: Path, encoder: Path, graph: Spreading) -> Iterator[tuple[str, str]]:
    """For each number of labels: the error of the spread labels, and of a classifier on them."""
    words = ("--recipe", "dropout", "--encoder", encoder, "--epochs", EPOCHS_OF_SPREAD_LABELS)
    for count in LABELS:
        found = list(spread_labels(graph, count))
        models = []
        for seed, (everywhere, _) in enumerate(found):
            folder = with_labels(out / f"spread-{count}" / f"draw-{seed}", everywhere)
            models.append(trained(folder / "run", *words, "--data-dir", folder, "--seed", seed))
        errors = said([error for _, error in found])
        yield errors, said([report["error"] for report in reports(*models)])


def spread_labels(graph: Spreading, count: int) -> Iterator[tuple[np.ndarray, float]]:
    """Of each draw: the labels of all training images, and the error on the test set."""
    train, test = (load("mnist", DATA, split=split) for split in ("train", "test"))
    for labels in draws(train, count):
        everywhere, predicted = graph.spread(labels)
        yield everywhere, 100 * float((predicted != test.labels).mean())


def pixels() -> Spreading:
    """The graph of MNIST's images as they are."""
    sets = (load("mnist", DATA, split=split) for split in ("train", "test"))
    return Spreading(*(one.images.reshape(len(one), -1).astype(np.float32) for one in sets))


def codes(out: Path, model: Path) -> Spreading:
    """The graph of the codes of MNIST."""
    tables = [out / f"{split}.npz" for split in ("train", "test")]
    for table in tables:
        aectl("encode", "-q", model, f"mnist:{table.stem}", "--out", table, "--overwrite")
    return Spreading(*(np.load(table)["features"] for table in tables))


def main() -> None:
    out, recipes = Path(sys.argv[1]), Path(sys.argv[2])
    ways: dict[str, tuple[object, ...]] = {"pixels, linear": LINEAR, "pixels, MLP 1000,1000": MLP}
    for name in ENCODERS:
        encoder = ("--encoder", recipes / name / "seed-0")
        ways[f"`{name}`, frozen, linear"] = (*LINEAR, *encoder)
        ways[f"`{name}`, fine-tuned"] = (*LINEAR, *encoder, "--fine-tune", "--dropout", "0.2")
    print("| error, percent | " + " | ".join(f"{count} labels" for count in LABELS) + " |")
    print("|---" * (len(LABELS) + 1) + "|")
    for number, (way, words) in enumerate(ways.items()):
        cells = [of_labels(out / f"{number}-{n}", *words, "--labels", n) for n in LABELS]
        print(f"| {way} | " + " | ".join(cells) + " |", flush=True)
    graph = pixels()
    cells = [said([error for _, error in spread_labels(graph, n)]) for n in LABELS]
    print("| labels spread on the pixels | " + " | ".join(cells) + " |", flush=True)
    graph = codes(out, recipes / GRAPH / "seed-0")
    both = zip(*spread(out, recipes / TUNED / "seed-0", graph), strict=True)
    names = (f"labels spread on the code of `{GRAPH}`", f"`{TUNED}`, fine-tuned on these labels")
    for way, errors in zip(names, both, strict=True):
        print(f"| {way} | " + " | ".join(errors) + " |", flush=True)


if __name__ == "__main__":
    main()
