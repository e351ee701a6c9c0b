"""How the cost of training grows: with epochs, with width, and the memory with a million images.

    python -m tests.benchmarks growth

Random images of 28x28 in MNIST's files, 784-N-784, batch 256; seconds of the whole process and the
most memory that it held, the set's own included.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from .commands import AECTL

SIDE = 28
CASES = ((60_000, 392, 1), (60_000, 392, 10), (60_000, 784, 10), (60_000, 1568, 10),
         (1_000_000, 392, 1))  # fmt: skip


def mnist_of(folder: Path, count: int) -> Path:
    """A data folder with so many random images as MNIST's training set, and 10,000 to test."""
    raw = folder / f"{count}" / "MNIST" / "raw"
    if not raw.exists():
        raw.mkdir(parents=True)
        chance = np.random.default_rng(0)
        for split, images in {"train": count, "t10k": 10_000}.items():
            with (raw / f"{split}-images-idx3-ubyte").open("wb") as file:
                file.write(np.array([0x803, images, SIDE, SIDE], ">i4").tobytes())
                chance.integers(0, 256, (images, SIDE, SIDE), np.uint8).tofile(file)
            with (raw / f"{split}-labels-idx1-ubyte").open("wb") as file:
                file.write(np.array([0x801, images], ">i4").tobytes())
                chance.integers(0, 10, images, np.uint8).tofile(file)
    return raw.parents[1]


def main() -> None:
    print("| images | units | epochs | seconds | GiB at most |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count, units, epochs in CASES:
            data = mnist_of(Path(folder), count)
            words = ["train", "-q", "--dataset", "mnist", "--data-dir", data, "--hidden", units,
                     "--epochs", epochs, "--batch-size", 256, "--overwrite",
                     "--out", Path(folder) / "run"]  # fmt: skip
            begun = time.perf_counter()
            process = subprocess.Popen([*AECTL, *map(str, words)], stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            assert status == 0
            taken, held = time.perf_counter() - begun, used.ru_maxrss / 2**20
            print(f"| {count:,} | {units} | {epochs} | {taken:.1f} | {held:.2f} |", flush=True)
