"""What a word of INPUT or --dataset means."""

import io
import os

import pytest

from aectl.data.sources import DatasetName, Names, SourceKind
from aectl.errors import DataError, UnknownInputError

NAMES = Names({"mnist", "digits"}, {"patches"})


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "digits", "set.zip"):
        (tmp_path / name).mkdir()
    for name in ("a.png", "set.tar.gz", "SET.TAR", "mnist:x", "caf\udce9.png"):
        (tmp_path / name).write_bytes(b"")
    os.symlink("nowhere", "broken.png")
    os.symlink("photos", "link")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *[
            (word, "DATASET")
            for word in ("mnist", "mnist:test", "mnist:test/17", "mnist:x", "digits")
        ],
        *[(word, "FOLDER") for word in ("./digits", "digits/", "photos", "link", "set.zip")],
        *[(word, "FILE") for word in ("a.png", "broken.png", "caf\udce9.png", "./mnist:x")],
        *[(word, "ARCHIVE") for word in ("set.tar.gz", "SET.TAR")],
        *[(word, "PATCHES") for word in ("patches:photos", "patches:a/b:c")],
        ("-", "STDIN"),
    ],
)
def test_a_word_names_one_source(word, kind):
    source = NAMES.source(word)
    assert (source.word, source.kind.name) == (word, kind)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("word", ["nothing", "patches:", "patches", "a/patches:b", "mnis:test", ""])
def test_other_words_name_nothing(word):
    with pytest.raises(UnknownInputError, match=f"no dataset, file or folder '{word}'"):
        NAMES.source(word)


def test_a_name_that_is_nearly_one_is_told():
    with pytest.raises(UnknownInputError, match="did you mean 'mnist'"):
        NAMES.source("minst:train")


@pytest.mark.usefixtures("here")
def test_the_folder_that_a_dataset_hides_is_known():
    assert NAMES.source("digits").hides == "./digits"
    assert [NAMES.source(word).hides for word in ("mnist", "photos", "./digits")] == [None] * 3


def test_stdin_must_be_there_where_it_is_named():
    assert NAMES.sources(["-"], io.BytesIO())[0].kind is SourceKind.STDIN
    with pytest.raises(DataError, match="stdin, which is closed"):
        NAMES.sources(["mnist", "-"], None)


@pytest.mark.parametrize(
    ("word", "parts"),
    [("mnist", ("mnist", "", "")), ("mnist:test", ("mnist", "test", "")),
     ("mnist:test/17", ("mnist", "test", "17")), ("mnist/17", ("mnist", "", "17"))],
)  # fmt: skip
def test_the_name_of_a_dataset_has_three_parts(word, parts):
    assert DatasetName.of(word) == parts
