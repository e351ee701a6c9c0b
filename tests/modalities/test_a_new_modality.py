"""A modality of one's own, in one file, is trained and used by every command."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ADDED = HERE / "numbers_in_text.py"
ROWS = np.random.default_rng(0).integers(0, 2, (40, 1)) * np.array([200, 100, 0, 50, 25, 125])


COMMANDS = (
    ("train", "--model", "number-autoencoder", "--dataset", "rows.txt", "--hidden", "2",
     "--code-activation", "linear", "--epochs", "300", "--out", "model", "-q"),
    ("encode", "model", "rows.txt", "--out", "codes.csv"),
    ("reconstruct", "model", "rows.txt", "--out", "made.csv"),
    ("eval", "model", "--json"),
    ("detect", "model", "rows.txt", "--normal", "others.txt", "--score", "fisher", "--alarm-rate",
     "0.1", "--out", "found.csv"),
)  # fmt: skip
PROGRAM = """
import sys
import numbers_in_text
from aectl.cli import main
for words in eval(sys.argv[1]):
    sys.argv = ["aectl", *words]
    assert main() == 0
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the rows, and what the commands have made of them in a process of their own."""
    folder = tmp_path_factory.mktemp("numbers")
    for name in ("rows", "others"):
        np.savetxt(folder / f"{name}.txt", ROWS, "%d")
    known = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(filter(None, [str(HERE), str(HERE.parents[1]), known]))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, repr(COMMANDS)],
        cwd=folder,
        env={"PYTHONPATH": paths, "HOME": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (folder / "told").write_text(done.stdout)
    return folder


def test_it_takes_less_than_150_lines():
    assert len(ADDED.read_text().splitlines()) < 150


def test_it_is_trained_and_encoded(place):
    rows = list(csv.DictReader((place / "codes.csv").read_text().splitlines()))
    assert [row["path"] for row in rows] == [f"rows.txt:{n}" for n in range(1, 41)]
    assert list(rows[0]) == ["path", "f0", "f1"]
    of_ones = {row["f0"] for row, numbers in zip(rows, ROWS, strict=True) if numbers.any()}
    assert len(of_ones) == 1, "equal rows have equal codes"


def test_it_is_measured(place):
    model, told = (place / "told").read_text().split("\n", 1)
    assert model == "model/model.safetensors"
    (report,) = json.loads(told)
    assert (report["dataset"], report["n"]) == ("rows.txt", 40)
    assert report["mse"] < 0.01 * np.var(ROWS / 255), "two kinds of rows take two units"


def test_it_is_reconstructed_as_rows(place):
    rows = list(csv.DictReader((place / "made.csv").read_text().splitlines()))
    assert [row["original"] for row in rows] == [" ".join(map(str, row)) for row in ROWS]
    made = np.array([row["reconstruction"].split() for row in rows], int)
    np.testing.assert_allclose(made, ROWS, atol=20)


def test_anomalies_among_it_are_detected(place):
    rows = list(csv.DictReader((place / "found.csv").read_text().splitlines()))
    assert list(rows[0]) == ["path", "score", "p_value", "anomaly"]
    assert {row["anomaly"] for row in rows} == {"no"}, "all rows are like the normal ones"
