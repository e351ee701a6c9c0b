"""How fast folders of images become tables, beside the usual way and the limits of the machine.

    python -m tests.benchmarks encode ../shared/data/MNIST ../shared/data/photos

needs MNIST's IDX files, a folder of photos, and pandas (for the usual way). Each figure is the
median of several runs, taken in turns; whole processes are timed from start to exit.
"""

import argparse
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from aectl.data.images import idx

from .commands import AECTL, CORES, peak_memory, run, say, seconds, spread

SIDE = 28
USUAL = [sys.executable, str(Path(__file__).with_name("usual_way.py"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", type=Path, help="torchvision's folder MNIST")
    parser.add_argument("photos", type=Path, help="a folder of JPEG photos")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip-memory", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = trained(given.mnist, work)
        few, many = work / "few", work / "many"
        digits(given.mnist, few, 20_000)
        digits(given.mnist, many, 70_000)
        print(
            f"{CORES} cores; medians of {given.runs} runs\n\nSmall PNG files to CSV, 392 features"
        )
        compare(model, few, many, one_small, work, given.runs, wanted=6)
        small, large = work / "photos-1", work / "photos-2"
        copies(given.photos, small, 4_000)
        copies(given.photos, large, 16_000)
        print("\nJPEG photos to CSV, 392 features")
        compare(model, small, large, one_drafted, work, given.runs, wanted=4)
        one_photo(model, next(given.photos.iterdir()), given.runs)
        if not given.skip_memory:
            memory(model, few, many, work)


def compare(
    model: Path,
    few: Path,
    many: Path,
    decode_one: Callable[[str], object],
    work: Path,
    runs: int,
    wanted: int,
) -> None:
    """Prints the times of both ways and the rates that bound them; for the few files, also how many
    times faster aectl is to be."""
    paths = sorted(str(path) for path in many.rglob("*.*"))
    count, more = len(list(few.rglob("*.*"))), len(paths)
    table = work / "table.csv"
    figures: dict[str, list[float]] = {}
    for _ in range(runs):
        taken = {
            "few": seconds([*AECTL, "encode", "-q", model, few, "--overwrite", "--out", table]),
            "many": seconds([*AECTL, "encode", "-q", model, many, "--overwrite", "--out", table]),
            "usual": seconds([*USUAL, model, many, table]),
            "usual of few": seconds([*USUAL, model, few, table]),
            "decoding": more / decoding(paths, decode_one),
            "writing": writing(few, model, work),
        }
        taken["steady"] = (more - count) / (taken["many"] - taken["few"])
        for name, value in taken.items():
            figures.setdefault(name, []).append(value)
    median = {name: statistics.median(values) for name, values in figures.items()}
    pairs = ((count, "few", "usual of few", f"(wanted: {wanted})"), (more, "many", "usual", ""))
    for files, ours, usual, aim in pairs:
        say(f"the usual way, {files:,} files", median[usual], "s", spread(figures[usual]))
        say(f"aectl, {files:,} files", median[ours], "s", spread(figures[ours]))
        say("times faster", median[usual] / median[ours], "", aim)
    limit = min(median["decoding"], median["writing"])
    say("aectl, steady", median["steady"], "/s", spread(figures["steady"]))
    say(
        "decoding alone (PIL, a process a core)",
        median["decoding"],
        "/s",
        spread(figures["decoding"]),
    )
    say("writing alone", median["writing"], "/s", spread(figures["writing"]))
    say("steady, of the lower of the two", 100 * median["steady"] / limit, "%")


def one_small(path: str) -> object:
    """What PIL needs for a small file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def one_drafted(path: str) -> object:
    """What PIL needs for a photo, decoded at the smallest scale that will do."""
    with Image.open(path) as image:
        image.draft("L", (SIDE, SIDE))
        return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def decoding(paths: list[str], decode_one: Callable[[str], object]) -> float:
    """Seconds that decoding alone takes, with processes that are already there."""
    chunks = [paths[first : first + 50] for first in range(0, len(paths), 50)]
    work = partial(all_of, decode_one)
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        pool.map(work, chunks[: 4 * CORES], chunksize=1)
        begun = time.perf_counter()
        for _ in pool.imap_unordered(work, chunks):
            pass
        return time.perf_counter() - begun


def all_of(decode_one: Callable[[str], object], paths: Iterable[str]) -> None:
    for path in paths:
        decode_one(path)


WRITING = """
import sys, time
from pathlib import Path
import numpy as np
from aectl.outputs.rows import Rows
from aectl.outputs.tables import Table
found = np.load(sys.argv[1])
features, paths = found["features"], [str(path) for path in found["path"]]
parts = [slice(first, first + 256) for first in range(0, len(paths), 256)]
import polars
begun = time.perf_counter()
with Table(Path(sys.argv[2]), sys.stdout.buffer) as table:
    for _ in range(4):
        for part in parts:
            table.write(Rows({"path": paths[part]}, features[part]))
print(4 * len(paths) / (time.perf_counter() - begun))
"""


def writing(folder: Path, model: Path, work: Path) -> float:
    """Rows a second of the writer alone, of codes that are already there."""
    codes = work / f"{folder.name}.npz"
    if not codes.exists():
        seconds([*AECTL, "encode", "-q", model, folder, "--out", codes])
    done = subprocess.run(
        [sys.executable, "-c", WRITING, codes, work / "written.csv"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)


def one_photo(model: Path, photo: Path, runs: int) -> None:
    """Prints what a single photo takes, beside the import of torch."""
    print("\nOne photo, whole process")
    times = [
        (seconds([*AECTL, "encode", model, photo]), seconds([sys.executable, "-c", "import torch"]))
        for _ in range(2 * runs + 1)
    ]
    say("aectl encode", statistics.median(ours for ours, _ in times), "s")
    say("python -c 'import torch'", statistics.median(torch for _, torch in times), "s")


def memory(model: Path, few: Path, many: Path, work: Path) -> None:
    """Prints the most memory that a run takes, with its workers, over few and over many files."""
    print("\nPeak memory, all processes together (shared pages once)")
    inputs = {20_000: [few], 200_000: [many, many, few, few, few]}
    for count, folders in inputs.items():
        table = work / "table.csv"
        command = [*AECTL, "encode", "-q", model, *folders, "--overwrite", "--out", table]
        say(f"{count:,} files", peak_memory(command) / 2**20, "MiB")


def trained(mnist: Path, work: Path) -> Path:
    """A model of MNIST, 784-392-784, after an epoch."""
    model = work / "model"
    run([*AECTL, "train", "-q", "--dataset", "mnist", "--data-dir", mnist.parent, "--epochs", "1",
         "--out", model])  # fmt: skip
    return model


def digits(mnist: Path, folder: Path, count: int) -> None:
    """So many digits of MNIST as PNG files, a thousand a folder."""
    images = np.concatenate([idx.read(mnist / "raw" / f"{stem}-images-idx3-ubyte")
                             for stem in ("train", "t10k")])  # fmt: skip
    for number, image in enumerate(images[:count]):
        place = folder / f"{number // 1000:02d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:05d}.png")


def copies(photos: Path, folder: Path, count: int) -> None:
    """The photos, again and again, as so many files."""
    folder.mkdir()
    found = sorted(photos.iterdir())
    for number in range(count):
        photo = found[number % len(found)]
        shutil.copy(photo, folder / f"{number:05d}{photo.suffix}")
