"""Encodings of text, recognised in what Python's codecs wrote."""

import shlex
import shutil
import subprocess

import pytest

from aectl.config.encodings import conversion, name_of, narrow, wide

FRENCH = "Le café « naïf » coûte 3 € — déjà vu\n"


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("utf-16", "UTF-16"), ("utf-32", "UTF-32"),
        *[(f"utf-{bits}-{end}", f"UTF-{bits} without a byte-order mark")
          for bits in (16, 32) for end in ("le", "be")],
    ],
)  # fmt: skip
def test_text_of_several_bytes_a_character_is_recognised(codec, name):
    text = "plain words, as most text has\n"
    found = wide(text.encode(codec))
    assert found is not None
    assert text.encode(codec).decode(found) == text
    assert name_of(found) == name


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_says_it_of_text_in_any_script(codec):
    content = ("\ufeff" + "日本語" * 9).encode(codec)
    assert content.decode(wide(content)).strip("\ufeff") == "日本語" * 9


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_line_ends_say_it_of_names_in_another_script(codec):
    names = "日本語/東京/写真集/夏休みの思い出.jpg\n" * 2
    assert wide(names.encode(codec)) == codec.replace("16-", "16")


@pytest.mark.parametrize(
    "content",
    [b"", b"a", b"ascii", FRENCH.encode(), FRENCH.encode("cp1252"), "日本語".encode(),
     b"a.png\0b.png\0c\n\0"],
)  # fmt: skip
def test_other_text_is_not_taken_for_it(content):
    assert wide(content) is None


@pytest.mark.parametrize("codec", ["cp1252", "latin1"])
def test_a_line_of_a_western_language_is_recognised(codec):
    text = FRENCH if codec == "cp1252" else "Le café naïf coûte 3 francs"
    assert narrow(text.encode(codec)) == codec


@pytest.mark.parametrize(
    "line",
    ["Привет, мир".encode("koi8-r"), "日本語です".encode("shift_jis"),
     "café".encode() + "déjà".encode("latin1")],
)  # fmt: skip
def test_a_line_of_another_encoding_or_of_two_is_not_guessed(line):
    assert narrow(line) is None


@pytest.mark.skipif(not shutil.which("iconv"), reason="needs iconv")
@pytest.mark.parametrize("codec", ["utf-16", "utf-32-be", "cp1252"])
def test_the_command_that_is_advised_converts_the_file(codec, tmp_path):
    path, text = tmp_path / "a file.txt", "coûte 3 pièces, as plain words\n"
    path.write_bytes(text.encode(codec))
    found = wide(path.read_bytes()) or "cp1252"
    advice = conversion(found, shlex.quote(str(path))).removeprefix("convert it with ")
    made = subprocess.run(advice, shell=True, capture_output=True, check=True).stdout
    assert made.decode("utf-8").lstrip("\ufeff") == text
