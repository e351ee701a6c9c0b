"""The pace of `aectl detect` beside that of `aectl encode`, in processor time.

    python -m tests.benchmarks detect OUT ../shared/data/MNIST ../shared/data/photos [TURNS]

10,000 digits of MNIST as PNG files, with a dense model, and a folder of photos, with the default
model for these. Models that are calibrated with each of four scores detect without `--normal` and
without maps. Whole commands are run in turns; prints the seconds of user and system time of each,
medians over the turns, and the median over the turns of the pace of `detect` in percent of that of
`encode`. OUT keeps the models and the digits.
"""

import os
import statistics
import sys
from pathlib import Path

from .commands import AECTL, run, say, trained
from .encode import digits

COUNT, TURNS = 10_000, 5
SCORES = "error", "region", "unusual-region", "neighbours"
RATE = 0.1


def processor_seconds(*words: object) -> float:
    """The user and system time of a command and of all its processes."""
    before = sum(os.times()[2:4])
    run([*AECTL, *words])
    return sum(os.times()[2:4]) - before


def calibrated(model: Path, normal: Path, score: str) -> Path:
    """The model with a calibration."""
    path = model.with_name(f"{model.name}-{score}.safetensors")
    if not path.exists():
        how = ("--score", score, "--alarm-rate", RATE, "--out", path)
        run([*AECTL, "detect", "-q", model, "--calibrate", normal, *how])
    return path


def compare(model: Path, images: Path, normal: Path, turns: int) -> None:
    """Prints the times of all commands."""
    table = ("--overwrite", "--out", model.with_name("table.csv"))
    commands = {"encode": ("encode", "-q", model, images, *table)}
    for score in SCORES:
        path = calibrated(model, normal, score)
        commands[score] = ("detect", "-q", path, images, *table)
    found: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(turns + 1):
        for name, words in commands.items():
            seconds = processor_seconds(*words)
            if turn:
                found[name].append(seconds)
    say("encode", statistics.median(found["encode"]), "s")
    for score in SCORES:
        pairs = zip(found["encode"], found[score], strict=True)
        pace = 100 * statistics.median(encoded / detected for encoded, detected in pairs)
        median = statistics.median(found[score])
        say(f"detect --score {score}", median, "s", f"  {pace:.0f} % of the pace of encode")


def main() -> None:
    out, mnist, photos = map(Path, sys.argv[1:4])
    turns = int(sys.argv[4]) if len(sys.argv) > 4 else TURNS
    folder = out / "digits"
    if not folder.exists():
        digits(mnist, folder, COUNT)
    few = ("--epochs", 1, "--validation", 0)
    print(f"{COUNT:,} digits of 28x28 pixels, a dense model; medians of {turns} turns")
    dense = trained(out / "dense", "-q", "--dataset", folder / "00", "--hidden", 392, *few)
    compare(dense, folder, folder / "01", turns)
    count = len(list(photos.iterdir()))
    print(f"\n{count:,} photos, the default model for photos")
    model = trained(out / "default", "-q", "--dataset", photos, *few)
    compare(model, photos, folder / "01", turns)


if __name__ == "__main__":
    main()
