"""Rules that choose files by their paths, and the notices of those that are skipped."""

from dataclasses import replace

import pytest

from aectl.data.selection import Selection, Skipped, of_options


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, Selection()),
        ({"ext": "png,.JPG tif"}, Selection(("png", ".JPG", "tif"))),
        ({"ext": " , "}, Selection()),
        ({"include": ["*.png"], "exclude": ["a"]}, Selection((), ("*.png",), ("a",))),
        ({"ext": None, "include": None, "exclude": ()}, Selection()),
    ],
)
def test_options_become_a_selection(options, wanted):
    assert of_options(options) == replace(wanted, contained=True)
    assert of_options(options, (".npy",)).ext == (wanted.ext or (".npy",))


def test_usual_endings_hold_where_none_are_named():
    assert of_options({}, (".txt",)).ext == (".txt",)
    assert of_options({"ext": "md"}, (".txt",)).ext == ("md",)
    assert Selection().usually((".txt",)).ext == (".txt",)
    assert Selection(("md",)).usually((".txt",)).ext == ("md",)


@pytest.mark.parametrize(
    ("selection", "path", "taken"),
    [
        (Selection(), "a.PNG", True),
        (Selection(), "a.png.txt", False),
        (Selection(("txt",)), "a.png.TXT", True),
        (Selection(include=("*.dat",)), "deep/a.dat", True),
        (Selection(include=("deep/*.dat",)), "a.dat", False),
        (Selection(include=("deep/*.dat",)), "deep/er/a.dat", True),
        (Selection(exclude=("deep",)), "Deep/a.png", False),
        (Selection(exclude=("deep",)), "deeper/a.png", True),
        (Selection(exclude=("a.*",)), "b/a.png", False),
        (Selection(), "Thumbs.db/a.png", False),
        (Selection(), "../a.png", True),
        (Selection(include=(".cache/*",)), ".cache/a.png", True),
        (Selection(include=("*",)), ".cache/a.png", False),
    ],
)
def test_a_path_is_taken_by_its_ending_or_by_patterns(selection, path, taken):
    assert selection.takes(path) is taken


@pytest.mark.parametrize(
    ("selection", "path", "missed"),
    [
        (Selection(), "a.jp2", True),
        (Selection(), "a.zip", True),
        (Selection(), "a.txt", False),
        (Selection(), ".hidden/a.zip", False),
        (Selection(("png",)), "a.zip", False),
        (Selection(include=("*.png",)), "a.zip", False),
    ],
)
def test_images_and_archives_that_a_usual_search_does_not_read_are_missed(selection, path, missed):
    assert selection.misses(path) is missed


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(("png", ".JPG")), ".png, .jpg"),
        (Selection(("png",), exclude=("a", "b")), ".png, without --exclude a b"),
        (Selection(include=("*.x", "y")), "--include *.x y"),
    ],
)
def test_a_selection_says_its_rules(selection, words):
    assert str(selection) == words


def test_notices_name_each_kind_once_and_are_not_repeated():
    skipped = Skipped()
    for _ in range(2):  # a second search of the same folder
        search = skipped.search("in", Selection())
        taken = [search.takes(p) for p in ("a.png", "b.tga", "c.TGA", "d.jp2", "e.txt", "f.zip")]
        assert taken == [True, False, False, False, False, False]
        search.runs += ["in/run", "in/other"]
    skipped.own("in/grid.png")
    unread, archives, runs, own = skipped.notices()
    assert unread.endswith("not supported: 3 (2 .tga, 1 .jp2)")
    assert archives.startswith(
        "archives beside images, or in an archive, are not read: 1 (in/f.zip);"
    )
    assert runs == "skipped, because they are run folders of aectl: in/run and 1 more"
    assert own.startswith("skipped, because aectl wrote them: in/grid.png;")
    assert skipped.notices() == []


@pytest.mark.parametrize(
    ("count", "named"), [(3, "0.zip, in/1.zip, in/2.zip)"), (4, "2.zip, ...)")]
)
def test_of_many_archives_the_first_are_named(count, named):
    skipped = Skipped()
    search = skipped.search("in", Selection())
    for number in range(count):
        search.takes(f"{number}.zip")
    (line,) = skipped.notices()
    assert named in line
    assert f": {count} (in/0.zip" in line
