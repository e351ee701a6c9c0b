"""How well planted scratches and spots are found, and where, with the defaults and with less.

    python -m tests.benchmarks planted-defects OUT [PHOTO...]

Of each photo (by default the two of scikit-learn), 200 shifted, noisy crops of 64x64 pixels train a
model, 200 others calibrate it, and 40 more and 40 with a planted defect measure it. Prints, of each
model and score, the AUROC of images and of pixels, PRO, and the fractions of normal and of
defective images that are flagged at a rate of 0.02. OUT keeps the images and the models.
"""

import json
import sys
import time
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

from tests.planted import plant

from .commands import aectl, trained

COUNTS = {"train": 200, "normal": 200, "test/good": 40, "test/scratch": 20, "test/spot": 20}
MODELS = {
    "defaults": (),
    "dense-32": ("--model", "autoencoder", "--hidden", 32, "--size", 64),
}
SCORES = "error", "region", "unusual-region"
RATE = 0.02


def photos(paths: list[str]) -> dict[str, Image.Image]:
    if paths:
        return {Path(path).stem: Image.open(path).convert("RGB") for path in paths}
    return {name: Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")}


def main() -> None:
    out = Path(sys.argv[1])
    for name, photo in photos(sys.argv[2:]).items():
        folder = out / name
        if not folder.exists():
            plant(photo, folder, 64, COUNTS)
        for model, options in MODELS.items():
            start = time.perf_counter()
            run = trained(folder / model, "--dataset", folder / "train", *options)
            print(f"{name}, {model}: trained in {time.perf_counter() - start:.0f} s")
            for score in SCORES:
                words = ("--dataset", folder / "test", "--normal", folder / "normal", "--detect")
                how = ("--score", score, "--alarm-rate", RATE)
                (found,) = json.loads(aectl("eval", "-q", "--json", run, *words, *how))
                names = ("auroc", "pixel_auroc", "pro", "false_alarms", "detected")
                print(f"  {score:15}", *(f"{one} {found[one]:.3f}" for one in names), flush=True)


if __name__ == "__main__":
    main()
