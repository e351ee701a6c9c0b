"""INPUT: datasets, files, folders and stdin, in order, in batches, without what is bad."""

import io
import os
import tarfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from aectl.data.inputs import Inputs, Naming
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
    with inputs.batches(shape, size, on_bad) as opened:
        batches = list(opened)
    paths = [path for batch in batches for path in batch.paths]
    greys = [int(image[0, 0, 0]) for batch in batches for image in batch.images]
    labels = [label for batch in batches for label in batch.labels]
    return paths, greys, labels


def of(*words, **options):
    return Inputs([str(word) for word in words], Path("data"), **options)


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
    (batch,) = of("digits").batches((3, 8, 8), 1000, refuse)
    wanted = np.round(scans.images[-360:] * 255 / 16)
    np.testing.assert_array_equal(batch.images, np.stack([wanted] * 3, axis=1))
    assert batch.labels == [str(target) for target in scans.target[-360:]]
    (larger,) = of("digits").batches((1, 16, 12), 1000, refuse)
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
    batches = list(of("sea").batches(SHAPE, size, refuse))
    assert [len(batch.images) for batch in batches] == sizes
    assert [len(batch.paths) for batch in batches] == sizes
    assert [len(batch.labels) for batch in batches] == sizes
    assert np.concatenate([batch.images for batch in batches])[:, 0, 0, 0].tolist() == [*range(7)]


def test_a_batch_reaches_over_from_one_input_to_the_next(here):
    for value in range(4):
        picture(here / f"{value}.png", value)
    batches = list(of(*(f"{value}.png" for value in range(4))).batches(SHAPE, 3, refuse))
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
    assert list(inputs.batches(SHAPE, 2, lambda *told: bad.append(told))) == []
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
        list(of("digits:tset").batches(SHAPE, 1, refuse))


def test_a_dangling_link_is_a_bad_input_and_no_unknown_word(here):
    (here / "a.png").symlink_to("nowhere.png")
    bad = []
    list(of("a.png").batches(SHAPE, 1, lambda *told: bad.append(told)))
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
        "./photos/c.png": None,
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
        (["photos/sea/a.png"], True, False),
        (["-"], True, True),
    ],
)
def test_inputs_are_labelled_where_one_of_them_is(here, words, from_folders, labelled):
    picture(here / "photos" / "sea" / "a.png", 1)
    assert of(*words, labels_from_folders=from_folders).labelled is labelled


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
    """Files, some of them bad, a folder, an archive and a dataset, as INPUTs."""
    for value in range(9):
        picture(here / "sea" / f"{value}.png", value)
    for value in (0, 3, 8):
        (here / "sea" / f"{value}.png").write_text("no picture")
    with tarfile.open(here / "sea.tar", "w") as tar:
        tar.add(here / "sea", "sea")
    return lambda: of("sea/1.png", "nowhere.png", "sea", "digits:test", "sea.tar", "-",
                      stdin=io.BytesIO(b"sea/2.png\nsea/3.png\nsea/4.png"))  # fmt: skip


def test_reading_goes_on_after_any_batch(here, mixture):
    (here / "nowhere.png").symlink_to("there")
    bad = []
    with mixture().batches(SHAPE, 5, lambda *told: bad.append(told)) as opened:
        whole = [(batch, len(bad)) for batch in opened]
    images = sum(len(batch.paths) for batch, _ in whole)
    assert whole[-1][0].position.inputs == images + whole[-1][1]
    for number in (0, 1, 2, 20, len(whole) - 1):
        batch, known = whole[number]
        again: list[tuple[str, str]] = []
        tell = partial(lambda kept, *told: kept.append(told), again)
        with mixture().batches(SHAPE, 5, tell, after=batch.position) as opened:
            rest = list(opened)
        missing = [path for one, _ in whole[number + 1 :] for path in one.paths]
        assert [path for one in rest for path in one.paths] == missing
        assert not rest or rest[-1].position == whole[-1][0].position
        assert bad[:known] + again == bad


def test_other_inputs_than_those_read_before_are_refused(here):
    for value in range(6):
        picture(here / "sea" / f"{value}.png", value)
    with of("sea").batches(SHAPE, 2, refuse) as opened:
        _, second, _ = opened
    (here / "sea" / "0.png").rename(here / "sea" / "00.png")
    changed = of("sea").batches(SHAPE, 2, refuse, after=second.position)
    with changed as opened, pytest.raises(DataError, match="not those that were read before"):
        list(opened)
    fewer = of("sea/1.png").batches(SHAPE, 2, refuse, after=second.position)
    with fewer as opened, pytest.raises(DataError, match="fewer than were read before"):
        list(opened)


@pytest.mark.parametrize(
    ("naming", "path", "wanted"),
    [
        (Naming(), "sea/a.png", "sea/a.png"),
        (Naming(relative_to="sea"), "sea/deep/a.png", "deep/a.png"),
        (Naming(relative_to="hill"), "./sea/a.png", "../sea/a.png"),
        (Naming(absolute=True), "sea/../a.png", "{here}/a.png"),
    ],
)
def test_a_path_is_written_as_it_is_wanted(here, naming, path, wanted):
    assert naming(path) == wanted.format(here=here)


def test_files_of_the_same_name_stay_apart(here):
    for name in ("sea/a.png", "hill/a.png"):
        picture(here / name, 1)
    with tarfile.open(here / "both.tar", "w") as tar:
        tar.add(here / "sea", "sea")
        tar.add(here / "hill", "hill")
    paths, _, _ = gathered(of("sea", "hill", "both.tar", naming=Naming(relative_to="sea")))
    assert paths == ["a.png", "../hill/a.png", "../both.tar/sea/a.png", "../both.tar/hill/a.png"]


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
