"""The folder of a training run: its name, and what stands in the way of making it."""

import csv
from pathlib import Path

import pytest

from aectl.errors import OutputError
from aectl.outputs import run_folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_are_numbered_from_one():
    made = [run_folder.make(None, "mnist-autoencoder", False) for _ in range(3)]
    assert made == [Path(f"runs/mnist-autoencoder-{number}") for number in (1, 2, 3)]
    assert all(path.is_dir() for path in made)
    assert run_folder.make(None, "mnist-classifier", False) == Path("runs/mnist-classifier-1")


def test_the_first_free_number_is_taken(here):
    for number in (1, 2, 4):
        (here / "runs" / f"digits-{number}").mkdir(parents=True)
    (here / "runs" / "digits-3").write_text("a file")
    assert run_folder.make(None, "digits", False) == Path("runs/digits-5")


def test_a_named_folder_is_made_with_those_above_it(here):
    assert run_folder.make(Path("a/b/c"), "digits", False) == Path("a/b/c")
    assert list((here / "a/b/c").iterdir()) == []
    assert not (here / "runs").exists()


def test_an_empty_folder_is_taken(here):
    (here / "run").mkdir()
    assert run_folder.make(Path("run"), "digits", False) == Path("run")
    assert list((here / "run").iterdir()) == []


def test_a_folder_that_holds_something_is_refused_unless_it_may_be_written_into(here):
    (here / "run").mkdir()
    (here / "run" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"run is not empty.*--overwrite"):
        run_folder.make(Path("run"), "digits", False)
    assert run_folder.make(Path("run"), "digits", True) == Path("run")
    assert [path.name for path in (here / "run").iterdir()] == ["notes.txt"]
    assert (here / "run" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("path", ["file/run", "file", "file/a/b"])
def test_a_place_below_a_regular_file_is_refused(here, path, overwrite):
    (here / "file").write_text("kept")
    with pytest.raises(OutputError) as refused:
        run_folder.make(Path(path), "digits", overwrite)
    assert f"cannot write the run folder {path}:" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert (here / "file").read_text() == "kept"


def test_a_file_in_the_place_of_all_runs_is_refused(here):
    (here / "runs").write_text("kept")
    with pytest.raises(OutputError, match="cannot write the run folder runs"):
        run_folder.make(None, "digits", False)


def test_metrics_are_a_row_an_epoch(here):
    rows = [{"epoch": 1, "loss": 0.1, "lr": 1e-3}, {"epoch": 2, "loss": 1 / 3, "lr": 5e-4}]
    run_folder.save_metrics(here / "metrics.csv", rows)
    read = list(csv.DictReader((here / "metrics.csv").open(newline="")))
    assert list(read[0]) == ["epoch", "loss", "lr"]
    assert [{name: float(value) for name, value in row.items()} for row in read] == rows
    assert [path.name for path in here.iterdir()] == ["metrics.csv"]


def test_text_is_saved_as_utf8(here):
    run_folder.save_text(here / "config.toml", 'dataset = "caf\u00e9"\n')
    assert (here / "config.toml").read_bytes() == b'dataset = "caf\xc3\xa9"\n'


def test_text_that_cannot_be_saved_is_refused(here):
    with pytest.raises(OutputError, match=r"nowhere/config\.toml"):
        run_folder.save_text(here / "nowhere" / "config.toml", "")


def test_what_goes_wrong_under_the_lock_is_not_taken_for_another_s_lock(tmp_path):
    with pytest.raises(BlockingIOError), run_folder.locked(tmp_path):
        raise BlockingIOError(11, "would block")


def test_a_lock_keeps_others_out_and_is_given_back(tmp_path):
    lock = run_folder.locked
    for _ in range(2):
        with pytest.raises(OutputError, match="another"), lock(tmp_path), lock(tmp_path):
            pass
