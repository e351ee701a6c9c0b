"""Folders of images: which files are found, in which order, and what cannot be."""

import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from aectl.data.images import heif
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped
from aectl.data.storage.folders import class_of, find_files, label_of


def picture(path, value=0, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path, format="PNG")


def found(folder, selection=EVERY_IMAGE):
    """The paths of the images below a folder, all of which can be searched."""
    everything = list(find_files(str(folder), selection))
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
        assert [one.path for one in find_files(folder)] == [f"{folder}/sea/a.png"]


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
    assert [(one.path, one.reason) for one in find_files(str(tmp_path))] == [
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
    images = find_files(str(tmp_path))
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
        images = list(find_files("."))
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


@pytest.mark.parametrize(
    ("path", "folder", "label"),
    [
        ("photos/sea/a.png", "photos", "sea"),
        ("photos/sea/a.png", "photos/sea", "sea"),
        ("photos/sea/a.png", "photos/sea/", "sea"),
        ("/photos/sea/a.png", "/photos/sea/../sea", "sea"),
        ("sea.tar.gz/a.png", "sea.tar.gz", "sea"),
        ("x/Sea.ZIP/a.png", "x/Sea.ZIP", "Sea"),
        ("all.tar/sea/a.png", "all.tar", "sea"),
        ("/a.png", "/", None),
    ],
)
def test_the_label_of_a_file_right_in_a_folder_is_the_folder_s_name(path, folder, label):
    assert label_of(path.replace("sea/../", ""), folder.replace("../sea", "")) == label


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


UNUSUAL = [
    b" leading.png", b"a b.png", b"a\tb.png", b"caf\xc3\xa9.png", b"caf\xe9 \xff.png",
    b"comma,'\".png", b"two\nlines.png", b"\xf0\x9f\x90\xb1.png",
]  # fmt: skip


def test_unusual_names_are_found_and_keep_their_bytes(tmp_path):
    for name in UNUSUAL:
        picture(tmp_path / os.fsdecode(b"s\xe9a/" + name))
    names = [os.fsencode(name) for name in found(tmp_path)]
    assert sorted(names) == sorted(b"s\xe9a/" + name for name in UNUSUAL)
    for one in find_files(str(tmp_path)):
        assert Path(one.file).read_bytes().startswith(b"\x89PNG")


def test_a_link_that_leads_nowhere_is_found_and_left_to_the_reader(tmp_path):
    (tmp_path / "a.png").symlink_to("nowhere.png")
    (tmp_path / "b.png").symlink_to("b.png")
    (tmp_path / "c").symlink_to("nowhere")
    assert found(tmp_path) == ["a.png", "b.png"]


@pytest.mark.parametrize("to", [".", "..", "../..", "../sea", "../hill"])
def test_a_link_to_a_folder_that_is_searched_anyway_is_not_followed(tmp_path, to):
    for name in ("hill/a.png", "sea/b.png"):
        picture(tmp_path / "set" / name)
    (tmp_path / "set" / "sea" / "link").symlink_to(to)
    (tmp_path / "set" / "hill" / "back").symlink_to("../sea")
    assert found(tmp_path / "set") == ["hill/a.png", "sea/b.png"]


def test_links_in_a_chain_do_not_multiply_a_file(tmp_path):
    """15 folders with two links to the next one each: 2^15 paths to a file."""
    chain = tmp_path / "elsewhere"
    picture(chain / "15" / "a.png")
    for number in range(15):
        (chain / f"{number}").mkdir()
        for name in "xy":
            (chain / f"{number}" / name).symlink_to(f"../{number + 1}")
    assert len(found(chain)) == 1
    (tmp_path / "set").symlink_to(chain / "0")
    assert found(tmp_path / "set") == ["/".join(["x"] * 15) + "/a.png"]


def test_a_link_is_followed_to_a_folder_that_is_not_searched_itself(tmp_path):
    picture(tmp_path / ".kept" / "a.png")
    (tmp_path / "sea").symlink_to(".kept")
    skipped = Skipped()
    (one,) = find_files(str(tmp_path), skipped=skipped)
    assert one.path == f"{tmp_path}/sea/a.png"
    assert skipped.notices() == []


def test_a_link_that_is_not_followed_is_told(tmp_path):
    picture(tmp_path / "kept" / "a.png")
    for name in ("again", "zagain"):
        (tmp_path / name).symlink_to("kept")
    skipped = Skipped()
    (one,) = find_files(str(tmp_path), skipped=skipped)
    assert one.path == f"{tmp_path}/kept/a.png"
    (line,) = skipped.notices()
    assert f"{tmp_path}/again and 1 more" in line


HIDDEN = [
    "._a.png", ".DS_Store", ".ipynb_checkpoints/a.png", "__MACOSX/a.png", "__MACOSX/sea/._a.png",
    "sea/.cache/deep/a.png", "sea/@eaDir/a.png/thumb.png", "Thumbs.db", "sea/desktop.ini",
]  # fmt: skip


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), ["sea/b.png"]),
        (Selection(ext=("png", "db")), ["sea/b.png"]),
        (Selection(include=("*",)), ["sea/b.png"]),
        (Selection(include=("*.png", "*/a.png")), ["sea/b.png"]),
        (Selection(include=("._*",)), ["._a.png"]),
        (Selection(include=("__MACOSX/*.png", "b.png")), ["__MACOSX/a.png", "sea/b.png"]),
        (Selection(include=("sea/.cache/*",)), ["sea/.cache/deep/a.png"]),
        (Selection(include=(".*/a.png",)), [".ipynb_checkpoints/a.png"]),
        (Selection(include=("Thumbs.db",)), ["Thumbs.db"]),
    ],
)
def test_hidden_files_and_leftovers_of_file_managers_are_read_where_they_are_named(
    tmp_path, selection, wanted
):
    for name in ["sea/b.png", *HIDDEN]:
        picture(tmp_path / name)
    assert found(tmp_path, selection) == wanted


def test_a_hidden_folder_that_is_named_is_searched(tmp_path):
    picture(tmp_path / ".kept" / "a.png")
    assert found(tmp_path / ".kept") == ["a.png"]


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        (("*.png",), (), ["Left/A.PNG", "b.png"]),
        (("*.PNG",), (), ["Left/A.PNG", "b.png"]),
        (("left/*",), (), ["Left/A.PNG"]),
        ((), ("LEFT",), ["b.png"]),
        ((), ("*.png",), []),
    ],
)
def test_upper_and_lower_case_are_the_same_to_a_pattern(tmp_path, include, exclude, wanted):
    for name in ("Left/A.PNG", "b.png"):
        picture(tmp_path / name)
    assert found(tmp_path, Selection((), include, exclude)) == wanted


LOOKS = ["a.heic", "B.HEIC", "sea/c.tga", "d.jp2"]


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection(), ["4 (2 .heic, 1 .jp2, 1 .tga); pip install 'aectl[heif]'"]),
        (Selection(exclude=("*.heic", "sea")), ["1 (1 .jp2)"]),
        (Selection(ext=("png",)), []),
        (Selection(include=("*.png",)), []),
    ],
)
def test_files_that_look_like_images_and_are_not_read_are_counted(
    tmp_path, selection, told, monkeypatch
):
    monkeypatch.setattr(heif, "is_installed", lambda: False)
    for name in ["x.png", "notes.txt", "noext", ".hidden.heic", *LOOKS]:
        picture(tmp_path / name)
    skipped = Skipped()
    for _ in range(2):  # a second search of the same folder finds no more of them
        assert len(list(find_files(str(tmp_path), selection, skipped))) == 1
    lines = skipped.notices()
    assert len(lines) == len(told)
    assert all(wanted in line for wanted, line in zip(told, lines, strict=True))


RUNS = [
    ["model.safetensors", "config.toml", "filters.png"],
    ["model.safetensors", "metrics.csv", "filters.png"],
    ["checkpoint/checkpoint.safetensors", "a.png"],
]


@pytest.mark.parametrize("files", RUNS)
def test_a_folder_that_holds_a_run_is_skipped_and_told(tmp_path, files):
    for name in ["a.png", *(f"runs/x-1/{file}" for file in files)]:
        picture(tmp_path / name)
    picture(tmp_path / "models" / "model.safetensors")  # alone, it may be anything
    picture(tmp_path / "models" / "b.png")
    skipped = Skipped()
    paths = [one.path for one in find_files(str(tmp_path), skipped=skipped)]
    assert paths == [f"{tmp_path}/a.png", f"{tmp_path}/models/b.png"]
    (line,) = skipped.notices()
    assert line.endswith(f"a run folder of aectl: {tmp_path}/runs/x-1")


def test_in_a_folder_that_is_named_only_the_files_of_its_run_are_skipped(tmp_path):
    for name in [*RUNS[0], "reconstructions.png", "curves.png", "a.png", "sea/filters.png"]:
        picture(tmp_path / name)
    assert found(tmp_path) == ["a.png", "sea/filters.png"]


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection(), ["album.png"]),
        (Selection(ext=("dat",)), ["box.dat"]),
        (Selection(exclude=("album.*",)), []),
    ],
)
def test_an_empty_folder_is_told_where_its_name_is_one_that_is_looked_for(
    tmp_path, selection, told
):
    for name in ("album.png", "box.dat", "plain"):
        (tmp_path / name).mkdir()
    everything = [(one.path, one.reason) for one in find_files(str(tmp_path), selection)]
    assert everything == [(str(tmp_path / name), "is a folder") for name in told]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    (one,) = find_files(str(tmp_path / "nowhere"))
    assert (one.path, one.reason) == (str(tmp_path / "nowhere"), "No such file or directory")


def test_what_is_excluded_is_not_even_searched(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "sea" / "deep").mkdir(parents=True)
    images = find_files(str(tmp_path), Selection(exclude=("sea",)))
    assert next(images).path == str(tmp_path / "a.png")
    (tmp_path / "sea" / "deep").rmdir()
    (tmp_path / "sea").rmdir()
    assert list(images) == []


def test_folders_too_deep_to_search_cost_only_themselves(tmp_path, monkeypatch):
    picture(tmp_path / "b.png")
    monkeypatch.chdir(tmp_path)
    for _ in range(1500):
        os.mkdir("a")
        os.chdir("a")
    os.chdir(tmp_path)
    told, last = find_files(".")
    subprocess.run(["rm", "-r", "a"], check=True)  # Python's own rmtree cannot
    assert "too deep" in told.reason
    assert (last.path, last.reason) == ("./b.png", None)
