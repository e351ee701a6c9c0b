"""How fast training on a folder of photos starts, beside the limit of decoding them.

    python -m tests.benchmarks folder ../shared/data/photos

The photos are repeated to 4,000 and 16,000 files and trained on for one epoch and for three, as
28x28 grey. The steady rate is that of the files that the larger folder has more. Medians of 3.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

from .commands import AECTL, in_turns, say, seconds
from .encode import copies, decoding, one_drafted

FEW, MANY = 4_000, 16_000


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        folders = {count: Path(work) / f"{count}" for count in (FEW, MANY)}
        for count, folder in folders.items():
            copies(Path(sys.argv[1]), folder, count)
        paths = sorted(map(str, folders[MANY].iterdir()))

        def train(count: int, epochs: int) -> float:
            words = ["train", "-q", "--dataset", folders[count], "--size", 28, "--channels", 1,
                     "--epochs", epochs, "--overwrite", "--out", Path(work) / "run"]  # fmt: skip
            return seconds([*AECTL, *words])

        found = in_turns(
            {
                "few": partial(train, FEW, 1),
                "many": partial(train, MANY, 1),
                "three epochs": partial(train, MANY, 3),
                "decoding": partial(decoding, paths, one_drafted),
            },
            3,
        )
    steady, limit = (MANY - FEW) / (found["many"] - found["few"]), MANY / found["decoding"]
    say(f"{MANY:,} files, one epoch", found["many"], "s")
    say("steady, the first epoch included", steady, "/s")
    say("decoding alone (PIL, a process a core)", limit, "/s")
    say("steady, of decoding alone", 100 * steady / limit, "%")
    say("each further epoch", (found["three epochs"] - found["many"]) / 2, "s")
