"""Folders and archives of images: which files are found, in which order, and what cannot be."""

import io
import os
import tarfile
import zipfile

import pytest
from PIL import Image

from aectl.data.folders import (
    EVERY_IMAGE,
    Selection,
    class_of,
    find_images,
    find_in_archive,
)


def picture(path, value=0, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path, format="PNG")


def found(folder, selection=EVERY_IMAGE):
    """The paths of the images below a folder, all of which can be searched."""
    everything = list(find_images(str(folder), selection))
    assert all(one.reason is None and one.file == one.path for one in everything)
    return [os.path.relpath(one.path, folder) for one in everything]


def test_files_are_found_recursively_in_sorted_order(tmp_path):
    names = ["c.png", "b/2.png", "b/10.png", "a.png", "b/a/z.png", "d/1.png"]
    for name in names:
        picture(tmp_path / name)
    assert found(tmp_path) == ["a.png", "b/10.png", "b/2.png", "b/a/z.png", "c.png", "d/1.png"]


def test_a_path_begins_with_the_folder_as_it_was_named(tmp_path, monkeypatch):
    picture(tmp_path / "photos" / "sea" / "a.png")
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "./photos", str(tmp_path / "photos")):
        assert [one.path for one in find_images(folder)] == [f"{folder}/sea/a.png"]


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


def test_an_empty_folder_named_like_an_image_is_told(tmp_path):
    (tmp_path / "album.png").mkdir()
    (tmp_path / "other").mkdir()
    assert [(one.path, one.reason) for one in find_images(str(tmp_path))] == [
        (str(tmp_path / "album.png"), "is a folder")
    ]


def test_a_loop_of_links_comes_to_an_end(tmp_path):
    picture(tmp_path / "sea" / "a.png")
    (tmp_path / "sea" / "up").symlink_to(tmp_path)
    (tmp_path / "sea" / "itself").symlink_to("itself")
    assert found(tmp_path) == ["sea/a.png"]


def test_a_link_to_an_image_is_found(tmp_path):
    picture(tmp_path / "kept" / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "kept" / "a.png")
    assert found(tmp_path) == ["b.png", "kept/a.png"]


def test_a_folder_that_vanishes_is_told_and_the_others_are_read(tmp_path):
    for name in ("a.png", "c/1.png"):
        picture(tmp_path / name)
    (tmp_path / "b").mkdir()
    images = find_images(str(tmp_path))
    assert next(images).path == str(tmp_path / "a.png")
    (tmp_path / "b").rmdir()
    assert [(one.path, one.reason) for one in images] == [
        (str(tmp_path / "b"), "No such file or directory"),
        (str(tmp_path / "c" / "1.png"), None),
    ]


def test_an_unreadable_folder_is_told_and_the_others_are_read(tmp_path, monkeypatch):
    for name in ("a/1.png", "b/1.png", "c/1.png"):
        picture(tmp_path / name)
    tmp_path.chmod(0o755)
    (tmp_path / "b").chmod(0o000)
    monkeypatch.chdir(tmp_path)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        images = list(find_images("."))
    finally:
        os.seteuid(user)
        (tmp_path / "b").chmod(0o755)
    assert [(one.path, one.reason) for one in images] == [
        ("./a/1.png", None),
        ("./b", "Permission denied"),
        ("./c/1.png", None),
    ]


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


def test_a_linked_folder_is_searched(tmp_path):
    picture(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "set") == ["link/a.png"]


TREE = ["a.png", "b.dat", "left/a.JPG", "left/deep/c.png", "right/a.png", "right/notes.txt"]


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), ["a.png", "left/a.JPG", "left/deep/c.png", "right/a.png"]),
        (Selection(ext=("jpg",)), ["left/a.JPG"]),
        (Selection(ext=(".dat", "PNG")), ["a.png", "b.dat", "left/deep/c.png", "right/a.png"]),
        (Selection(include=("a.*",)), ["a.png", "left/a.JPG", "right/a.png"]),
        (
            Selection(include=("left/*", "*.txt")),
            ["left/a.JPG", "left/deep/c.png", "right/notes.txt"],
        ),
        (Selection(exclude=("a.png",)), ["left/a.JPG", "left/deep/c.png"]),
        (Selection(exclude=("left",)), ["a.png", "right/a.png"]),
        (Selection(exclude=("left/deep/*",)), ["a.png", "left/a.JPG", "right/a.png"]),
        (Selection(include=("*.dat", "a.png"), exclude=("right/*",)), ["a.png", "b.dat"]),
    ],
)  # fmt: skip
def test_a_selection_chooses_among_the_files(tmp_path, selection, wanted):
    for name in TREE:
        picture(tmp_path / "tree" / name)
    assert found(tmp_path / "tree", selection) == wanted
    with tarfile.open(tmp_path / "tree.tar", "w") as tar:
        for name in TREE:
            tar.add(tmp_path / "tree" / name, name)
    packed = [one.path for one in find_in_archive(str(tmp_path / "tree.tar"), selection)]
    assert packed == [f"{tmp_path}/tree.tar/{name}" for name in wanted]


NAMES = ["b.png", "sea/a.png", "a b.png"]


def write_tar(path, mode="w"):
    with tarfile.open(path, mode) as tar:
        tar.addfile(tarfile.TarInfo("readme.txt"))
        for number, name in enumerate(NAMES):
            member = tarfile.TarInfo(name)
            member.size = 3000
            tar.addfile(member, io.BytesIO(bytes([number]) * 3000))


def write_zip(path, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr("readme.txt", "")
        for number, name in enumerate(NAMES):
            packed.writestr(name, bytes([number]) * 3000)


WRITE = {
    ".tar": write_tar,
    ".tar.gz": lambda path: write_tar(path, "w:gz"),
    ".tgz": lambda path: write_tar(path, "w:gz"),
    ".tar.bz2": lambda path: write_tar(path, "w:bz2"),
    ".tar.xz": lambda path: write_tar(path, "w:xz"),
    ".zip": write_zip,
    ".ZIP": lambda path: write_zip(path, zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("ending", WRITE)
def test_an_archive_gives_its_images_in_its_order(tmp_path, ending):
    archive = tmp_path / f"set{ending}"
    WRITE[ending](archive)
    images = list(find_in_archive(str(archive)))
    assert [one.path for one in images] == [f"{archive}/{name}" for name in NAMES]
    assert [one.content for one in images] == [bytes([number]) * 3000 for number in range(3)]
    assert [one.reason for one in images] == [None] * 3


@pytest.mark.parametrize(
    ("ending", "kept"), [(".tar", 2), (".tar.gz", 0), (".zip", 0)], ids=["tar", "tar.gz", "zip"]
)
def test_an_archive_that_is_cut_short_is_told_after_what_it_has(tmp_path, ending, kept):
    archive = tmp_path / f"set{ending}"
    WRITE[ending](archive)
    size = {".tar": 9500}.get(ending, archive.stat().st_size - 100)
    os.truncate(archive, size)
    *images, last = find_in_archive(str(archive))
    assert len(images) >= kept
    assert [one.path for one in images] == [f"{archive}/{name}" for name in NAMES[: len(images)]]
    assert last.path == str(archive)
    assert last.reason


def test_a_damaged_header_in_a_tar_is_not_taken_for_its_end(tmp_path):
    archive = tmp_path / "set.tar"
    write_tar(archive)
    data = bytearray(archive.read_bytes())
    second = data.index(b"sea/a.png")
    data[second + 150] ^= 0xFF  # in the header's checksum
    archive.write_bytes(data)
    first, last = find_in_archive(str(archive))
    assert (first.path, first.reason) == (f"{archive}/b.png", None)
    assert last.path == str(archive)
    assert "damage" in last.reason


def test_a_damaged_member_of_a_zip_costs_its_own_row(tmp_path):
    archive = tmp_path / "set.zip"
    write_zip(archive, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[data.index(bytes([1]) * 3000) + 5] ^= 0xFF
    archive.write_bytes(data)
    images = list(find_in_archive(str(archive)))
    assert [one.path for one in images] == [f"{archive}/{name}" for name in NAMES]
    assert [one.reason is None for one in images] == [True, False, True]
    assert "CRC" in images[1].reason


def test_an_encrypted_member_of_a_zip_costs_its_own_row(tmp_path):
    archive = tmp_path / "set.zip"
    write_zip(archive, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature, data.index(b"sea/a.png") - 60 if flags == 6 else 9000)
        while b"sea/a.png" not in data[at : at + 60]:
            at = data.index(signature, at + 1)
        data[at + flags] |= 1
    archive.write_bytes(data)
    images = list(find_in_archive(str(archive)))
    assert [one.reason is None for one in images] == [True, False, True]
    assert "password" in images[1].reason or "encrypted" in images[1].reason


@pytest.mark.parametrize("ending", [".tar", ".zip", ".tar.gz"])
@pytest.mark.parametrize("content", [b"", b"no archive"], ids=["empty", "text"])
def test_what_is_no_archive_is_told_once(tmp_path, ending, content):
    archive = tmp_path / f"set{ending}"
    archive.write_bytes(content)
    (told,) = find_in_archive(str(archive))
    assert told.path == str(archive)
    assert "cannot be read as an archive" in told.reason


def test_names_in_a_tar_of_the_current_folder_are_those_below_it(tmp_path):
    picture(tmp_path / "tree" / "sea" / "a.png")
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(tmp_path / "tree", ".")
    (one,) = find_in_archive(str(tmp_path / "t.tar"), Selection(include=("sea/*",)))
    assert one.path == f"{tmp_path}/t.tar/sea/a.png"


def test_a_link_in_a_tar_is_told(tmp_path):
    picture(tmp_path / "a.png")
    os.link(tmp_path / "a.png", tmp_path / "b.png")
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name in ("a.png", "b.png"):
            tar.add(tmp_path / name, name)
    first, second = find_in_archive(str(tmp_path / "t.tar"))
    assert (first.reason, second.reason) == (None, "is a link in an archive, not a file")


def test_what_unpacks_to_too_much_is_refused_unread(tmp_path):
    archive = tmp_path / "t.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.png", bytes(129 << 20))
        packed.writestr("b.png", b"small")
    large, small = find_in_archive(str(archive))
    assert "more than" in large.reason
    assert (large.content, small.content) == (None, b"small")
