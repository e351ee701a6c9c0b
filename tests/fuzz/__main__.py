"""Damaged files by the thousand: each is read or refused in a line, soon, in little memory.

    python -m tests.fuzz models 10000
    python -m tests.fuzz imports 10000
    python -m tests.fuzz images 10000
    python -m tests.fuzz codes 10000
    python -m tests.fuzz archives 10000
    python -m tests.fuzz checkpoints 10000
    python -m tests.fuzz journals 10000
    python -m tests.fuzz kills 50     # trainings, killed at random moments, that then go on

A short part of it is in the suite. Should a file end the process itself, it lies where the first
line says.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import kills
import typed_models
from damaged_archives import archive_name, damaged_archive, read_archive
from damaged_checkpoints import damaged_checkpoint, go_on
from damaged_codes import damaged_codes, name_of, read_table
from damaged_folders import damaged_folder, make_model
from damaged_images import damaged_image, read_image
from damaged_journals import damaged_journal, resume
from damaged_models import damaged_model, load_all
from watch import SECONDS, Tally, watched

NAMES = {"codes": name_of, "archives": archive_name}
"""Of what is read by its ending."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = ("models", "imports", "images", "codes", "archives", "checkpoints", "journals", "kills")
    parser.add_argument("what", choices=kinds)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.what == "kills":
        sys.exit(not kills.run(given.count, Path(tempfile.mkdtemp())))
    ways = {
        "models": (damaged_model, typed_models.use, typed_models.OF_ALL),
        "imports": (damaged_folder, make_model, SECONDS),
        "images": (damaged_image, read_image, SECONDS),
        "codes": (damaged_codes, read_table, SECONDS),
        "archives": (damaged_archive, read_archive, SECONDS),
        "journals": (damaged_journal, resume, SECONDS),
        "checkpoints": (damaged_checkpoint, go_on, SECONDS),
    }
    made, use, within = ways[given.what]
    path = Path(tempfile.mkdtemp()) / "file"
    print(path, flush=True)
    if given.what == "models":
        load_all(path)
    tally = Tally()
    for number in range(given.seed, given.seed + given.count):
        if named := NAMES.get(given.what):
            path = path.with_name(named(number))
        path.write_bytes(made(number))
        tally.add(number, watched(use, path, within))
    print(tally)
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
