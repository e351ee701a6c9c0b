"""Files are replaced whole or not at all."""

import os
import subprocess
import sys
import threading
import time

import pytest

from aectl.errors import OutputError
from aectl.files import ABANDONED_SECONDS, lock, refuse_existing, replacing, replacing_in


class Interrupted(BaseException):
    """What may happen at any time, as Ctrl-C does."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_stands_under_its_name_when_the_block_is_done(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_the_old_file_stands_until_the_block_is_done(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reader:
        with replacing(path) as temporary:
            temporary.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert reader.read() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_reader_finds_a_whole_file_at_every_moment(tmp_path):
    path = tmp_path / "a.txt"
    versions = ["a" * 5000, "b" * 7000]
    path.write_text(versions[0])

    def replace_often():
        for number in range(300):
            with replacing(path) as temporary:
                temporary.write_text(versions[number % 2])

    writer = threading.Thread(target=replace_often)
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(path.read_text() if path.exists() else "nothing")
    writer.join()
    assert seen <= set(versions)


@pytest.mark.parametrize("raised", [ValueError, Interrupted, KeyboardInterrupt])
@pytest.mark.parametrize("written", [True, False])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, raised, written):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(raised), replacing(path) as temporary:
        if written:
            temporary.write_text("half")
        raise raised
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_exception_leaves_nothing_where_there_was_nothing(tmp_path):
    with pytest.raises(ValueError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise ValueError
    assert names(tmp_path) == []


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(OutputError, match=r"cannot write .*a\.txt: No space left") as refused,
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("half")
        with open("/dev/full", "w") as full:
            full.write("x")
            full.flush()
    assert len(str(refused.value).splitlines()) == 1
    assert names(tmp_path) == []


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with (
        pytest.raises(OutputError, match=r"a\.txt"),
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("new")
    assert names(tmp_path) == ["a.txt"]
    assert names(tmp_path / "a.txt") == []


def test_a_missing_folder_is_refused(tmp_path):
    with (
        pytest.raises(OutputError, match="No such file"),
        replacing(tmp_path / "nowhere" / "a.txt") as temporary,
    ):
        temporary.write_text("new")
    assert names(tmp_path) == []


def test_a_closed_pipe_is_no_file_that_cannot_be_written(tmp_path):
    with pytest.raises(BrokenPipeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise BrokenPipeError
    assert names(tmp_path) == []


def test_a_new_name_is_not_refused(tmp_path):
    refuse_existing(tmp_path / "a.txt", overwrite=False)
    assert names(tmp_path) == []


def test_an_existing_file_is_refused_unless_it_may_be_replaced(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(OutputError, match=r"a\.txt exists.*--overwrite"):
        refuse_existing(tmp_path / "a.txt", overwrite=False)
    refuse_existing(tmp_path / "a.txt", overwrite=True)
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_dangling_link_counts_as_a_file(tmp_path):
    (tmp_path / "a.txt").symlink_to("nowhere")
    with pytest.raises(OutputError, match="exists"):
        refuse_existing(tmp_path / "a.txt", overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_refused_always(tmp_path, overwrite):
    with pytest.raises(OutputError, match="is a folder"):
        refuse_existing(tmp_path, overwrite)


def test_what_a_killed_process_left_of_a_file_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path, long_ago = tmp_path / "page.html", time.time() - 3600
    abandoned = tmp_path / f".page.html.{ended.pid}.part"
    others = {
        "of a running process": tmp_path / f".page.html.{os.getpid()}.part",
        "of another file": tmp_path / f".other.html.{ended.pid}.part",
        "of the user": tmp_path / ".page.html.mkv.part",
        "new": tmp_path / f".page.html.{ended.pid + 10**8}.part",
    }
    for file in (abandoned, *others.values()):
        file.write_text("half")
        if file != others["new"]:
            os.utime(file, (long_ago, long_ago))
    refuse_existing(path, overwrite=False)
    assert not abandoned.exists()
    assert [name for name, file in others.items() if not file.exists()] == []


def test_a_lock_is_refused_to_others_until_it_is_closed(tmp_path):
    path = tmp_path / "a.txt"
    with path.open("w") as first:
        lock(first, "taken")
        with path.open() as second, pytest.raises(OutputError, match="taken"):
            lock(second, "taken")
    with path.open() as third:
        lock(third, "taken")


def test_the_temporary_folder_of_a_killed_process_is_removed_by_the_next(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".made.{ended.pid}.part"
    left.mkdir()
    (left / "weights").write_bytes(b"half")
    with replacing_in(tmp_path / "made") as temporary:
        (temporary / "weights").write_bytes(b"all")
    assert left.is_dir()  # its process may run on another machine
    long_ago = time.time() - ABANDONED_SECONDS - 60
    os.utime(left, (long_ago, long_ago))
    with replacing_in(tmp_path / "made") as temporary:
        (temporary / "weights").write_bytes(b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "weights").read_bytes() == b"new"
