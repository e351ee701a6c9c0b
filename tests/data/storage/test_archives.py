"""Tar and zip archives: what is found in them, and what is told where they are damaged."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aectl.data.inputs import IMAGES, Inputs
from aectl.data.selection import Selection
from aectl.data.storage.archives import find_in_archive

NAMES = ["b.png", "sea/a.png", "a b.png"]
BLOCK = 512
"""Bytes; a tar consists of blocks of so many (POSIX.1-2017, pax, ustar Interchange Format)."""


def noise(number, size=3000):
    """What stands for an image: bytes that no program can compress."""
    return np.random.default_rng(number).bytes(size)


def write_tar(path, mode="w", names=NAMES, size=3000, **options):
    with tarfile.open(path, mode, **options) as tar:
        tar.addfile(tarfile.TarInfo("readme.txt"))
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = size
            tar.addfile(member, io.BytesIO(noise(number, size)))


def write_zip(path, method=zipfile.ZIP_DEFLATED, names=NAMES, size=3000):
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr("readme.txt", "")
        for number, name in enumerate(names):
            packed.writestr(name, noise(number, size))


WRITE = {
    ".tar": write_tar,
    ".tar.gz": lambda path, **options: write_tar(path, "w:gz", **options),
    ".tgz": lambda path, **options: write_tar(path, "w:gz", **options),
    ".tar.bz2": lambda path, **options: write_tar(path, "w:bz2", **options),
    ".tar.xz": lambda path, **options: write_tar(path, "w:xz", **options),
    ".zip": write_zip,
    ".ZIP": lambda path, **options: write_zip(path, zipfile.ZIP_STORED, **options),
}


def below(archive, found):
    """The paths of the images that were found, without the archive's."""
    return [one.path.removeprefix(f"{archive}/") for one in found]


@pytest.mark.parametrize("ending", WRITE)
def test_an_archive_gives_its_images_in_its_order(tmp_path, ending):
    archive = tmp_path / f"set{ending}"
    WRITE[ending](archive)
    images = list(find_in_archive(str(archive)))
    assert [one.path for one in images] == [f"{archive}/{name}" for name in NAMES]
    assert [one.content for one in images] == [noise(number) for number in range(3)]
    assert [one.reason for one in images] == [None] * 3


UNUSUAL = [
    "two\nlines.png", " leading.png", "caf\u00e9.png", "\U0001f431.png", "deep/" * 30 + "a.png",
    "n" * 180 + ".png", "comma,'quote\".png",
]  # fmt: skip


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, "zip"])
def test_unusual_names_are_those_that_were_packed(tmp_path, format):
    archive = tmp_path / ("set.zip" if format == "zip" else "set.tar")
    if format == "zip":
        write_zip(archive, names=UNUSUAL, size=9)
    else:
        write_tar(archive, names=UNUSUAL, size=9, format=format)
    assert below(archive, find_in_archive(str(archive))) == UNUSUAL


def test_a_name_in_a_tar_that_is_not_utf8_keeps_its_bytes(tmp_path):
    write_tar(tmp_path / "set.tar", names=[os.fsdecode(b"caf\xe9 \xff.png")])
    (one,) = find_in_archive(str(tmp_path / "set.tar"))
    assert os.fsencode(one.path) == os.fsencode(tmp_path) + b"/set.tar/caf\xe9 \xff.png"
    assert one.content == noise(0)


SOME = ["c.png", "sea/b.JPG", "sea/deep/a.png", "notes.txt", "scan.dat", "hill/c.png"]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), ["c.png", "sea/b.JPG", "sea/deep/a.png", "hill/c.png"]),
        (Selection(ext=(".dat", "jpg")), ["sea/b.JPG", "scan.dat"]),
        (Selection(include=("c.*",)), ["c.png", "hill/c.png"]),
        (Selection(include=("sea/*",)), ["sea/b.JPG", "sea/deep/a.png"]),
        (Selection(exclude=("sea/deep/*", "c.png")), ["sea/b.JPG"]),
        (
            Selection(include=("*",), exclude=("*.png", "r*")),
            ["sea/b.JPG", "notes.txt", "scan.dat"],
        ),
        (Selection(include=("*.gif",)), []),
    ],
)
def test_a_selection_chooses_among_what_is_packed(tmp_path, ending, selection, wanted):
    archive = tmp_path / f"set{ending}"
    WRITE[ending](archive, names=SOME)
    found = list(find_in_archive(str(archive), selection))
    assert below(archive, found) == wanted
    assert [one.content for one in found] == [noise(SOME.index(name)) for name in wanted]


@pytest.mark.parametrize("selection", [Selection(), Selection(include=("*",))])
def test_a_folder_in_an_archive_is_passed_over_whatever_its_name(tmp_path, selection):
    (tmp_path / "album.png").mkdir()
    (tmp_path / "album.png" / "a.png").write_bytes(noise(0))
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(tmp_path / "album.png", "album.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.mkdir("album.png")
        packed.write(tmp_path / "album.png" / "a.png", "album.png/a.png")
    for archive in (tmp_path / "set.tar", tmp_path / "set.zip"):
        (one,) = find_in_archive(str(archive), selection)
        assert (one.path, one.content) == (f"{archive}/album.png/a.png", noise(0))


def places(size):
    """Where the members of `write_tar` begin: a header, then the content in whole blocks."""
    return [BLOCK + number * (BLOCK + -(-size // BLOCK) * BLOCK) for number in range(4)]


@pytest.mark.parametrize("into", [BLOCK, BLOCK + 1, 2 * BLOCK, 3000, BLOCK + 2999])
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_tar_that_ends_within_a_member_gives_those_before_and_is_told(tmp_path, kept, into):
    archive = tmp_path / "set.tar"
    write_tar(archive)
    os.truncate(archive, places(3000)[kept] + into)
    *images, last = find_in_archive(str(archive))
    assert below(archive, images) == NAMES[:kept]
    assert [one.content for one in images] == [noise(number) for number in range(kept)]
    assert (last.path, last.content) == (str(archive), None)
    assert "cannot be read as an archive" in last.reason


@pytest.mark.parametrize("into", [0, 1, 200, 511])
def test_a_tar_that_ends_in_a_header_gives_those_before_and_is_told(tmp_path, into):
    archive = tmp_path / "set.tar"
    write_tar(archive)
    os.truncate(archive, places(3000)[1] + into)
    *images, last = find_in_archive(str(archive))
    assert below(archive, images) == NAMES[:1]
    assert last.path == str(archive)
    assert last.reason


PACK = {
    ".tar.gz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": partial(lzma.compress, preset=0),
}


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("share", [0.31, 0.67, 0.94])
def test_a_compressed_tar_that_is_cut_short_gives_what_it_has_and_is_told(tmp_path, ending, share):
    names = [f"{number}.png" for number in range(40)]
    write_tar(tmp_path / "whole.tar", names=names, size=50_000)
    packed = PACK[ending]((tmp_path / "whole.tar").read_bytes())
    archive = tmp_path / f"set{ending}"
    archive.write_bytes(packed[: int(share * len(packed))])
    *images, last = find_in_archive(str(archive))
    assert below(archive, images) == names[: len(images)]
    assert [one.content for one in images] == [noise(n, 50_000) for n in range(len(images))]
    assert share * 40 - 20 < len(images) < share * 40  # bzip2 and xz work in blocks
    assert last.path == str(archive)
    assert last.reason


@pytest.mark.parametrize("left", [0.2, 0.9])
def test_a_zip_that_is_cut_short_is_told(tmp_path, left):
    """Its table of contents stands at its end."""
    archive = tmp_path / "set.zip"
    write_zip(archive)
    os.truncate(archive, int(left * archive.stat().st_size))
    (told,) = find_in_archive(str(archive))
    assert told.path == str(archive)
    assert "cannot be read as an archive" in told.reason


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.xz"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_damaged_header_in_a_tar_is_not_taken_for_its_end(tmp_path, ending, number):
    write_tar(tmp_path / "whole.tar")
    data = bytearray((tmp_path / "whole.tar").read_bytes())
    data[data.index(NAMES[number].encode()) + 150] ^= 0xFF  # in the header's checksum
    archive = tmp_path / f"set{ending}"
    archive.write_bytes(PACK.get(ending, bytes)(bytes(data)))
    *images, last = find_in_archive(str(archive))
    assert [(one.path, one.reason) for one in images] == [
        (f"{archive}/{name}", None) for name in NAMES[:number]
    ]
    assert last.path == str(archive)
    assert "damage" in last.reason


def test_an_archive_without_images_is_no_fault(tmp_path):
    write_tar(tmp_path / "set.tar", names=[])
    write_zip(tmp_path / "set.zip", names=[])
    for archive in (tmp_path / "set.tar", tmp_path / "set.zip"):
        assert list(find_in_archive(str(archive))) == []


def test_a_damaged_member_of_a_zip_costs_its_own_row(tmp_path):
    archive = tmp_path / "set.zip"
    write_zip(archive, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[data.index(noise(1)) + 5] ^= 0xFF
    archive.write_bytes(data)
    images = list(find_in_archive(str(archive)))
    assert below(archive, images) == NAMES
    assert [one.reason is None for one in images] == [True, False, True]
    assert "CRC" in images[1].reason


def patched(archive, name, local, central, value):
    """Writes a byte into both headers of a member (APPNOTE.TXT, 4.3.7 and 4.3.12)."""
    data = bytearray(archive.read_bytes())
    for header, to_name, at in ((b"PK\3\4", 30, local), (b"PK\1\2", 46, central)):
        places = [at for at in range(len(data)) if data.startswith(name, at)]
        (start,) = {at - to_name for at in places if data.startswith(header, at - to_name)}
        data[start + at] = value
    archive.write_bytes(data)


@pytest.mark.parametrize(
    ("local", "central", "value", "word"),
    [(6, 8, 1, "encrypted|password"), (8, 10, 97, "compress")],
    ids=["encrypted", "of an unknown compression"],
)
def test_a_member_of_a_zip_that_cannot_be_unpacked_costs_its_own_row(
    tmp_path, local, central, value, word
):
    archive = tmp_path / "set.zip"
    write_zip(archive, zipfile.ZIP_STORED)
    patched(archive, b"sea/a.png", local, central, value)
    before, told, after = find_in_archive(str(archive))
    assert [before.content, told.content, after.content] == [noise(0), None, noise(2)]
    assert told.path == f"{archive}/sea/a.png"
    assert any(one in told.reason for one in word.split("|"))


@pytest.mark.parametrize("ending", [".tar", ".zip", ".tar.gz"])
@pytest.mark.parametrize("content", [b"", b"no archive"], ids=["empty", "text"])
def test_what_is_no_archive_is_told_once(tmp_path, ending, content):
    archive = tmp_path / f"set{ending}"
    archive.write_bytes(content)
    (told,) = find_in_archive(str(archive))
    assert told.path == str(archive)
    assert "cannot be read as an archive" in told.reason


@pytest.mark.parametrize("ending", [".tar", ".zip"])
def test_an_archive_that_is_not_there_is_told(tmp_path, ending):
    (told,) = find_in_archive(str(tmp_path / f"set{ending}"))
    assert told.reason == "cannot be read as an archive: No such file or directory"


def test_names_in_a_tar_of_the_current_folder_are_those_below_it(tmp_path):
    (tmp_path / "tree" / "sea").mkdir(parents=True)
    (tmp_path / "tree" / "sea" / "a.png").write_bytes(noise(0))
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(tmp_path / "tree", ".")
    (one,) = find_in_archive(str(tmp_path / "t.tar"), Selection(include=("sea/*",)))
    assert one.path == f"{tmp_path}/t.tar/sea/a.png"


def test_what_unpacks_to_too_much_is_refused_unread(tmp_path):
    archive = tmp_path / "t.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.png", bytes(129 << 20))
        packed.writestr("b.png", b"small")
    large, small = find_in_archive(str(archive))
    assert "more than" in large.reason
    assert (large.content, small.content) == (None, b"small")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A tar.gz and a zip of the same images, in the current folder, some in sub-folders."""
    monkeypatch.chdir(tmp_path)
    contents = {}
    for value, name in enumerate(["top.png", "sea/1.png", "hill/deep/2.png", "sea/3.png"]):
        held = io.BytesIO()
        Image.new("L", (6, 4), value).save(held, "PNG")
        contents[name] = held.getvalue()
    with tarfile.open("p.tar.gz", "w:gz") as tar, zipfile.ZipFile("p.zip", "w") as packed:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"./{name}")  # as `tar cz .` writes it
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            packed.writestr(name, content)
    return list(contents)


@pytest.mark.parametrize("on_stdin", [False, True], ids=["argument", "stdin"])
@pytest.mark.parametrize("wanted", [False, True], ids=["without labels", "with labels"])
def test_archives_are_inputs_and_their_folders_labels(photos, on_stdin, wanted):
    words = ["p.zip", "./p.tar.gz"]
    inputs = Inputs(
        IMAGES.sources(["-"] if on_stdin else words, ""), Path(),
        stdin=io.BytesIO("\n".join(words).encode()), labels_from_folders=wanted,
    )  # fmt: skip
    told = []
    with inputs.batches((1, 4, 6), 5, lambda *bad: told.append(bad)) as batches:
        rows = [
            (path, label, int(image[0, 0, 0]))
            for batch in batches
            for path, label, image in zip(batch.paths, batch.labels, batch.images, strict=True)
        ]
    labels = ["p", "sea", "hill", "sea"] if wanted else [None] * 4
    assert told == []
    assert inputs.labelled is wanted
    assert rows == [
        (f"{word}/{name}", label, value)
        for word in words
        for value, (name, label) in enumerate(zip(photos, labels, strict=True))
    ]
