"""Folders with their splits in sub-folders, by the names of these."""

import pytest

from aectl.data.layout import BESIDE, DEEPEST, Layout, layout_of
from aectl.data.selection import EVERY_IMAGE, Selection
from aectl.errors import DataError


@pytest.fixture
def made(tmp_path):
    """Makes empty files in a folder, and gives its splits relative to it."""

    def make(*files, to_train=False, selection=EVERY_IMAGE):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        found = layout_of(str(tmp_path), selection, to_train)
        if found is None:
            return None
        splits = (split and split.removeprefix(f"{tmp_path}/") for split in found[:3])
        return Layout(*splits, found.others)

    return make


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (["train/a.png", "test/b.png"], Layout("train", None, "test", [])),
        (["Training/a.png", "DEV/b.png"], Layout("Training", "DEV", None, [])),
        (["train/a.png", "val/b.png", "test/c.png"], Layout("train", "val", "test", [])),
        (["train/a.png", "valid/a.png", "val/b.png"], Layout("train", "val", None, ["valid"])),
        (["train/a.png", "test/b.png", "c.png", "more/d.png"],
         Layout("train", None, "test", ["more", BESIDE])),
        (["train/a.png", "test/b.png", "c.txt"], Layout("train", None, "test", [])),
        (["set/train/a.png", "set/test/b.png"], Layout("set/train", None, "set/test", [])),
        (["train/cats/a.png"], Layout("train", None, None, [])),
        (["train/a.png", "notes/b.txt"], Layout("train", None, None, ["notes"])),
        (["train/a.png", "cats/b.png"], None),
        (["cats/a.png", "dogs/b.png"], None),
        (["a.png"], None),
        (["test/a.png"], None),
        (["train/a.png", ".test/b.png"], Layout("train", None, None, [])),
    ],
)  # fmt: skip
def test_splits_are_found_by_their_names(made, files, wanted):
    assert made(*files) == wanted


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST])
def test_splits_are_found_in_folders_of_one_folder_up_to_a_depth(made, depth):
    inside = "/".join("x" * depth)
    found = made(f"{inside}/train/a.png", f"{inside}/test/b.png")
    wanted = Layout(f"{inside}/train", None, f"{inside}/test", [])
    assert found == (wanted if depth < DEEPEST else None)


def test_folders_that_are_excluded_are_no_splits(made):
    without = Selection(exclude=("test",))
    assert made("train/a.png", "test/b.png", selection=without).test is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["val/a.png", "test/b.png"], "holds test and val, and no train: name the folder"),
        (["a/train/x.png", "a/test/x.png", "b/train/x.png", "b/val/x.png"],
         r"training and test sets of their own \(a, b\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_classes_is_not_trained_on(made, files, said):
    assert made(*files) is None
    with pytest.raises(DataError, match=said):
        made(to_train=True)


def test_a_file_belongs_to_the_split_that_it_is_in():
    layout = Layout("x/train", None, "x/test", [])
    assert layout.split_of("x/train/cats/a.png") == "x/train"
    assert layout.split_of("x/test/a.png") == "x/test"
    assert layout.split_of("x/training/a.png") is None
