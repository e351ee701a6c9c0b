"""Trainings that stop when the loss on what is held out no longer falls."""

import csv
import tomllib
from itertools import accumulate

import pytest

WORDS = (
    "train", "--dataset", "digits", "--hidden", "60", "--epochs", "40", "--lr", "0.03",
    "--schedule", "constant", "--labels", "60", "--validation", "0.2", "--model", "classifier",
)  # fmt: skip


def losses(folder):
    with (folder / "metrics.csv").open() as file:
        return [float(row["validation_loss"]) for row in csv.DictReader(file)]


def first_stalled(values, patience):
    """The number of epochs after which none of the last ones was better than those before."""
    best = list(accumulate(values, min))
    stalled = [
        n for n in range(patience + 1, len(values) + 1) if best[n - 1] == best[n - 1 - patience]
    ]
    return stalled[0] if stalled else len(values)


@pytest.fixture
def whole(aectl, tmp_path):
    """The validation losses of all epochs, without patience."""
    assert aectl(*WORDS, "--out", "whole").status == 0
    found = losses(tmp_path / "whole")
    assert len(found) == 40
    return found


@pytest.mark.parametrize("patience", [1, 3, 39])
def test_training_stops_when_the_loss_has_not_fallen_for_so_many_epochs(
    aectl, tmp_path, whole, patience
):
    done = aectl(*WORDS, "--patience", patience, "--keep", "best", "--out", "run")
    assert done.status == 0
    count = first_stalled(whole, patience)
    assert losses(tmp_path / "run") == whole[:count]
    assert (f"stopped after {count} of 40 epochs" in done.err) == (count < 40)
    assert (count < 40) == (patience < 39)


def test_a_training_that_stopped_is_finished_and_goes_on_if_it_is_asked_to(aectl, tmp_path, whole):
    assert aectl(*WORDS, "--patience", 3, "--out", "run").status == 0
    count = first_stalled(whole, 3)
    done = aectl("train", "--resume", "run")
    assert done.status == 2
    assert f"is finished ({count} epochs)" in done.err
    folder = tmp_path / "run"
    (folder / "checkpoint" / "finished.safetensors").rename(
        folder / "checkpoint" / "checkpoint.safetensors"
    )  # as if it was killed while its pictures were drawn
    before = losses(folder)
    assert aectl("train", "--resume", "run").status == 0
    assert losses(folder) == before
    assert aectl("train", "--resume", "run", "--epochs", 60).status == 0
    assert len(losses(folder)) > count
    assert tomllib.loads((folder / "config.toml").read_text())["patience"] == 3
