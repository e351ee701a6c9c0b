"""Folders of images: which files are found, in which order, and what they become."""

import os

import numpy as np
import pytest
from PIL import Image

from aectl.data.folders import class_of, find_images, load_folder
from aectl.errors import DataError


def picture(path, value=0, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path, format="PNG")


def refuse(path, reason):
    raise AssertionError(f"{path}: {reason}")


def found(folder, on_bad=refuse):
    return [os.path.relpath(path, folder) for path in find_images(str(folder), on_bad)]


def test_files_are_found_recursively_in_sorted_order(tmp_path):
    names = ["c.png", "b/2.png", "b/10.png", "a.png", "b/a/z.png", "d/1.png"]
    for name in names:
        picture(tmp_path / name)
    assert found(tmp_path) == ["a.png", "b/10.png", "b/2.png", "b/a/z.png", "c.png", "d/1.png"]


def test_a_path_begins_with_the_folder_as_it_was_named(tmp_path, monkeypatch):
    picture(tmp_path / "photos" / "sea" / "a.png")
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "./photos", str(tmp_path / "photos")):
        assert list(find_images(folder, refuse)) == [f"{folder}/sea/a.png"]


def test_the_case_of_an_ending_does_not_matter(tmp_path):
    for name in ("a.PNG", "b.Jpeg", "c.tIfF"):
        picture(tmp_path / name)
    assert found(tmp_path) == ["a.PNG", "b.Jpeg", "c.tIfF"]


def test_files_with_other_endings_are_passed_over(tmp_path):
    picture(tmp_path / "a.png")
    for name in ("notes.txt", "png", "a.png.bak", "Thumbs.db", "b.svg"):
        picture(tmp_path / name)
    assert found(tmp_path) == ["a.png"]


def test_a_folder_named_like_an_image_is_a_folder(tmp_path):
    picture(tmp_path / "album.png" / "a.png")
    assert found(tmp_path) == ["album.png/a.png"]


def test_a_loop_of_links_comes_to_an_end(tmp_path):
    picture(tmp_path / "sea" / "a.png")
    (tmp_path / "sea" / "up").symlink_to(tmp_path)
    assert found(tmp_path) == ["sea/a.png"]


def test_a_link_to_an_image_is_found(tmp_path):
    picture(tmp_path / "kept" / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "kept" / "a.png")
    assert found(tmp_path) == ["b.png", "kept/a.png"]


def test_a_folder_that_vanishes_is_told_and_the_others_are_read(tmp_path):
    for name in ("a.png", "c/1.png"):
        picture(tmp_path / name)
    (tmp_path / "b").mkdir()
    bad = []
    paths = find_images(str(tmp_path), lambda *told: bad.append(told))
    assert next(paths) == str(tmp_path / "a.png")
    (tmp_path / "b").rmdir()
    assert list(paths) == [str(tmp_path / "c" / "1.png")]
    assert bad == [(str(tmp_path / "b"), "No such file or directory")]


def test_an_unreadable_folder_is_told_and_the_others_are_read(tmp_path, monkeypatch):
    for name in ("a/1.png", "b/1.png", "c/1.png"):
        picture(tmp_path / name)
    tmp_path.chmod(0o755)
    (tmp_path / "b").chmod(0o000)
    monkeypatch.chdir(tmp_path)
    bad = []
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        paths = list(find_images(".", lambda *told: bad.append(told)))
    finally:
        os.seteuid(user)
        (tmp_path / "b").chmod(0o755)
    assert paths == ["./a/1.png", "./c/1.png"]
    assert bad == [("./b", "Permission denied")]


@pytest.mark.parametrize(
    ("path", "folder", "label"),
    [
        ("photos/sea/a.png", "photos", "sea"),
        ("photos/sea/deep/a.png", "photos/", "sea"),
        ("./photos/sea/a.png", "./photos", "sea"),
        ("photos/a.png", "photos", None),
    ],
)
def test_the_class_of_a_file_is_its_first_subfolder(path, folder, label):
    assert class_of(path, folder) == label


def test_subfolders_are_the_classes(tmp_path):
    for name, value in (("sea/1.png", 1), ("hill/deep/2.png", 2), ("sea/3.png", 3)):
        picture(tmp_path / name, value)
    loaded = load_folder(str(tmp_path), None, refuse)
    assert loaded.classes == ("hill", "sea")
    assert [loaded.classes[label] for label in loaded.labels] == ["hill", "sea", "sea"]
    assert loaded.images[:, 0, 0, 0].tolist() == [2, 1, 3]
    wanted = [str(tmp_path / name) for name in ("hill/deep/2.png", "sea/1.png", "sea/3.png")]
    assert [loaded.path(row) for row in range(3)] == wanted


@pytest.mark.parametrize(
    "names", [("a.png", "b.png"), ("a.png", "sea/b.png", "hill/c.png"), ("sea/a.png", "sea/b.png")],
    ids=["flat", "of mixed depth", "of one subfolder"],
)  # fmt: skip
def test_a_folder_without_a_subfolder_for_each_class_has_no_labels(tmp_path, names):
    for name in names:
        picture(tmp_path / name)
    loaded = load_folder(str(tmp_path), None, refuse)
    assert len(loaded) == len(names)
    assert loaded.labels is None
    assert loaded.classes == ()


@pytest.mark.parametrize(
    ("size", "mode", "shape"),
    [
        ((6, 4), "L", (1, 4, 6)),
        ((6, 4), "RGB", (3, 4, 6)),
        ((32, 32), "L", (1, 32, 32)),
        ((33, 33), "RGB", (3, 32, 32)),
        ((500, 400), "L", (1, 32, 32)),
    ],
)
def test_the_default_shape_is_that_of_the_first_image_up_to_32_pixels(tmp_path, size, mode, shape):
    Image.new(mode, size).save(tmp_path / "a.png")
    Image.new("L", (9, 9)).save(tmp_path / "b.png")
    loaded = load_folder(str(tmp_path), None, refuse)
    assert loaded.shape == shape
    assert loaded.images.shape == (2, *shape)


def test_every_image_takes_the_wanted_shape(tmp_path):
    picture(tmp_path / "a.png", 70)
    picture(tmp_path / "b.png", 80, size=(50, 20))
    loaded = load_folder(str(tmp_path), (3, 5, 7), refuse)
    wanted = np.broadcast_to(np.array([70, 80]).reshape(2, 1, 1, 1), (2, 3, 5, 7))
    np.testing.assert_array_equal(loaded.images, wanted)


def test_bad_files_are_told_and_left_out(tmp_path):
    for name, value in (("sea/1.png", 1), ("hill/3.png", 3), ("sea/5.png", 5)):
        picture(tmp_path / name, value)
    (tmp_path / "hill" / "2.png").write_bytes(b"no picture")
    (tmp_path / "sea" / "4.png").write_bytes(b"")
    bad = []
    loaded = load_folder(str(tmp_path), None, lambda *told: bad.append(told))
    assert loaded.images[:, 0, 0, 0].tolist() == [3, 1, 5]
    assert loaded.labels.tolist() == [0, 1, 1]
    assert [os.path.relpath(path, tmp_path) for path, _ in bad] == ["hill/2.png", "sea/4.png"]
    assert all("image" in reason for _, reason in bad)


def test_a_bad_file_does_not_decide_the_default_shape(tmp_path):
    Image.fromarray(np.full((3, 3), np.nan, np.float32)).save(tmp_path / "a.tif")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    bad = []
    loaded = load_folder(str(tmp_path), None, lambda *told: bad.append(told))
    assert len(bad) == 1
    assert loaded.shape == (3, 8, 8)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"no images in .*\.png"):
        load_folder(str(tmp_path), None, refuse)


def test_a_folder_of_bad_images_is_refused(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    bad = []
    with pytest.raises(DataError, match="none of the 2 images"):
        load_folder(str(tmp_path), None, lambda *told: bad.append(told))
    assert len(bad) == 2


def test_one_colour_image_makes_the_set_one_of_colour(tmp_path):
    Image.new("L", (6, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (6, 4), (200, 10, 10)).save(tmp_path / "b.png")
    loaded = load_folder(str(tmp_path), None, refuse)
    assert loaded.images[:, :, 0, 0].tolist() == [[0, 0, 0], [200, 10, 10]]


def test_a_linked_folder_is_searched(tmp_path):
    picture(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "set") == ["link/a.png"]
