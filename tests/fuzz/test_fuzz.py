"""The short part of the fuzzing, and that it would find what is wrong."""

import time

import numpy as np
import pytest
import typed_models
from damaged_archives import archive_name, damaged_archive, read_archive
from damaged_checkpoints import damaged_checkpoint, go_on
from damaged_codes import damaged_codes, name_of, read_table
from damaged_folders import damaged_folder, make_model
from damaged_images import damaged_image, read_image
from damaged_journals import damaged_journal, resume
from damaged_models import damaged_model, load_all
from watch import SECONDS, Tally, watched

from aectl.errors import ImageError

WAYS = {
    "models": (36, damaged_model, typed_models.use, typed_models.OF_ALL),
    "imports": (200, damaged_folder, make_model, SECONDS),
    "images": (300, damaged_image, read_image, SECONDS),
    "checkpoints": (150, damaged_checkpoint, go_on, SECONDS),
}


@pytest.mark.parametrize("what", WAYS)
def test_damaged_files_are_read_or_refused_in_a_line_soon_and_in_little_memory(what, tmp_path):
    count, damaged, use, within = WAYS[what]
    tally, path = Tally(), tmp_path / "file"
    if what == "models":
        load_all(path)
    for number in range(count):
        path.write_bytes(damaged(number))
        tally.add(number, watched(use, path, within))
    assert tally.wrong == []
    assert tally.counts["refused"] > count / 3


def test_damaged_journals_are_taken_up_or_refused_in_a_line(tmp_path):
    tally = Tally()
    for number in range(150):
        (tmp_path / "journal").write_bytes(damaged_journal(number))
        tally.add(number, watched(resume, tmp_path / "journal"))
    assert tally.wrong == []
    assert tally.counts["refused"] > 100
    assert tally.counts["read"] > 5


def test_damaged_codes_are_read_or_refused_in_a_line_soon_and_in_little_memory(tmp_path):
    """Of Parquet, which takes a process a file, a few, and not by the clock of a busy machine."""
    tally = Tally()
    for number in range(400):
        path = tmp_path / name_of(number)
        if path.suffix == ".parquet" and number % 80 != 3:
            continue
        path.write_bytes(damaged_codes(number))
        within = 60.0 if path.suffix == ".parquet" else SECONDS
        tally.add(number, watched(read_table, path, within))
    assert tally.wrong == []
    assert tally.counts["refused"] > 150
    assert tally.counts["read"] > 15


def test_damaged_archives_are_read_or_refused_in_a_line_soon_and_in_little_memory(tmp_path):
    tally = Tally()
    for number in range(60):
        path = tmp_path / archive_name(number)
        path.write_bytes(damaged_archive(number))
        tally.add(number, watched(read_archive, path))
    assert tally.wrong == []
    assert tally.counts["refused"] > 15
    assert tally.counts["read"] > 30


def _fails(_):
    raise ZeroDivisionError


def _says_two_lines(_):
    raise ImageError("one\ntwo")


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (_fails, "ZeroDivisionError"),
        (_says_two_lines, "not one line"),
        (lambda _: time.sleep(3.1), "it took 3.1 s"),
        (lambda _: np.ones(600 << 20, np.uint8), "MiB"),
    ],
)
def test_what_is_wrong_is_found(use, told, tmp_path):
    assert told in watched(use, tmp_path).wrong
