"""INPUT: datasets, files, folders and stdin, in order, in batches, without what is bad."""

import io
import os
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from aectl.data.inputs import IMAGES, Inputs
from aectl.data.named_inputs import Naming
from aectl.errors import DataError, UnknownInputError

SHAPE = (1, 4, 6)


def picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 4), value).save(path, format="PNG")


def refuse(path, reason):
    raise AssertionError(f"{path}: {reason}")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gathered(inputs, size=100, on_bad=refuse, shape=SHAPE):
    """The paths, the grey of each image, and the labels of all batches."""
    batches = opened(inputs, size, on_bad, shape)
    paths = [path for batch in batches for path in batch.paths]
    greys = [int(image[0, 0, 0]) for batch in batches for image in batch.images]
    labels = [label for batch in batches for label in batch.labels]
    return paths, greys, labels


def opened(inputs, size, on_bad=refuse, shape=SHAPE, after=None):
    """All batches, as a list."""
    with inputs.batches(shape, size, on_bad, after) as batches:
        return list(batches)


def of(*words, **options):
    stdin = options.get("stdin")
    sources = IMAGES.sources([str(word) for word in words], stdin)
    return Inputs(sources, Path("data"), **options)


def stdin(data, **options):
    return of("-", stdin=io.BufferedReader(io.BytesIO(data)), **options)


def test_files_come_in_the_order_in_which_they_were_named(here):
    for value in (1, 2, 3):
        picture(here / f"{value}.png", value)
    assert gathered(of("3.png", "1.png", "2.png", "1.png")) == (
        ["3.png", "1.png", "2.png", "1.png"], [3, 1, 2, 1], [None] * 4,
    )  # fmt: skip


def test_several_kinds_of_input_follow_each_other(here):
    picture(here / "sea" / "b.png", 2)
    picture(here / "sea" / "a.png", 1)
    picture(here / "z.png", 3)
    inputs = of("z.png", "digits:test", "sea", "-", stdin=io.BufferedReader(io.BytesIO(b"z.png")))
    paths, greys, _ = gathered(inputs, size=50)
    digits = [f"digits:test/{row}" for row in range(360)]
    assert paths == ["z.png", *digits, "sea/a.png", "sea/b.png", "z.png"]
    assert (greys[0], greys[361:]) == (3, [1, 2, 3])


def test_a_dataset_is_resized_and_labelled(here):
    scans = load_digits()
    (batch,) = opened(of("digits"), 1000, shape=(3, 8, 8))
    wanted = np.round(scans.images[-360:] * 255 / 16)
    np.testing.assert_array_equal(batch.images, np.stack([wanted] * 3, axis=1))
    assert batch.labels == [str(target) for target in scans.target[-360:]]
    (larger,) = opened(of("digits"), 1000, shape=(1, 16, 12))
    assert larger.images.shape == (360, 1, 16, 12)


def test_the_split_after_a_colon_is_the_one_that_is_read(here):
    paths, _, labels = gathered(of("digits:train"), shape=(1, 8, 8))
    assert len(paths) == 1437
    assert (paths[0], paths[-1]) == ("digits:train/0", "digits:train/1436")
    assert labels[:5] == ["0", "1", "2", "3", "4"]


NAMES = ["plain.png", "with space.png", " leading.png", "caf\u00e9.png", "comma,'quote\".png"]


@pytest.mark.parametrize("end", [b"\n", b""], ids=["ended", "last line open"])
def test_stdin_gives_a_path_a_line(here, end):
    for value, name in enumerate(NAMES):
        picture(here / name, value)
    paths, greys, labels = gathered(stdin("\n".join(NAMES).encode() + end))
    assert (paths, greys) == (NAMES, [0, 1, 2, 3, 4])
    assert labels == [None] * 5


@pytest.mark.parametrize("end", [b"\0", b""], ids=["ended", "last one open"])
def test_stdin_separated_by_nul_may_hold_newlines(here, end):
    names = [*NAMES, "two\nlines.png"]
    for value, name in enumerate(names):
        picture(here / name, value)
    paths, greys, _ = gathered(stdin("\0".join(names).encode() + end, null_separated=True))
    assert (paths, greys) == (names, [0, 1, 2, 3, 4, 5])


def test_empty_lines_of_stdin_are_passed_over(here):
    picture(here / "a.png", 7)
    assert gathered(stdin(b"\n\na.png\n\na.png\n\n"))[1] == [7, 7]
    assert gathered(stdin(b"")) == ([], [], [])


@pytest.mark.parametrize("way", ["file", "folder", "stdin"])
def test_a_name_that_is_not_utf8_keeps_its_bytes(here, way):
    names = [b"sea/a.png", b"sea/caf\xe9 \xff.png", b"sea/d.png"]
    for value, name in enumerate(names):
        picture(here / os.fsdecode(name), value)
    inputs = {
        "file": of(*map(os.fsdecode, names)),
        "folder": of("sea"),
        "stdin": stdin(b"\n".join(names)),
    }[way]
    paths, greys, _ = gathered(inputs)
    assert ([os.fsencode(path) for path in paths], greys) == (names, [0, 1, 2])


@pytest.mark.parametrize("name", ["a\tb.png", "\u200b.png", "\U0001f431.png", "\ufffd.png"])
def test_unusual_characters_in_a_name_are_no_obstacle(here, name):
    picture(here / name, 9)
    assert gathered(of(name)) == ([name], [9], [None])


@pytest.mark.parametrize("piece", [1, 2, 5])
@pytest.mark.parametrize("separator", [b"\n", b"\0"])
def test_names_that_arrive_in_pieces_are_put_together(here, piece, separator):
    for value, name in enumerate(NAMES):
        picture(here / name, value)
    data = separator.join(name.encode() for name in NAMES)
    reading, writing = os.pipe()

    def trickle():
        with open(writing, "wb", buffering=0) as end:
            for at in range(0, len(data), piece):
                end.write(data[at : at + piece])

    writer = threading.Thread(target=trickle)
    writer.start()
    with open(reading, "rb") as stream:
        paths, greys, _ = gathered(of("-", stdin=stream, null_separated=separator == b"\0"))
    writer.join()
    assert (paths, greys) == (NAMES, [0, 1, 2, 3, 4])


def test_a_long_list_of_names_is_cut_nowhere(here):
    picture(here / "a.png", 1)
    wanted = [f"{'./' * (number % 50)}a.png" for number in range(3000)]
    paths, greys, _ = gathered(stdin("\n".join(wanted).encode()))
    assert paths == wanted
    assert greys == [1] * 3000


def test_a_name_is_read_before_stdin_is_closed(here):
    picture(here / "a.png", 5)
    reading, writing = os.pipe()
    with open(reading, "rb") as stream:
        given_up = threading.Timer(20, os.close, [writing])
        given_up.start()
        os.write(writing, b"a.png\n")
        with of("-", stdin=stream).batches(SHAPE, 1, refuse) as batches:
            batch = next(iter(batches))
            assert given_up.is_alive()
        given_up.cancel()
        os.close(writing)
    assert batch.paths == ["a.png"]


@pytest.mark.parametrize(
    ("size", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (100, [7])]
)  # fmt: skip
def test_batches_have_the_wanted_size_and_the_last_one_the_rest(here, size, sizes):
    for value in range(7):
        picture(here / "sea" / f"{value}.png", value)
    batches = opened(of("sea"), size)
    assert [len(batch.images) for batch in batches] == sizes
    assert [len(batch.paths) for batch in batches] == sizes
    assert [len(batch.labels) for batch in batches] == sizes
    assert np.concatenate([batch.images for batch in batches])[:, 0, 0, 0].tolist() == [*range(7)]


def test_a_batch_reaches_over_from_one_input_to_the_next(here):
    for value in range(4):
        picture(here / f"{value}.png", value)
    batches = opened(of(*(f"{value}.png" for value in range(4))), 3)
    assert [batch.images[:, 0, 0, 0].tolist() for batch in batches] == [[0, 1, 2], [3]]


@pytest.mark.parametrize("size", [1, 2, 3, 10])
@pytest.mark.parametrize("way", ["files", "folder", "stdin"])
def test_a_bad_file_costs_its_own_row_and_no_other(here, way, size):
    for value in range(7):
        picture(here / "sea" / f"{value}.png", value)
    for value in (0, 3):
        (here / "sea" / f"{value}.png").write_bytes(b"no picture")
    names = [f"sea/{value}.png" for value in range(7)]
    inputs = {
        "files": of(*names),
        "folder": of("sea"),
        "stdin": stdin("\n".join(names).encode()),
    }[way]
    bad = []
    paths, greys, _ = gathered(inputs, size, lambda *told: bad.append(told))
    assert greys == [1, 2, 4, 5, 6]
    assert paths == [f"sea/{value}.png" for value in greys]
    assert [path for path, _ in bad] == ["sea/0.png", "sea/3.png"]
    assert all(reason for _, reason in bad)


def test_nothing_but_bad_files_gives_no_batch(here):
    (here / "a.png").write_bytes(b"")
    bad = []
    inputs = stdin(b"a.png\nmissing.png\n")
    assert opened(inputs, 2, lambda *told: bad.append(told)) == []
    assert [path for path, _ in bad] == ["a.png", "missing.png"]


@pytest.mark.parametrize("name", ["scan.dat", "scan", "scan.png.bak"])
def test_a_file_that_is_named_is_read_whatever_its_ending(here, name):
    picture(here / name, 8)
    assert gathered(of(name))[1] == [8]
    assert gathered(stdin(name.encode()))[1] == [8]


@pytest.mark.parametrize("word", ["mnits", "mnits:test"])
def test_an_unknown_word_comes_with_a_near_miss(here, word):
    with pytest.raises(UnknownInputError, match=rf"'{word}'.*did you mean 'mnist'"):
        of(word)


def test_an_unknown_word_that_is_like_no_dataset_is_named_alone(here):
    with pytest.raises(UnknownInputError) as refused:
        of("holiday/photo.png")
    assert "'holiday/photo.png'" in str(refused.value)
    assert "mean" not in str(refused.value)


def test_an_unknown_word_is_refused_before_anything_is_read(here):
    picture(here / "a.png", 1)
    with pytest.raises(UnknownInputError):
        of("a.png", "nowhere.png")


def test_an_unknown_split_is_refused(here):
    with pytest.raises(UnknownInputError, match="train, test"):
        opened(of("digits:tset"), 1)


def test_a_dangling_link_is_a_bad_input_and_no_unknown_word(here):
    (here / "a.png").symlink_to("nowhere.png")
    bad = []
    opened(of("a.png"), 1, lambda *told: bad.append(told))
    assert bad == [("a.png", "No such file or directory")]


def test_a_folder_named_like_a_dataset_is_written_with_a_dot(here):
    picture(here / "digits" / "a.png", 33)
    assert gathered(of("./digits")) == (["./digits/a.png"], [33], [None])
    paths, _, _ = gathered(of("digits"))
    assert paths[0] == "digits:test/0"


def test_labels_come_from_subfolders_where_they_are_wanted(here):
    for name in ("photos/sea/a.png", "photos/hill/deep/b.png", "photos/c.png"):
        picture(here / name, 1)
    paths, _, labels = gathered(of("./photos", labels_from_folders=True))
    wanted = {
        "./photos/c.png": "photos",
        "./photos/hill/deep/b.png": "hill",
        "./photos/sea/a.png": "sea",
    }
    assert dict(zip(paths, labels, strict=True)) == wanted
    assert gathered(of("photos"))[2] == [None] * 3


@pytest.mark.parametrize(
    ("words", "from_folders", "labelled"),
    [
        (["digits"], False, True),
        (["digits", "digits:train"], False, True),
        (["photos"], False, False),
        (["photos"], True, True),
        (["digits", "photos"], False, True),
        (["digits", "photos"], True, True),
        (["photos/sea/a.png"], True, True),
        (["photos/sea/a.png"], False, False),
        (["-"], True, True),
    ],
)
def test_inputs_are_labelled_where_one_of_them_is(here, words, from_folders, labelled):
    picture(here / "photos" / "sea" / "a.png", 1)
    inputs = of(*words, labels_from_folders=from_folders, stdin=io.BytesIO())
    assert inputs.labelled is labelled


def test_what_is_ready_does_not_wait_for_ever_for_a_full_batch(here):
    picture(here / "a.png", 5)
    reading, writing = os.pipe()
    with open(reading, "rb") as stream:
        os.write(writing, b"a.png\n")
        with of("-", stdin=stream).batches(SHAPE, 100, refuse) as batches:
            batch = next(iter(batches))
        os.close(writing)
    assert batch.paths == ["a.png"]
    assert batch.size == 100


@pytest.fixture
def mixture(here):
    """Files, some of them bad, a folder, archives and a dataset, or `some` words, as INPUTs."""
    (here / "nowhere.png").symlink_to("there")
    for value in range(9):
        picture(here / "sea" / f"{value}.png", value)
    for value in (0, 3, 8):
        (here / "sea" / f"{value}.png").write_text("no picture")
    with tarfile.open(here / "sea.tar", "w") as tar:
        tar.add(here / "sea", "sea")
    words = ("sea/1.png", "nowhere.png", "sea", "digits:test", "sea.tar", "-")
    paths = b"sea/2.png\nsea/3.png\nsea.tar\nsea/4.png"
    return lambda some=None: of(*(some or words), stdin=io.BytesIO(paths))


def rows(batches):
    """Each image's path, label and grey."""
    return [
        (path, label, int(image[0, 0, 0]))
        for batch in batches
        for path, label, image in zip(batch.paths, batch.labels, batch.images, strict=True)
    ]


def read_on(inputs, size, after=None):
    """The batches, how many bad files were told before the end of each, and these files."""
    bad, known, batches = [], [], []
    with inputs.batches(SHAPE, size, lambda *told: bad.append(told), after) as opened:
        for batch in opened:
            batches.append(batch)
            known.append(len(bad))
    return batches, known, bad


@pytest.mark.parametrize("size", [1, 3, 60])
def test_reading_goes_on_after_every_batch(here, mixture, size):
    words = None if size == 60 else ("nowhere.png", "sea", "sea.tar", "-")
    whole, known, bad = read_on(mixture(words), size)
    assert len(bad) == 1 + 3 + 3 + 1 + 3  # the link, sea, sea.tar, and on stdin 3.png and sea.tar
    for number in range(len(whole)):
        position = whole[number].position
        assert position.inputs == len(rows(whole[: number + 1])) + known[number]
        rest, _, again = read_on(mixture(words), size, position)
        assert rows(rest) == rows(whole[number + 1 :])
        assert again == bad[known[number] :]
        assert not rest or rest[-1].position == whole[-1].position


def test_what_has_been_added_behind_a_position_is_read(here):
    for value in range(4):
        picture(here / f"{value}.png", value)
    first, _ = opened(of("0.png", "1.png", "2.png", "3.png"), 2)
    rest = opened(of("0.png", "1.png", "3.png", "3.png", "2.png"), 2, after=first.position)
    assert [grey for _, _, grey in rows(rest)] == [3, 3, 2]


def test_a_file_that_has_become_sound_meanwhile_is_passed_over_all_the_same(here):
    for value in range(4):
        picture(here / f"{value}.png", value)
    names = [f"{value}.png" for value in range(4)]
    (here / "1.png").write_text("no picture")
    first, *_ = opened(of(*names), 2, lambda *told: None)
    assert first.paths == ["0.png", "2.png"]
    picture(here / "1.png", 1)
    (here / "2.png").write_text("no picture")
    assert rows(opened(of(*names), 2, after=first.position)) == [("3.png", None, 3)]


OTHERS = {
    "one of another name": (["0.png", "4.png", "2.png", "3.png"], "not those"),
    "another order": (["1.png", "0.png", "2.png", "3.png"], "not those"),
    "one more before them": (["4.png", "0.png", "1.png", "2.png", "3.png"], "not those"),
    "one missing among them": (["0.png", "2.png", "3.png"], "not those"),
    "a dataset": (["digits"], "not those"),
    "the same by another way": (["./0.png", "1.png"], "not those"),
    "fewer": (["0.png"], "fewer than were read before"),
}


@pytest.mark.parametrize(("words", "said"), OTHERS.values(), ids=OTHERS)
def test_other_inputs_than_those_read_before_are_refused(here, words, said):
    for value in range(5):
        picture(here / f"{value}.png", value)
    first, _ = opened(of("0.png", "1.png", "2.png", "3.png"), 2)
    with pytest.raises(DataError, match=said):
        opened(of(*words), 2, after=first.position)


@pytest.mark.parametrize("size", [4, 1000])
def test_the_number_of_workers_changes_nothing(mixture, size):
    one, _, bad = read_on(replace(mixture(), workers=1), size)
    two, _, bad_of_two = read_on(replace(mixture(), workers=2), size)
    assert (rows(one), bad) == (rows(two), bad_of_two)
    assert one[-1].position == two[-1].position


def test_a_bad_file_is_told_by_the_name_that_it_has_in_a_table(here):
    (here / "sea").mkdir()
    (here / "sea" / "a.png").write_text("no picture")
    bad = []
    inputs = of("sea", "sea/a.png", naming=Naming(relative_to="sea"))
    opened(inputs, 1, lambda *told: bad.append(told))
    assert [path for path, _ in bad] == ["a.png", "a.png"]


@pytest.mark.parametrize(
    ("naming", "path", "wanted"),
    [
        ({}, "sea/a.png", "sea/a.png"),
        ({}, "./sea//a.png", "./sea//a.png"),
        ({"relative_to": "sea"}, "sea/deep/a.png", "deep/a.png"),
        ({"relative_to": "hill"}, "./sea/a.png", "../sea/a.png"),
        ({"relative_to": "."}, "./sea//a.png", "sea/a.png"),
        ({"relative_to": "{here}/sea"}, "a.png", "../a.png"),
        ({"relative_to": "sea"}, "{here}/sea/a.png", "a.png"),
        ({"absolute": True}, "sea/../a.png", "{here}/a.png"),
        ({"absolute": True}, "{here}/sea/a.png", "{here}/sea/a.png"),
    ],
)
def test_a_path_is_written_as_it_is_wanted(here, naming, path, wanted):
    if "relative_to" in naming:
        naming = {"relative_to": naming["relative_to"].format(here=here)}
    assert Naming(**naming)(path.format(here=here)) == wanted.format(here=here)


APART = ["sea/a.png", "hill/a.png", "both.tar/sea/a.png", "both.tar/hill/a.png"]


@pytest.mark.parametrize(
    ("naming", "wanted"),
    [
        (Naming(), APART),
        (Naming(relative_to="sea"), ["a.png", *(f"../{path}" for path in APART[1:])]),
        (Naming(absolute=True), [f"{{here}}/{path}" for path in APART]),
    ],
    ids=["as found", "relative", "absolute"],
)
def test_files_of_the_same_name_stay_apart(here, naming, wanted):
    for name in ("sea/a.png", "hill/a.png"):
        picture(here / name, 1)
    with tarfile.open(here / "both.tar", "w") as tar:
        tar.add(here / "sea", "sea")
        tar.add(here / "hill", "hill")
    paths, _, _ = gathered(of("sea", "hill", "both.tar", naming=naming))
    assert paths == [path.format(here=here) for path in wanted]


@pytest.mark.parametrize("first", "=+-@")
def test_no_path_begins_like_a_formula_and_each_still_leads_to_its_file(here, first):
    name = f"{first}cmd|'x'!A0.png"
    picture(here / name, 7)
    assert gathered(stdin(name.encode()))[:2] == ([f"./{name}"], [7])
    assert Path(f"./{name}").samefile(name)
    assert Naming(relative_to="sea")(f"sea/{name}") == f"./{name}"
    assert Naming(absolute=True)(name) == f"{here}/{name}"
    assert Naming()("a=b.png") == "a=b.png"


@pytest.mark.parametrize("naming", [Naming(absolute=True), Naming(relative_to=".")])
def test_a_name_leads_to_the_file_also_where_a_link_lies_on_the_way(here, naming):
    picture(here / "a.png", 1)
    picture(here / "far" / "a.png", 2)
    (here / "far" / "deep").mkdir()
    (here / "link").symlink_to("far/deep")
    ((near, _, _), (distant, _, grey)) = rows(
        opened(of("a.png", "link/../a.png", naming=naming), 9)
    )
    assert grey == 2
    assert near != distant


def test_a_pipe_that_does_not_block_is_read_to_its_end(here):
    picture(here / "a.png", 5)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def trickle():
        with open(writing, "wb", buffering=0) as end:
            for _ in range(3):
                time.sleep(0.05)
                end.write(b"a.png\n")

    writer = threading.Thread(target=trickle)
    writer.start()
    with open(reading, "rb", buffering=0) as stream:
        paths, _, _ = gathered(of("-", stdin=stream))
    writer.join()
    assert paths == ["a.png"] * 3
