"""One image file an output: where each is written, read back with Pillow."""

import numpy as np
import pytest
from PIL import Image

from aectl.errors import DataError, OutputError
from aectl.outputs.single_files import SingleFiles

IMAGE = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("a.png", "a.png"),
        ("album/a.PNG", "album/a.PNG"),
        ("a.jpg", "a.jpg.png"),
        ("/somewhere/a.png", "somewhere/a.png"),
        ("../../a.png", "a.png"),
        ("x/../a.png", "x/a.png"),
        ("mnist:test/17", "mnist-test/17.png"),
        ("..", "image.png"),
        ("", "image.png"),
    ],
)
def test_a_file_has_the_name_of_its_input_below_the_folder(tmp_path, path, file):
    SingleFiles(tmp_path / "made", False).save(path, IMAGE)
    (found,) = (one for one in tmp_path.rglob("*") if one.is_file())
    assert str(found.relative_to(tmp_path / "made")) == file
    with Image.open(found) as picture:
        assert np.array_equal(np.asarray(picture), IMAGE[0])


@pytest.mark.parametrize(
    ("paths", "files"),
    [
        (["a.png", "x/a.png", "a.png", "a.png"], ["a.png", "x/a.png", "a-2.png", "a-3.png"]),
        (["a-2.png", "a.png", "a.png"], ["a-2.png", "a.png", "a-3.png"]),
        (["a.png", "a.png", "a-2.png"], ["a.png", "a-2.png", "a-2-2.png"]),
    ],
)
def test_images_of_one_name_are_numbered(tmp_path, paths, files):
    made = SingleFiles(tmp_path, False)
    for level, path in enumerate(paths):
        made.save(path, IMAGE + level)
    found = {}
    for file in tmp_path.rglob("*.png"):
        with Image.open(file) as picture:
            found[str(file.relative_to(tmp_path))] = picture.getpixel((0, 0))
    assert found == {file: level for level, file in enumerate(files)}


@pytest.mark.parametrize("path", ["a\0b.png", "n" * 300, "taken"])
def test_a_name_that_no_file_can_have_costs_only_itself(tmp_path, path):
    files, told = SingleFiles(tmp_path, True), []
    (tmp_path / "taken.png").mkdir()
    images = np.stack([IMAGE, IMAGE, IMAGE])
    written = files.save_all(["a", path, "b"], images, lambda path, reason: told.append(path))
    assert (written, told) == (2, [path])
    assert {f.name for f in tmp_path.iterdir() if f.is_file()} == {"a.png", "b.png"}
    with pytest.raises(DataError):
        files.save(path, IMAGE)


def test_a_file_in_the_place_of_a_folder_costs_only_what_is_below_it(tmp_path):
    files = SingleFiles(tmp_path, True)
    (tmp_path / "album").write_text("mine")
    with pytest.raises(DataError, match="cannot write"):
        files.save("album/a.png", IMAGE)
    assert (tmp_path / "album").read_text() == "mine"


def test_a_folder_that_holds_something_is_refused_unless_it_may_be_overwritten(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OutputError, match="--overwrite"):
        SingleFiles(tmp_path, False)
    SingleFiles(tmp_path, True).save("a", IMAGE)
