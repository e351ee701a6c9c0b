"""Crops of a photograph as normal images, and the same with planted defects of known place."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_image

import aectl as package

SHIFT = 12


def plant(photo: Image.Image, folder: Path, side: int, counts: dict[str, int], seed=0) -> None:
    """Writes `counts` of crops of side x side pixels, shifted, of another brightness and noisy, to
    sub-folders in the layout of MVTec AD; those in test/scratch and test/spot have a defect, and a
    mask in ground_truth.
    """
    random = np.random.default_rng(seed)
    for where, count in counts.items():
        for number in range(count):
            pixels = crop(photo, side, random)
            if where in ("test/scratch", "test/spot"):
                mask = defect(where, side, random)
                step = random.choice([-1, 1]) * random.uniform(40, 70)
                pixels[mask] += -step if abs(pixels[mask].mean() + step - 127) > 120 else step
                name = f"{where.replace('test', 'ground_truth')}/{number:03}_mask.png"
                save(folder / name, mask * 255.0)
            save(folder / where / f"{number:03}.png", pixels)


def inspect(folder: Path) -> None:
    """Writes a model of crops of a photo to `folder`/model, other normal ones to `normal`, and some
    with defects to `test`."""
    photo = Image.fromarray(load_sample_image("china.jpg"))
    counts = {"train": 120, "normal": 98, "test/good": 60, "test/scratch": 20, "test/spot": 20}
    plant(photo, folder, 32, counts)
    package.train(
        folder / "model", dataset=str(folder / "train"), size=[32], hidden=[24], epochs=50
    )


def crop(photo: Image.Image, side: int, random: np.random.Generator) -> NDArray[np.float64]:
    """A crop of the photo, (side, side, 3)."""
    left, top = random.integers(0, SHIFT, 2).tolist()
    width = min(photo.size) - SHIFT
    shrunk = photo.crop((left, top, left + width, top + width)).resize((side, side))
    return np.asarray(shrunk) * random.uniform(0.93, 1.07) + random.normal(0, 2, (side, side, 3))


def defect(where: str, side: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """The pixels of a scratch of two pixels' width, or of a spot of a radius of about two."""
    mask = Image.new("L", (side, side))
    draw, (x, y) = ImageDraw.Draw(mask), random.uniform(0.15, 0.85, 2) * side
    if where == "test/scratch":
        angle, half = random.uniform(0, np.pi), random.uniform(0.1, 0.17) * side
        across, down = np.cos(angle) * half, np.sin(angle) * half
        draw.line((x - across, y - down, x + across, y + down), 255, 2)
    else:
        radius = random.uniform(1.5, 3)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(mask) > 127


def save(path: Path, pixels: NDArray[np.float64]) -> None:
    """Writes pixels, 0 to 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(path)
