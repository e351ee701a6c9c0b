"""Reading texts: files, folders, stdin, and the datasets known by name."""

import io
import os

import pytest

from aectl.data.text.text_batches import token_batches
from aectl.data.text.text_inputs import TEXT, LineCounts, TextInputs
from aectl.errors import Alike, DataError, UnknownInputError
from aectl.models.vocabulary import Vocabulary


@pytest.fixture
def bad():
    return []


@pytest.fixture
def on_bad(bad):
    return lambda path, reason: bad.append((path, reason))


def read(words, on_bad, tmp_path, stdin=b"", **options):
    inputs = TextInputs(TEXT.sources(words, ""), tmp_path, io.BytesIO(stdin), **options)
    return inputs, [line for line in inputs.lines(on_bad) if line is not None]


def test_lines_have_the_number_that_an_editor_shows(tmp_path, on_bad, bad):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\xef\xbb\xbffirst\r\n\n  \n fourth \nlast")
    inputs, lines = read([str(path)], on_bad, tmp_path)
    assert [(line.path, line.text) for line in lines] == [
        (f"{path}:1", "first"), (f"{path}:4", "fourth"), (f"{path}:5", "last"),
    ]  # fmt: skip
    assert inputs.counts == LineCounts(empty=2)
    assert bad == []


def test_what_is_no_utf8_is_named_by_its_line(tmp_path, on_bad, bad):
    _, lines = read(["-"], on_bad, tmp_path, b"one\ntw\xff\nthree\n")
    assert [line.text for line in lines] == ["one", "three"]
    ((path, reason),) = bad
    assert path == "stdin:2"
    assert reason == (
        "is not UTF-8, from byte 3 on; it looks like Latin-1: convert it with iconv -f latin1"
        " -t utf-8"
    )


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("caf\u00e9".encode("latin-1"), "latin1"),
        ("S\u00f8ren \u00d8".encode("latin-1"), "latin1"),
        ("\u201cquoted\u201d, 5 \u20ac".encode("cp1252"), "cp1252"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442".encode("cp1251"), "ENCODING"),
        ("\u3053\u3093\u306b\u3061\u306f".encode("shift-jis"), "ENCODING"),
        ("caf\u00e9 au lait, cr\u00e8me".encode()[:-4] + b"\xff", "ENCODING"),
    ],
    ids=["latin-1", "capitals", "cp1252", "cp1251", "shift-jis", "damaged UTF-8"],
)
def test_a_line_that_is_no_utf8_tells_the_encoding_that_it_looks_like(
    tmp_path, on_bad, bad, content, encoding
):
    read(["-"], on_bad, tmp_path, content + b"\n")
    ((_, reason),) = bad
    assert f"iconv -f {encoding} -t utf-8" in reason


def test_a_file_in_latin_1_is_told_the_way_out_once(tmp_path, on_bad, bad):
    path = tmp_path / "an t.txt"
    path.write_bytes("Äpfel\nBirnen\nÖl\nüber\n".encode("latin-1"))
    _, lines = read([str(path)], on_bad, tmp_path)
    assert [line.text for line in lines] == ["Birnen"]
    assert [place for place, _ in bad] == [f"{path}:1", f"{path}:3", f"{path}:4"]
    assert f"iconv -f latin1 -t utf-8 '{path}'" in bad[0][1]
    assert [reason for _, reason in bad[1:]] == [f"is not UTF-8, like {path}:1"] * 2
    assert all(isinstance(reason, Alike) for _, reason in bad[1:])


LONG = "Äpfel und 🍎\n" * 6_000


@pytest.mark.parametrize("text", ["one\ntwö\n\nlast", LONG], ids=["short", "long"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be with mark"])
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_encodings_and_line_ends_make_no_difference(
    tmp_path, on_bad, bad, text, ends, encoding, way
):
    wanted = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line]
    if encoding == "utf-16-be with mark":
        content = ("\ufeff" + text.replace("\n", ends)).encode("utf-16-be")
    else:
        content = text.replace("\n", ends).encode(encoding)
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    _, lines = read([str(path) if way == "file" else "-"], on_bad, tmp_path, content)
    assert [(line.number, line.text) for line in lines] == wanted
    assert bad == []


def test_a_carriage_return_within_a_line_ends_it_not_where_others_end_otherwise(tmp_path, on_bad):
    _, lines = read(["-"], on_bad, tmp_path, b"a\n10%\r20%\nb\r\n")
    assert [line.text for line in lines] == ["a", "10%\r20%", "b"]


@pytest.mark.parametrize("damage", [b"\x00", b"\x00\xd8a\x00"], ids=["odd", "lone surrogate"])
def test_what_only_claims_to_be_utf_16_is_named(tmp_path, on_bad, bad, damage):
    path = tmp_path / "notes.txt"
    path.write_bytes("one\n".encode("utf-16") + damage)
    read([str(path)], on_bad, tmp_path)
    assert bad == [(str(path), "is not the UTF-16 that its byte-order mark claims")]


WIDE = {
    "utf-16le": ("utf-16-le", "is in UTF-16 without a byte-order mark"),
    "utf-16be": ("utf-16-be", "is in UTF-16 without a byte-order mark"),
    "utf-32": ("utf-32", "is in UTF-32;"),
    "utf-32le": ("utf-32-le", "is in UTF-32 without a byte-order mark"),
    "utf-32be": ("utf-32-be", "is in UTF-32 without a byte-order mark"),
}


@pytest.mark.parametrize("way", ["file", "stdin"])
@pytest.mark.parametrize("encoding", WIDE)
def test_a_text_of_wide_characters_costs_one_complaint_that_names_its_encoding(
    tmp_path, on_bad, bad, encoding, way
):
    codec, said = WIDE[encoding]
    content = "one\nzw\u00f6lf \u4e00\u0100\nthree\n".encode(codec)
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    _, lines = read([str(path) if way == "file" else "-"], on_bad, tmp_path, content)
    assert lines == []
    ((named, reason),) = bad
    assert named == (str(path) if way == "file" else "stdin")
    assert said in reason
    assert reason.endswith(f"convert it with iconv -f {encoding} -t utf-8")


def test_a_file_that_is_no_text_costs_one_complaint(tmp_path, on_bad, bad):
    path = tmp_path / "notes.txt"
    path.write_bytes(bytes(range(256)) * 20)
    _, lines = read([str(path)], on_bad, tmp_path)
    assert lines == []
    ((named, reason),) = bad
    assert named == str(path)
    assert "zero bytes; if it is UTF-16, convert it with iconv -f utf-16le" in reason


def test_a_line_with_zero_bytes_is_no_text(tmp_path, on_bad, bad):
    _, lines = read(["-"], on_bad, tmp_path, b"o\0ne\ntw\0o\n\0\nthree\n")
    assert [line.text for line in lines] == ["three"]
    assert [path for path, _ in bad] == ["stdin:1", "stdin:2", "stdin:3"]
    assert bad[0][1] == "is not text: it holds zero bytes"


def test_a_line_of_any_length_is_read_in_time_that_grows_with_it(tmp_path, on_bad):
    content = b"x" * 50_000_000 + b"\nlast"
    _, lines = read(["-"], on_bad, tmp_path, content)
    assert [len(line.text) for line in lines] == [50_000_000, 4]


def test_a_line_of_a_tsv_file_is_a_label_and_a_text(tmp_path, on_bad, bad):
    path = tmp_path / "reviews.tsv"
    path.write_text("good\ta fine film\nbad\tdull\tand long\nno tab\n\tnone\nbad\t\n\n")
    inputs, lines = read([str(path)], on_bad, tmp_path)
    assert [(line.label, line.text) for line in lines[:2]] == [
        ("good", "a fine film"), ("bad", "dull\tand long"),
    ]  # fmt: skip
    assert bad == [
        (f"{path}:3", "has no tab between its label and its text"),
        (f"{path}:4", "has no label before its tab"),
    ]
    assert len(lines) == inputs.counts.empty == 2
    assert inputs.labelled
    assert TextInputs(TEXT.sources([str(tmp_path)], ""), tmp_path).labelled


def test_batches_hold_tokens_cut_at_the_length_and_filled_up(tmp_path, on_bad):
    vocabulary = Vocabulary.learnt([], 300)
    inputs = TextInputs(TEXT.sources(["-"], ""), tmp_path, io.BytesIO(b"abc\nabcdefgh\nx\n"))
    first, second = token_batches(inputs, vocabulary, 5, 2, on_bad)
    assert vocabulary.decode(first.tokens[1]) == "abcd"  # a space comes before each text
    assert (first.tokens[0] == 0).tolist() == [False] * 4 + [True]
    assert (first.paths, second.paths) == (["stdin:1", "stdin:2"], ["stdin:3"])
    assert inputs.counts.cut == 1
    again = TextInputs(TEXT.sources(["-"], ""), tmp_path, io.BytesIO(b"abc\nabcdefgh\nx\n"))
    left = token_batches(again, vocabulary, 5, 2, on_bad, first.position)
    assert [batch.paths for batch in left] == [["stdin:3"]]
    first_two = TextInputs(TEXT.sources(["-"], ""), tmp_path, io.BytesIO(b"abc\nabcdefgh\nx\n"))
    of_two = token_batches(first_two, vocabulary, 5, 1, on_bad, most=2)
    assert [batch.paths for batch in of_two] == [["stdin:1"], ["stdin:2"]]
    other = TextInputs(TEXT.sources(["-"], ""), tmp_path, io.BytesIO(b"abc\nchanged\nx\n"))
    with pytest.raises(DataError, match="not those that were read before"):
        list(token_batches(other, vocabulary, 5, 2, on_bad, first.position))


def test_what_was_bad_before_the_position_is_not_told_again(tmp_path, on_bad, bad):
    vocabulary, content = Vocabulary.learnt([], 300), b"a\n\xff\nb\n\xff\nc\n"

    def batches(after=None):
        inputs = TextInputs(TEXT.sources(["-"], ""), tmp_path, io.BytesIO(content))
        return list(token_batches(inputs, vocabulary, 5, 1, on_bad, after))

    positions = [batch.position for batch in batches()]
    assert [path for path, _ in bad] == ["stdin:2", "stdin:4"]
    for number, position in enumerate(positions):
        bad.clear()
        left = [batch.paths[0] for batch in batches(position)]
        assert left == ["stdin:3", "stdin:5"][number:]
        assert [path for path, _ in bad] == ["stdin:2", "stdin:4"][number:]


def test_a_file_or_a_name_that_does_not_exist(tmp_path, on_bad):
    with pytest.raises(UnknownInputError, match="did you mean 'wikitext-2'"):
        TextInputs(TEXT.sources(["wikitext2"], ""), tmp_path)
    with pytest.raises(UnknownInputError, match="it has train, valid, test"):
        read(["wikitext-2:all"], on_bad, tmp_path)


def test_a_name_that_is_no_utf8_stands_in_the_table_as_it_is(tmp_path, on_bad):
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(path, "w") as file:
        file.write("one\n")
    inputs = TextInputs(TEXT.sources([os.fsdecode(path)], ""), tmp_path)
    (batch,) = token_batches(inputs, Vocabulary.learnt([], 300), 5, 2, on_bad)
    assert os.fsencode(batch.paths[0]) == path + b":1"
