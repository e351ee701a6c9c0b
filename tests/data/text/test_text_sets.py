"""The texts that a model learns from."""

import os

import pytest
from conftest import MNIST

from aectl.data.text.text_inputs import TEXT, TextInputs
from aectl.data.text.text_sets import load
from aectl.errors import DataError
from aectl.models.vocabulary import Vocabulary


def loaded(path):
    inputs = TextInputs(
        TEXT.sources([str(path)], ""), path, labels_from_folders=True, loose_labels=False
    )
    return load(inputs, [None], lambda path, reason: pytest.fail(f"{path} {reason}"))


def test_a_folder_gives_its_texts_in_sorted_order_and_labels_by_sub_folder(tmp_path):
    for name in ("b/two.txt", "a/one.txt", "a/picture.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"in {name}\n")
    found = loaded(tmp_path)
    assert [(line.text, line.label) for line in found.lines] == [
        ("in a/one.txt", "a"), ("in b/two.txt", "b"),
    ]  # fmt: skip
    assert found.classes == ("a", "b")


def test_headings_begin_documents_and_without_any_each_line_is_one(tmp_path):
    wiki, plain = tmp_path / "1.txt", tmp_path / "2.txt"
    wiki.write_text("= One =\nfirst\n= = Part = =\nsecond\n= X =\nthird\n")
    plain.write_text("a\nb\n")
    found = loaded(tmp_path)
    assert found.documents.tolist() == [0, 0, 0, 0, 1, 1, 2, 3]


def test_the_checksum_is_of_the_texts_and_their_labels(tmp_path):
    sums = set()
    for text in ("a\tx\n", "b\tx\n", "a\ty\n"):
        (tmp_path / "t.tsv").write_text(text)
        sums.add(loaded(tmp_path / "t.tsv").checksum)
    assert len(sums) == 3


def test_a_label_that_is_no_utf8_is_spelt_as_tables_spell_it(tmp_path):
    os.makedirs(os.fsencode(tmp_path) + b"/caf\xe9")
    with open(os.fsencode(tmp_path) + b"/caf\xe9/a.txt", "w") as file:
        file.write("one\n")
    found = loaded(tmp_path)
    assert found.classes == ("file:caf%E9",)
    assert len(found.checksum) == 64


def test_a_file_without_a_text_is_an_error(tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match="there is no text in"):
        loaded(tmp_path / "empty.txt")


def test_the_parts_of_texts_are_about_as_many_as_their_tokens_fill(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("a line\n" * 7)
    assert loaded(path).parts(1000) == 7
    corpus = MNIST / "wikitext-2" / "valid.txt"
    if not corpus.exists():
        pytest.skip(f"{corpus} is not there")
    found = loaded(corpus)
    lines = [line.text for line in found.lines]
    tokens = Vocabulary.learnt(lines, 2000).encode(lines)
    parts = sum(-(-len(one) // 20) for one in tokens)
    assert found.parts(20) == pytest.approx(parts, rel=0.1)
