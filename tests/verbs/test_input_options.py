"""The options that say how inputs are found and read."""

from pathlib import Path

import pytest

from aectl.errors import ConfigError
from aectl.verbs.input_options import naming, request


def test_a_word_and_a_list_of_words_are_inputs():
    assert request("a.png", {}).words == ["a.png"]
    assert request(["a.png", "b"], {}).words == ["a.png", "b"]
    assert request(None, {}).words is None


def test_every_option_reaches_the_field_of_its_name():
    given = {
        "null": True, "label_from_folder": True, "batch_size": 7, "workers": 3, "max_pixels": 99,
        "truncated": "keep", "data_dir": "somewhere",
    }  # fmt: skip
    found = request(["x"], {**given, "include": ["*.png"], "ext": "png,.JPG"})
    taken = {name: getattr(found, name) for name in given}
    assert taken == {**given, "data_dir": Path("somewhere")}
    assert found.selection.include == ("*.png",)
    assert found.selection.ext == ("png", ".JPG")


def test_paths_are_written_in_one_way(tmp_path):
    assert naming(None, True).absolute
    assert naming(str(tmp_path), False)(str(tmp_path / "a" / "b.png")) == "a/b.png"
    with pytest.raises(ConfigError, match="either --relative-to or --absolute"):
        naming(str(tmp_path), True)
    with pytest.raises(ConfigError, match="there is no such folder or archive"):
        naming(str(tmp_path / "none"), False)
    (tmp_path / "photos.tar").touch()
    assert naming(str(tmp_path / "photos.tar"), False)(str(tmp_path / "photos.tar" / "a")) == "a"
    (tmp_path / "a.png").touch()
    with pytest.raises(ConfigError, match="neither a folder nor an archive"):
        naming(str(tmp_path / "a.png"), False)
