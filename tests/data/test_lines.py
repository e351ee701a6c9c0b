"""Lines of text and lists of paths, against Python's own reading of text."""

import io

import pytest

from aectl.data import lines
from aectl.errors import DataError

TEXT = "one\n\nthr\u00e9e\n \u732b\nend"


class Slow(io.RawIOBase):
    """A stream that gives a byte at a time and cannot be searched."""

    def __init__(self, content):
        self._left = content

    def readable(self):
        return True

    def readinto(self, room):
        first, self._left = self._left[:1], self._left[1:]
        room[: len(first)] = first
        return len(first)


def numbered(content, slow=False):
    stream = Slow(content) if slow else io.BytesIO(content)
    return [(n, line.decode()) for n, line in lines.numbered(stream) if line is not None]


@pytest.mark.parametrize(
    ("encoding", "slow"),
    [
        ("utf-8", False),
        ("utf-8", True),
        ("utf-8-sig", False),
        ("utf-8-sig", True),
        ("utf-16", False),
        ("utf-16", True),
    ],
)
def test_lines_have_their_numbers_in_every_encoding_with_a_mark(encoding, slow):
    assert numbered(TEXT.encode(encoding), slow) == list(enumerate(TEXT.split("\n"), 1))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"a\rb\rc", ["a", "b", "c"]),
        (b"a\r\nb\r\n", ["a\r", "b\r"]),
        (b"a\rb\nc", ["a\rb", "c"]),
        (b"a\r", ["a\r"]),
        (b"", []),
        (b"\n", [""]),
    ],
)
def test_a_carriage_return_ends_lines_only_where_nothing_else_does(content, wanted):
    assert [line for _, line in numbered(content)] == wanted


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16-le", "utf-16-be"])
def test_other_wide_encodings_are_refused_by_name(encoding):
    with pytest.raises(DataError, match=r"is in UTF-"):
        numbered(("wide characters " * 9).encode(encoding))


def paths(content, null=False):
    return [path for path in lines.paths(io.BytesIO(content), null) if path is not None]


@pytest.mark.parametrize(
    ("content", "null", "wanted"),
    [
        (b"a.png\nb c.png\n\nd", False, ["a.png", "b c.png", "d"]),
        (b"\xef\xbb\xbfa.png\r\nb.png\r\n", False, ["a.png", "b.png"]),
        (b"a.png\rb.png", False, ["a.png", "b.png"]),
        (b"a\nb\0c\r\0\0d", True, ["a\nb", "c\r", "d"]),
        (b"caf\xe9.png", False, ["caf\udce9.png"]),
        ("\ufeffa.png\r\n\u5199.png".encode("utf-16-le"), False, ["a.png", "\u5199.png"]),
        ("\ufeffa.png\r\u5199.png".encode("utf-16-be"), False, ["a.png", "\u5199.png"]),
        ("\ufeff\u5199".encode("utf-16-le"), False, ["\u5199"]),
        (b"~/a.png", False, ["HOME/a.png"]),
        (b"~/a.png", True, ["~/a.png"]),
    ],
)
def test_paths_of_a_list(content, null, wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "HOME")
    assert paths(content, null) == wanted


def test_a_file_of_exactly_that_name_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png\r").touch()
    (tmp_path / "~").touch()
    assert paths(b"a.png\r\nb.png\r\n~") == ["a.png\r", "b.png", "~"]


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16-le", "utf-16-be"])
def test_a_list_of_wide_characters_without_the_mark_of_utf_16_is_refused(encoding):
    with pytest.raises(DataError, match="the list of paths is in UTF-"):
        paths("a.png\nb.png\n".encode(encoding))


def test_a_list_that_only_claims_to_be_utf_16_is_refused():
    with pytest.raises(DataError, match="the list of paths is not the UTF-16 that its"):
        paths("a.png\n".encode("utf-16") + b"\0")


def test_before_it_may_wait_a_stream_gives_none():
    found = list(lines.pieces(Slow(b"a\nb"), b"\n"))
    assert [one for one in found if one is not None] == [b"a", b"b"]
    assert found.index(None) < found.index(b"a")


@pytest.mark.parametrize(
    "content", [b"", b"a", b"a\n", b"\na\n\n", b"a" * 70_000 + b"\n" + b"b" * 140_000]
)
def test_pieces_are_what_split_gives(content):
    found = [piece for piece in lines.pieces(io.BytesIO(content), b"\n") if piece is not None]
    assert found == content.removesuffix(b"\n").split(b"\n")[: None if content else 0]
