"""How well one class is told from the others by a model that learnt from it alone.

    python -m tests.benchmarks one-class OUT [FOLDER [OPTION...]]

FOLDER has `train` and `test` with a folder a class; without one, these are the digits of MNIST,
whose files OUT keeps, and AECTL_DATA_DIR names the folder of the datasets. Of each class, recipe
`one-class`, with the OPTIONs given, learns from nine tenths of the training images; the tenth that
it holds out calibrates the scores, which are fitted to what was learnt. Prints the areas under the
ROC curves of all test images, in percent, and for the cosine score the fraction of images of the
class that are flagged at a rate of 0.01.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

import aectl

from .commands import trained

SCORES = "cosine", "neighbours", "mahalanobis"
CALIBRATING, RATE = SCORES[0], 0.01


def digits(folder: Path) -> Path:
    """MNIST as files."""
    from torchvision.datasets import MNIST

    for part in ("train", "test"):
        if (folder / part).exists():
            continue
        whole = MNIST(os.environ["AECTL_DATA_DIR"], train=part == "train")
        for digit in range(10):
            (folder / "unfinished" / str(digit)).mkdir(parents=True)
        for number, (pixels, digit) in enumerate(zip(whole.data, whole.targets, strict=True)):
            name = folder / "unfinished" / str(int(digit)) / f"{number:05}.png"
            Image.fromarray(pixels.numpy()).save(name, compress_level=1)
        (folder / "unfinished").rename(folder / part)
    return folder


def area(model: Path, images: Path, name: str, score: str) -> tuple[float, float]:
    """The area under the ROC curve, and the fraction of images of the class that are flagged."""
    learnt = images / "train" / name
    found = aectl.detect(
        model, str(images / "test"), normal=str(learnt), fit_to=str(learnt), score=score,
        alarm_rate=RATE, label_from_folder=True, threads=1,
    )  # fmt: skip
    scores, others, flagged = [], [], []
    for one in found:
        scores += one.score.tolist()
        others += [label != name for label in one.labels]
        flagged += one.anomaly.tolist()
    alarms = np.array(flagged)[~np.array(others)].mean()
    return 100 * float(roc_auc_score(others, scores)), float(alarms)


def main() -> None:
    out, *rest = sys.argv[1:]
    images = Path(rest[0]) if rest else digits(Path(out) / "mnist")
    areas: dict[str, list[float]] = {score: [] for score in SCORES}
    print(f"{'class':12}", *(f"{score:>12}" for score in SCORES), "  flagged  seconds", flush=True)
    for folder in sorted((images / "train").iterdir()):
        name, start = folder.name, time.perf_counter()
        words = ("--recipe", "one-class", "--dataset", folder, "--validation", 0.1, *rest[1:])
        model, flagged = trained(Path(out) / f"of-{name}", *words), 0.0
        for score in SCORES:
            found, alarms = area(model, images, name, score)
            areas[score].append(found)
            flagged = alarms if score == CALIBRATING else flagged
        seconds = time.perf_counter() - start
        said = [f"{areas[score][-1]:12.2f}" for score in SCORES]
        print(f"{name:12}", *said, f"{flagged:9.4f} {seconds:8.0f}", flush=True)
    print(f"{'mean':12}", *(f"{statistics.mean(one):12.2f}" for one in areas.values()))


if __name__ == "__main__":
    main()
