"""Inputs that are read once, by whatever names they are found."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aectl.data.found import Found
from aectl.data.inputs import IMAGES, Inputs
from aectl.data.read_once import ReadOnce
from aectl.data.text.text_inputs import TEXT, TextInputs
from aectl.data.vectors.vector_inputs import VECTOR_NAMES, VectorInputs


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files_of(names, words, **given):
    """The paths of the images that some words name, each read once."""
    inputs = Inputs(names.sources(words, None), Path(), once=ReadOnce(), **given)
    found = (
        one for source in inputs.sources for one in inputs.to_read(source, inputs.found(source))
    )
    return [one.path for one in found]


def test_a_file_is_read_once_by_links_and_in_folders():
    Path("a").mkdir()
    for name in "xy":
        Path("a", f"{name}.png").touch()
    os.symlink("a/x.png", "x.png")
    os.symlink("a", "b")
    assert files_of(IMAGES, ["x.png", "a", "b", "a/y.png"]) == ["x.png", "a/y.png"]


def test_members_of_an_archive_are_read_once():
    with zipfile.ZipFile("a.zip", "w") as archive:
        for name in ("x.png", "y.png"):
            archive.writestr(name, name)
    os.symlink("a.zip", "b.zip")
    assert files_of(IMAGES, ["a.zip", "./a.zip", "b.zip"]) == ["a.zip/x.png", "a.zip/y.png"]


def test_patches_of_a_folder_are_read_once_of_each_kind():
    Path("a").mkdir()
    noise = np.random.default_rng(0).integers(256, size=(32, 32), dtype=np.uint8)
    Image.fromarray(noise).save("a/x.png")
    os.symlink("a", "b")
    words = ["patches:a", "patches:b/", "raw-patches:a", "patches:a"]
    inputs = Inputs(IMAGES.sources(words, None), Path(), once=ReadOnce())
    with inputs.batches((1, 8, 8), 1000, print) as batches:
        found = {path.rpartition("/")[0] for one in batches for path in one.paths}
    assert (found, inputs.once.repeated) == ({"patches:a", "raw-patches:a"}, 2)


def test_arrays_of_a_file_are_read_once_each():
    rows = np.ones((2, 3), np.float32)
    np.savez("a.npz", x=rows, y=rows)
    np.savez("b.npz", x=rows)
    os.symlink("a.npz", "c.npz")
    words = ["a.npz:x", "c.npz:x", "a.npz:y", "b.npz:x", "b.npz"]
    inputs = VectorInputs(VECTOR_NAMES.sources(words, None), Path(), once=ReadOnce())
    assert [one.name for one in inputs.files(print)] == ["a.npz:x", "a.npz:y", "b.npz:x"]


def test_lines_of_a_file_are_read_once():
    Path("a.txt").write_text("one\ntwo\n")
    inputs = TextInputs(TEXT.sources(["a.txt", "./a.txt", "."], None), Path(), once=ReadOnce())
    assert [one.path for one in inputs.lines(print) if one] == ["a.txt:1", "a.txt:2"]


def test_inputs_that_cannot_be_read_are_told_each_time():
    once, bad = ReadOnce(), Found("a.tar", file="a.tar", reason="is damaged")
    assert once.takes(Found("a.tar/x", file="a.tar", member="x"))
    assert [once.takes(bad), once.takes(bad), once.repeated] == [True, True, 0]
