"""One training: the folder of a failed one, and the warning about dead units."""

from pathlib import Path

import pytest
import torch

from aectl.data.storage.folders import ignore
from aectl.training.reading import Reading
from aectl.verbs.planning import new_run, prepare
from aectl.verbs.training_run import removed_if_empty, warning_of


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_folders_without_files_are_removed_after_a_failure_and_others_stay(tmp_path, error):
    empty, filled = tmp_path / "empty", tmp_path / "filled"
    for folder in (empty, filled):
        folder.mkdir()
    (filled / "model.safetensors").touch()
    with removed_if_empty(empty, filled, tmp_path / "none"):
        pass
    assert empty.exists()
    with pytest.raises(error), removed_if_empty(empty, filled, tmp_path / "none"):
        raise error
    assert not empty.exists()
    assert filled.exists()


@pytest.mark.parametrize(
    ("row", "warned"),
    [
        ({"train_dead": 0.5}, None),
        ({"train_dead": 0.51}, "51% of the code's units are active for no image; "),
        ({"validation_dead": 0.9}, "90% of the code's units are active for no image; "),
        ({}, None),
    ],
)
def test_more_than_half_of_the_units_must_be_dead_for_a_warning(row, warned):
    options = {"dataset": "digits", "hidden": 3}
    run = new_run(*prepare(options, {}, Reading(Path("none"), ignore)), torch.device("cpu"), None)
    run.rows += [{"train_dead": 1.0}, row]
    found = warning_of(run)
    assert found is None if warned is None else found.startswith(warned)
