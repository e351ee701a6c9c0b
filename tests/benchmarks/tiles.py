"""How well real defects of a texture are found, and where, beside simpler ways.

    python -m tests.benchmarks tiles INSPECTION OUT [OPTION...]

INSPECTION is a folder in the layout of MVTec AD: `train/good`, `test/good`, `test/DEFECT` and
`ground_truth/DEFECT`. Recipe `textures`, with the OPTIONs given, learns from four fifths of the
normal images, with three seeds; the fifth that it holds out calibrates the score, which is fitted
to what was learnt. Prints the AUROC of images and of pixels, and PRO. Beside it, at the same size,
from all normal images: reconstruction by PCA with 1 to 40 components, by its mean error, its worst
regions, and the error of each pixel, as it is and smoothed over 1/16 and 1/8 of the side; the mean
distance to the 1, 2 and 5 nearest normal images of 8x8 to 32x32 pixels; and by its mean error a
convolutional autoencoder with the defaults. Of each of these the best is told, chosen on the test
images, which flatters them. OUT keeps the models.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from torch import Tensor

from aectl.data.images.decode import decode
from aectl.data.images.masks import GOOD, mask_of
from aectl.inference import detection_metrics as metrics
from aectl.inference.error_maps import smoothed, worst_regions

from .commands import aectl, trained

SIDE, SEEDS, RATE = 256, range(3), 0.05
COMPONENTS, SMALL, NEAREST, SMOOTHED = (1, 2, 3, 5, 10, 20, 40), (8, 16, 32), (1, 2, 5), (16, 8)
NAMES = "auroc", "pixel_auroc", "pro"


class Images:
    """All images of a folder and its sub-folders: `pixels`, (n, 1, side, side), and whether each
    is `anomalous`, and each of its pixels, `marked`."""

    def __init__(self, folder: Path) -> None:
        files = sorted(path for path in folder.glob("*/*") if path.is_file())
        labels = [path.parent.name for path in files]
        decoded = np.stack([decode(path, (1, SIDE, SIDE)) for path in files])
        self.pixels = torch.from_numpy(decoded).float() / 255
        self.anomalous = np.array(labels) != GOOD
        masks = [
            mask_of(path, label, (SIDE, SIDE)) for path, label in zip(files, labels, strict=True)
        ]
        self.marked = np.stack([one for one in masks if one is not None])


def detector(inspection: Path, out: Path, seed: int, *options: str) -> dict[str, float]:
    """The metrics of the recipe."""
    good = inspection / "train"
    run = trained(out / f"textures-{seed}", "--recipe", "textures", "--dataset", good,
                  "--validation", 0.2, "--seed", seed, *options)  # fmt: skip
    how = ("--detect", "--normal", good, "--fit-to", good, "--score", "places")
    words = ("--dataset", inspection / "test", *how, "--alarm-rate", RATE)
    found: list[dict[str, float]] = json.loads(aectl("eval", "-q", "--json", run, *words))
    return found[0]


def convolutional(inspection: Path, out: Path) -> dict[str, float]:
    """The metrics of the mean error of a convolutional autoencoder with the defaults."""
    good = inspection / "train"
    run = trained(out / "convolutional", "--model", "conv-autoencoder", "--dataset", good,
                  "--size", SIDE, "--validation", 0.2)  # fmt: skip
    words = ("--dataset", inspection / "test", "--detect", "--score", "error")
    found: list[dict[str, float]] = json.loads(
        aectl("eval", "-q", "--json", run, *words, "--normal", good, "--alarm-rate", RATE)
    )
    return found[0]


def by_pca(normal: Images, test: Images) -> Iterator[tuple[str, dict[str, float]]]:
    """The metrics of reconstruction by PCA: of each way to make a score or a map, by its name."""
    known, new = normal.pixels.flatten(1).numpy(), test.pixels.flatten(1).numpy()
    for count in COMPONENTS:
        pca = PCA(count, random_state=0).fit(known)
        errors = (new - pca.inverse_transform(pca.transform(new))) ** 2
        maps = torch.from_numpy(errors.astype(np.float32)).view(-1, SIDE, SIDE)
        regions = np.log(worst_regions(maps)).mean(1)
        scores = {"mean error": errors.mean(1), "worst regions": regions}
        for name, score in scores.items():
            yield f"PCA, {name}", {"auroc": metrics.auroc(score, test.anomalous)}
        yield "PCA, error of a pixel", of_pixels(maps, test)
        for part in SMOOTHED:
            smooth = smoothed(maps, SIDE / part)
            yield f"PCA, error of a pixel, smoothed over 1/{part}", of_pixels(smooth, test)


def of_pixels(maps: Tensor, test: Images) -> dict[str, float]:
    """The metrics of the pixels of maps, (n, side, side)."""
    values = maps.numpy()
    return {
        "pixel_auroc": metrics.pixel_auroc(values, test.marked),
        "pro": metrics.pro(values, test.marked),
    }


def by_nearest(normal: Images, test: Images) -> Iterator[tuple[str, dict[str, float]]]:
    """The metrics of distances to the nearest of small normal images."""
    for side in SMALL:
        known, new = (
            F.interpolate(one.pixels, (side, side), mode="area").flatten(1)
            for one in (normal, test)
        )
        distances = torch.cdist(new, known)
        for count in NEAREST:
            score = distances.topk(count, largest=False).values.mean(1).numpy()
            yield "nearest images", {"auroc": metrics.auroc(score, test.anomalous)}


def main() -> None:
    inspection, out, *options = sys.argv[1:]
    folder, kept = Path(inspection), Path(out)
    for seed in SEEDS:
        start = time.perf_counter()
        told = detector(folder, kept, seed, *options)
        say(f"textures, places, seed {seed}", told, time.perf_counter() - start)
    normal, test = Images(folder / "train"), Images(folder / "test")
    best: dict[str, dict[str, float]] = {}
    for name, found in [*by_pca(normal, test), *by_nearest(normal, test)]:
        known = best.setdefault(name, found)
        best[name] = {one: max(value, known[one]) for one, value in found.items()}
    for name, found in best.items():
        say(f"{name} (the best)", found)
    start = time.perf_counter()
    say("conv-autoencoder, error", convolutional(folder, kept), time.perf_counter() - start)


def say(name: str, found: dict[str, float], seconds: float | None = None) -> None:
    shown = " ".join(f"{one} {found[one]:.3f}" for one in NAMES if one in found)
    took = "" if seconds is None else f"  {seconds:.0f} s"
    print(f"{name:48} {shown}{took}", flush=True)


if __name__ == "__main__":
    main()
