"""Names of files in tables and messages: whatever their bytes are, they come back."""

import os
import urllib.parse

import pytest

from aectl.config.spelling import all_spelt, as_given, cell, from_table, guarded, spelt, spelt_out

NAMES = [os.fsdecode(b"a" + bytes([byte]) + b".png") for byte in range(1, 256)]
"""Names with every byte that a name can hold; half are not UTF-8."""


@pytest.mark.parametrize("name", [*NAMES, "ordinary.png", "grüße/日本語.png"], ids=ascii)
def test_a_name_is_utf_8_in_a_table_and_comes_back(name):
    written = spelt(name)
    written.encode("utf-8")
    assert from_table(written) == name
    assert as_given(written) == name


def test_a_lone_surrogate_which_no_file_has_is_written_as_utf_8():
    assert spelt("\ud800").isascii()


def test_bytes_that_are_not_utf_8_are_percent_encoded():
    name = os.fsdecode(b"100% caf\xe9.png")
    assert spelt(name) == "file:100%25%20caf%E9.png"
    assert urllib.parse.unquote_to_bytes(spelt(name).removeprefix("file:")) == os.fsencode(name)


@pytest.mark.parametrize("text", ["file:plain.png", "file:%41", "file:%zz", "file:"])
def test_text_that_is_no_encoded_name_stays_as_given(text):
    assert as_given(text) == text


def test_all_strings_of_a_json_value_are_spelt():
    name = os.fsdecode(b"\xe9")
    value = {name: [name, 1, None, {"a": ("ü", name)}]}
    assert all_spelt(value) == {"file:%E9": ["file:%E9", 1, None, {"a": ["ü", "file:%E9"]}]}


@pytest.mark.parametrize(
    "path",
    ["=1+2.png", "+a", "-a", "@a", "\ta", "\ra", "\na", "\uff1da", "\uff0ba", "\uff0da", "\uff20a",
     "file:a"],
)  # fmt: skip
def test_a_path_that_a_spreadsheet_would_compute_is_written_as_one_of_the_folder(path):
    assert guarded(path) == f"./{path}"
    assert os.path.normpath(guarded(path)) == path
    assert guarded(f"a/{path}") == f"a/{path}"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=SUM(A1)", "'=SUM(A1)"), ("'quoted", "''quoted"), ("-5", "-5"), ("+1.5e-3", "+1.5e-3"),
        ("-5+A1", "'-5+A1"), ("-", "'-"), ("plain", "plain"), ("", ""), ("a=b", "a=b"),
    ],
)  # fmt: skip
def test_text_that_a_spreadsheet_would_compute_gets_an_apostrophe(text, written):
    assert cell(text) == written


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("two\nlines", "two\\nlines"), ("\x1b[31mred", "\\x1b[31mred"), ("grüße", "grüße"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"), ("right\u202eleft", "right\\u202eleft"),
    ],
)  # fmt: skip
def test_a_message_holds_no_character_that_moves_the_cursor(line, shown):
    assert spelt_out(line) == shown
