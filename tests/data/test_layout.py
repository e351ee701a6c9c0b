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
        (["train2017/a.png", "val2017/b.png", "annotations/c.json"],
         Layout("train2017", "val2017", None, ["annotations"])),
        (["training_set/a/x.png", "test_set/a/y.png"],
         Layout("training_set", None, "test_set", [])),
        (["trainset/a.png", "testset/b.png"], Layout("trainset", None, "testset", [])),
        (["seg_train/seg_train/a/x.png", "seg_test/seg_test/a/y.png", "seg_pred/z.png"],
         Layout("seg_train/seg_train", None, "seg_test/seg_test", ["seg_pred"])),
        (["TrainImages/a.png", "TestImages/b.png"],
         Layout("TrainImages", None, "TestImages", [])),
        (["images-train/a.png", "images-val/b.png", "labels-train/a.txt", "labels-val/b.txt"],
         Layout("images-train", "images-val", None, ["labels-train", "labels-val"])),
        (["train/a.png", "test/b.png", "train_masks/a.png", "test_masks/b.png"],
         Layout("train", None, "test", ["test_masks", "train_masks"])),
        (["trainval/a.png", "test/b.png"], Layout("trainval", None, "test", [])),
        (["set/x_train/a/x.png", "set/x_dev/a/y.png"],
         Layout("set/x_train", "set/x_dev", None, [])),
        (["train_station/a.png", "bus_station/b.png", "test_tube/c.png"], None),
        (["bullet_train/a.png", "unit_test/b.png"], None),
        (["trainee/a.png", "tests/b.png", "validity/c.png"], None),
        (["train_test/a.png", "val/b.png"], None),
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
        (["val2017/a.png", "test2017/b.png"], "holds test2017 and val2017, and no train"),
        (["a/train/x.png", "a/test/x.png", "b/train/x.png", "b/val/x.png"],
         r"training and test sets of their own \(a, b\)"),
        (["trainA/a.png", "trainB/b.png", "testA/c.png", "testB/d.png"],
         r"holds several training sets \(trainA, trainB\): name the folders to train on"),
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
