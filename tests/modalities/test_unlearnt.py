"""Normal inputs that a model did not learn from, by the data that its file says it learnt from."""

import dataclasses
import io
import os
from pathlib import Path

import pytest

from aectl.data.inputs import IMAGES
from aectl.data.selection import EVERY_IMAGE
from aectl.data.sources import path_digest
from aectl.data.storage.folders import find_files
from aectl.errors import DataError
from aectl.modalities.request import Request
from aectl.modalities.trained_on import sources_of
from aectl.models import model_file

CARD = model_file.read_card(Path(__file__).parents[1] / "formats" / "3-dense.safetensors")
UNKNOWN = "whether it learnt from the normal inputs is not known"


def card(*words, held_out=(), **options):
    """A model that was trained on some data, but for some files."""
    training = {
        "options": {"dataset": list(words), **options},
        "held_out": list(map(path_digest, held_out)),
    }
    return dataclasses.replace(CARD, training=training)


def kept(model, *words, told=None, **given):
    """The sources that calibrate, and the files of folders among them."""
    take = [].append if told is None else told.append
    request = Request(words, Path(), notice=take, warning=take, unlearnt=True, **given)
    sources = sources_of(model, request, IMAGES)
    files = [
        os.path.relpath(os.path.realpath(path))
        for source in sources
        if source.is_folder
        for path in (one.path for one in find_files(source.word, EVERY_IMAGE))
        if source.takes(path)
    ]
    return [source.word for source in sources], files


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("parts/a", "parts/b", "others"):
        Path(folder).mkdir(parents=True)
        for number in range(2):
            Path(folder, f"{number}.png").touch()


@pytest.mark.parametrize("word", ["parts", "./parts/", "../here/parts"])
def test_of_the_folder_it_learnt_from_only_files_held_out_are_kept(word, tmp_path):
    os.symlink(tmp_path, tmp_path.parent / "here") if word.startswith("..") else None
    told = []
    model = card("parts", held_out=["parts/a/1.png"])
    assert kept(model, word, told=told)[1] == ["parts/a/1.png"]
    assert told == ["normal inputs that the model learnt from, left out: 3"]


def test_folders_within_and_around_it_are_compared_file_by_file():
    model = card("parts/a", held_out=["parts/a/1.png"])
    assert kept(model, "parts")[1] == ["parts/a/1.png", "parts/b/0.png", "parts/b/1.png"]
    within = card("parts", held_out=["parts/b/0.png"])
    assert kept(within, "parts/b")[1] == ["parts/b/0.png"]


def test_what_it_learnt_through_links_is_left_out_by_other_paths():
    for name in ("train", "links"):
        Path(name).mkdir()
    os.symlink("../others/0.png", "train/x.png")
    os.symlink("../parts/a/1.png", "train/y.png")
    os.symlink("../others/1.png", "links/1.png")
    os.symlink("../train/x.png", "links/x.png")
    assert kept(card("train"), "others")[1] == ["others/1.png"]
    assert kept(card("train"), "links")[1] == ["others/1.png"]
    assert kept(card("train", held_out=["train/x.png"]), "others", "parts/a")[1] == [
        "others/0.png", "others/1.png", "parts/a/0.png",
    ]  # fmt: skip
    with pytest.raises(DataError, match="the model learnt from all normal inputs"):
        kept(card("train"), "others/0.png")


def test_other_images_of_a_dataset_than_those_it_learnt_from_are_kept():
    for trained, word in (
        ("mnist", "mnist:test/17"), ("mnist:train/1", "mnist:train/17"),
        ("mnist:test", "mnist:train/17"), ("patches:parts/a", "patches:parts/b"),
    ):  # fmt: skip
        assert kept(card(trained), word)[0] == [word]


def test_other_data_are_kept_and_nothing_is_told():
    told = []
    assert kept(card("parts", "mnist"), "others", "mnist:test", "digits", told=told)[0] == [
        "others", "mnist:test", "digits",
    ]  # fmt: skip
    assert told == []


def test_of_a_folder_with_splits_the_others_are_kept():
    for split in ("train", "test"):
        Path("set", split).mkdir(parents=True)
        Path("set", split, "0.png").touch()
    assert kept(card("set"), "set")[1] == ["set/test/0.png"]
    assert kept(card("set"), "set/test")[1] == ["set/test/0.png"]


@pytest.mark.parametrize(
    ("trained", "word"),
    [
        ("parts", "parts"),
        ("parts", "parts/a"),
        ("parts", "parts/a/0.png"),
        ("parts/a/0.png", "parts/a/0.png"),
        ("mnist", "mnist:train"),
        ("mnist:train", "mnist:train"),
        ("mnist", "mnist:train/17"),
        ("mnist:train/17", "mnist:train/17"),
        ("patches:parts/a", "patches:others/../parts/a/"),
    ],
)
def test_where_it_learnt_from_all_it_is_refused(trained, word):
    with pytest.raises(DataError, match="the model learnt from all normal inputs"):
        kept(card(trained), word)


def test_a_file_that_was_held_out_is_kept_by_its_own_name():
    assert kept(card("parts", held_out=["parts/a/0.png"]), "parts/a/0.png")[0] == ["parts/a/0.png"]


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (card(), "data that it does not name"),
        (card("gone"), "gone"),
        (card("-"), "a list on stdin"),
        (card("parts", load="runs/a"), "the data of runs/a"),
    ],
)
def test_where_it_cannot_be_known_it_is_said(model, named):
    told = []
    assert kept(model, "others", told=told)[0] == ["others"]
    (said,) = told
    assert said.startswith(f"the model was trained on {named}: {UNKNOWN}")


def test_of_normal_inputs_on_stdin_it_cannot_be_known():
    told = []
    assert kept(card("parts"), "-", told=told, stdin=io.BytesIO())[0] == ["-"]
    assert UNKNOWN in told[0]
