"""Runs that are cut off: what is kept, and that going on gives what one run would have given."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm import Command

DEADLINE = 600.0
ENDINGS = [".csv", ".jsonl", ".csv.gz", ".parquet", ".npz"]


@contextlib.contextmanager
def running(*arguments: object, folder: Path) -> Iterator[Command]:
    """`aectl`, reading what the test writes to its stdin."""
    process = Command("aectl", *arguments, folder=folder)
    try:
        yield process
    finally:
        process.close()


def until(reached):
    """Waits until something holds; fails where it never does."""
    end = time.monotonic() + DEADLINE
    while not reached():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.01)


def kept(journal: Path) -> int:
    """The rows that the journal of an unfinished table speaks of."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return max(json.loads(line).get("rows", 0) for line in journal.read_text().splitlines())
    return 0


def feed(process, paths):
    process.stdin.write("".join(f"{path}\n" for path in paths).encode())
    process.stdin.flush()


@pytest.fixture
def paths(scans, tmp_path):
    """600 paths, among them some of files that cannot be read."""
    (tmp_path / "bad.png").write_text("no picture")
    sound = sorted(map(str, scans.iterdir()))
    listed = [sound[number % 360] for number in range(600)]
    for number in (0, 100, 101, 599):
        listed[number] = "bad.png"
    return listed


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has just ended
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_killed_run_is_resumed_to_the_table_of_one_run(aectl, dense, paths, tmp_path, ending):
    listed = "\n".join(paths).encode()
    whole = aectl("encode", dense, "-", "--out", f"whole{ending}", "--batch-size", 50, stdin=listed)
    assert whole.status == 1
    arguments = ["encode", dense, "-", "--batch-size", 50, "--out", f"table{ending}"]
    journal = tmp_path / f"table{ending}.part" / "journal.jsonl"
    with running(*arguments, folder=tmp_path) as process:
        feed(process, paths[:400])
        until(lambda: kept(journal) >= 300)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)
    assert not (tmp_path / f"table{ending}").exists()
    refused = aectl(*arguments, stdin=listed)
    assert (refused.status, refused.out) == (2, "")
    assert "--resume" in refused.err
    done = aectl(*arguments, "--resume", "--errors", "errors.csv", stdin=listed)
    assert done.status == 1
    assert "4 of 600 inputs were left out" in done.err
    assert (tmp_path / "errors.csv").read_text().count("bad.png") == 4
    if ending in (".csv", ".jsonl"):
        assert (tmp_path / f"table{ending}").read_bytes() == (
            tmp_path / f"whole{ending}"
        ).read_bytes()
    else:
        assert content(tmp_path / f"table{ending}") == content(tmp_path / f"whole{ending}")
    assert not journal.parent.exists()


def test_a_killed_run_over_texts_is_resumed_to_the_table_of_one_run(aectl, trained, tmp_path):
    lines = [b"line %d of so many\n" % number for number in range(600)]
    (tmp_path / "lines.txt").write_bytes(b"".join(lines))
    lines[100] = lines[599] = b"\xff\n"
    model = trained(
        "--model", "text-autoencoder", "--dataset", str(tmp_path / "lines.txt"), "--hidden", "9,7",
        "--epochs", "1", "--vocabulary", "300",
    )  # fmt: skip
    arguments = ["encode", model, "-", "--batch-size", 50, "--out"]
    assert aectl(*arguments, "whole.csv", stdin=b"".join(lines)).status == 1
    with running(*arguments, "table.csv", folder=tmp_path) as process:
        process.stdin.write(b"".join(lines[:400]))
        process.stdin.flush()
        until(lambda: kept(tmp_path / "table.csv.part" / "journal.jsonl") >= 200)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)
    other = aectl(*arguments, "table.csv", "--resume", stdin=b"".join(lines[1:]))
    assert "are not those that were read before" in other.err
    done = aectl(*arguments, "table.csv", "--resume", stdin=b"".join(lines))
    assert done.status == 1
    assert "left out stdin:101" not in done.err
    assert "2 of 600 inputs were left out" in done.err
    assert (tmp_path / "table.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def content(path: Path) -> object:
    """What a table holds, read without aectl."""
    import gzip

    import numpy as np
    import polars

    if path.name.endswith(".gz"):
        return gzip.decompress(path.read_bytes())
    if path.name.endswith(".parquet"):
        return polars.read_parquet(path).rows()
    return {name: array.tolist() for name, array in np.load(path).items()}


def test_what_is_whole_is_not_made_again(aectl, dense, scans, tmp_path):
    assert aectl("encode", dense, scans, "--out", "t.csv", "--resume").status == 0
    before = (tmp_path / "t.csv").read_bytes()
    done = aectl("encode", dense, scans, "--out", "t.csv", "--resume")
    assert done.status == 0
    assert "t.csv is complete" in done.err
    assert (tmp_path / "t.csv").read_bytes() == before


def test_a_whole_table_of_other_inputs_is_not_called_whole(aectl, dense, paths, tmp_path):
    again = ["encode", dense, "-", "--out", "t.csv", "--resume"]
    listed = paths[:50]
    assert aectl(*again, stdin="\n".join(listed).encode()).status == 1
    before = (tmp_path / "t.csv").read_bytes()
    for inputs, said in (
        (listed[:9] + listed[10:] + ["bad.png"], "are not those that were read before"),
        (listed[:30], "fewer than were read before"),
    ):
        done = aectl(*again, stdin="\n".join(inputs).encode())
        assert (done.status, done.out) == (2, "")
        assert said in done.err
        assert (tmp_path / "t.csv").read_bytes() == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_inputs_that_were_added_at_the_end_are_added(aectl, dense, paths, tmp_path, ending):
    """To formats of lines; the others say so."""
    command = ["encode", dense, "-", "--batch-size", 50, "--out"]
    aectl(*command, f"whole{ending}", stdin="\n".join(paths[:130]).encode())
    assert aectl(*command, f"t{ending}", stdin="\n".join(paths[:70]).encode()).status == 1
    before = (tmp_path / f"t{ending}").read_bytes()
    again = [*command, f"t{ending}", "--resume", "--errors", "errors.csv"]
    done = aectl(*again, stdin="\n".join(paths[:130]).encode())
    if ending in (".parquet", ".npz"):
        assert done.status == 2
        assert f"t{ending} is complete" in done.err
        assert "--overwrite" in done.err
        assert (tmp_path / f"t{ending}").read_bytes() == before
        return
    assert done.status == 1
    assert (tmp_path / "errors.csv").read_text().count("bad.png") == 3
    grown, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    if ending == ".csv.gz":
        assert content(grown) == content(whole)
    else:
        assert grown.read_bytes() == whole.read_bytes()
    done = aectl(*again, "--overwrite", stdin=b"")
    assert done.status == 2  # --resume and --overwrite


def test_a_whole_table_of_another_run_is_refused(
    aectl, dense, trained, classifier, scans, tmp_path
):
    assert aectl("encode", dense, scans, "--out", "t.csv").status == 0
    other = trained("--epochs", "1")
    for said, *words in (
        ("verb 'encode', not 'classify'", "classify", classifier, scans),
        ("model", "encode", other, scans),
        ("normalize 'none', not 'l2'", "encode", dense, scans, "--normalize", "l2"),
    ):
        done = aectl(*words, "--out", "t.csv", "--resume")
        assert (done.status, done.out) == (2, "")
        assert f"t.csv was started with {said}" in done.err


@pytest.mark.parametrize("kind", ["folder", "archive"])
@pytest.mark.parametrize("added", [0, 2])
def test_inputs_that_changed_under_a_table_are_told(aectl, dense, scans, tmp_path, kind, added):
    files = sorted(scans.iterdir())[:7]
    for path in files[:5]:
        (tmp_path / "set" / path.name).parent.mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "set" / path.name)

    def word():
        if kind == "archive":
            shutil.make_archive("set", "tar", tmp_path / "set")
        return "set" if kind == "folder" else "set.tar"

    again = ["encode", dense, word(), "--out", "t.csv", "--resume"]
    assert aectl(*again).status == 0
    done = aectl(*again)
    assert "changed" not in done.err
    shutil.copy(files[6], tmp_path / "set" / files[2].name)
    for path in files[5 : 5 + added]:
        shutil.copy(path, tmp_path / "set" / path.name)
    word()
    written = (tmp_path / ".t.csv.aectl.json").stat().st_mtime
    changed = [tmp_path / "set" / files[2].name] if kind == "folder" else [tmp_path / "set.tar"]
    for path in changed:
        os.utime(path, (written + 10, written + 10))
    done = aectl(*again)
    assert done.status == 0, done.err
    told = "changed since their rows were written, which are kept (--overwrite writes all again): "
    which = f"1 image, set/{files[2].name}" if kind == "folder" else "5 images, such as set.tar/"
    assert done.err.count(told + which) == 1
    assert (tmp_path / "t.csv").read_bytes().count(b"\n") == 1 + 5 + added


def test_a_run_killed_after_its_table_was_in_place_tells_of_its_bad_inputs(
    aectl, dense, paths, tmp_path, monkeypatch
):
    """It was killed before it could write --errors, and before it could exit with 1."""
    listed = "\n".join(paths[:120]).encode()
    command = ["encode", dense, "-", "--batch-size", 50, "--out", "t.csv", "--errors", "errors.csv"]

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr("aectl.outputs.unfinished.Part.remove", kill)
        aectl(*command, stdin=listed)
    assert (tmp_path / "t.csv").exists()
    assert not (tmp_path / "errors.csv").exists()
    done = aectl(*command, "--resume", stdin=listed)
    assert done.status == 1
    assert "3 of 120 inputs were left out" in done.err
    assert "t.csv is complete" in done.err
    assert (tmp_path / "errors.csv").read_text().count("bad.png") == 3
    assert not (tmp_path / "t.csv.part").exists()


def test_an_existing_table_that_no_record_tells_of_is_refused(aectl, dense, scans, tmp_path):
    (tmp_path / "t.csv").write_text("path,f0\n")
    done = aectl("encode", dense, scans, "--out", "t.csv", "--resume")
    assert (done.status, done.out) == (2, "")
    assert "t.csv exists" in done.err
    assert "--overwrite" in done.err
    assert (tmp_path / "t.csv").read_text() == "path,f0\n"


def test_a_whole_table_of_texts_goes_on_with_new_lines(aectl, trained, tmp_path):
    lines = [b"line %d of so many\n" % number for number in range(60)]
    (tmp_path / "lines.txt").write_bytes(b"".join(lines))
    model = trained(
        "--model", "text-autoencoder", "--dataset", str(tmp_path / "lines.txt"), "--hidden", "9,7",
        "--epochs", "1", "--vocabulary", "300",
    )  # fmt: skip
    command = ["encode", model, "-", "--out"]
    assert aectl(*command, "whole.csv", stdin=b"".join(lines)).status == 0
    assert aectl(*command, "t.csv", stdin=b"".join(lines[:40])).status == 0
    again = [*command, "t.csv", "--resume"]
    done = aectl(*again, stdin=b"".join(lines[:40]))
    assert (done.status, "t.csv is complete" in done.err) == (0, True)
    changed = [*lines[:20], b"another\n", *lines[21:40]]
    assert "are not those that were read before" in aectl(*again, stdin=b"".join(changed)).err
    assert aectl(*again, stdin=b"".join(lines)).status == 0
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def interrupted_table(dense, paths, tmp_path, *more):
    """Leaves a table of which 100 rows or more are kept."""
    with running("encode", dense, "-", "--batch-size", 50, "--out", "t.csv", *more,
                 folder=tmp_path) as process:  # fmt: skip
        feed(process, paths[:200])
        until(lambda: kept(tmp_path / "t.csv.part" / "journal.jsonl") >= 100)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, err = process.communicate(timeout=DEADLINE)
        return process.returncode, err.decode(), time.monotonic() - sent


def test_control_c_says_what_is_kept_and_how_to_go_on(aectl, dense, paths, tmp_path):
    status, err, _ = interrupted_table(dense, paths, tmp_path)
    assert status == 130
    rows = kept(tmp_path / "t.csv.part" / "journal.jsonl")
    assert err.splitlines()[-2:] == [
        "aectl: interrupted",
        f"{rows:,} rows are kept in t.csv.part; the same command with --resume continues",
    ]
    assert (tmp_path / "t.csv.part" / "rows").read_bytes().count(b"\n") == rows + 1


def test_other_inputs_than_before_are_not_mixed_in(aectl, dense, paths, tmp_path):
    interrupted_table(dense, paths, tmp_path)
    changed = [*paths[:10], *paths[11:]]
    again = ["encode", dense, "-", "--batch-size", 50, "--out", "t.csv", "--resume"]
    done = aectl(*again, stdin="\n".join(changed).encode())
    assert (done.status, done.out) == (2, "")
    assert "are not those that were read before" in done.err
    done = aectl(*again, stdin="\n".join(paths[:20]).encode())
    assert done.status == 2
    assert "fewer than were read before" in done.err
    assert aectl(*again, stdin="\n".join(paths).encode()).status == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--batch-size", "50", "--normalize", "l2"], "normalize"),
        (["--batch-size", "60"], "batch_size"),
    ],
)
def test_other_options_than_before_are_not_mixed_in(aectl, dense, paths, tmp_path, options, word):
    interrupted_table(dense, paths, tmp_path)
    done = aectl("encode", dense, "-", "--out", "t.csv", "--resume", *options,
                 stdin="\n".join(paths).encode())  # fmt: skip
    assert done.status == 2
    assert word in done.err


def test_another_model_than_before_is_not_mixed_in(aectl, dense, trained, paths, tmp_path):
    interrupted_table(dense, paths, tmp_path)
    other = trained("--epochs", "1")
    done = aectl("encode", other, "-", "--batch-size", 50, "--out", "t.csv", "--resume",
                 stdin="\n".join(paths).encode())  # fmt: skip
    assert done.status == 2
    assert "started with model" in done.err


def test_overwrite_begins_anew(aectl, dense, scans, paths, tmp_path):
    interrupted_table(dense, paths, tmp_path)
    assert aectl("encode", dense, scans, "--out", "t.csv", "--overwrite").status == 0
    assert (tmp_path / "t.csv").read_bytes().count(b"\n") == 361
    assert not (tmp_path / "t.csv.part").exists()


def test_classify_goes_on_as_well(aectl, classifier, paths, tmp_path):
    listed = "\n".join(paths).encode()
    arguments = ["classify", classifier, "-", "--batch-size", 50, "--out"]
    aectl(*arguments, "whole.csv", stdin=listed)
    with running(*arguments, "t.csv", folder=tmp_path) as process:
        feed(process, paths[:300])
        until(lambda: kept(tmp_path / "t.csv.part" / "journal.jsonl") >= 100)
        process.kill()
        process.wait(DEADLINE)
    assert aectl(*arguments, "t.csv", "--resume", stdin=listed).status == 1
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_two_runs_do_not_write_the_same_table(aectl, dense, scans, paths, tmp_path):
    with running("encode", dense, "-", "--batch-size", 50, "--out", "t.csv",
                 folder=tmp_path) as process:  # fmt: skip
        feed(process, paths[:200])
        until(lambda: kept(tmp_path / "t.csv.part" / "journal.jsonl") >= 100)
        for option in ("--resume", "--overwrite"):
            done = aectl("encode", dense, scans, "--out", "t.csv", option)
            assert done.status == 2
            assert "another process is writing t.csv" in done.err
        out, _ = process.communicate("".join(f"{p}\n" for p in paths[200:]).encode(), DEADLINE)
        assert (process.returncode, out) == (1, b"")
    assert (tmp_path / "t.csv").read_bytes().count(b"\n") == 597


def test_a_killed_worker_costs_nothing(aectl, dense, paths, tmp_path):
    arguments = ["encode", dense, "-", "--workers", 2, "--batch-size", 50]
    wanted = aectl(*arguments, stdin="\n".join(paths).encode()).out
    arguments += ["--out", "t.csv"]
    with running(*arguments, folder=tmp_path) as process:
        feed(process, paths[:200])
        until(lambda: kept(tmp_path / "t.csv.part" / "journal.jsonl") >= 100)
        workers = children(process.pid)
        assert workers
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        process.communicate("".join(f"{path}\n" for path in paths[200:]).encode(), DEADLINE)
        assert process.returncode == 1
    assert (tmp_path / "t.csv").read_text() == wanted


def test_workers_end_with_a_run_that_is_killed(dense, paths, tmp_path):
    with running("encode", dense, "-", "--workers", 2, folder=tmp_path) as process:
        feed(process, paths[:200])
        process.stdout.readline()
        workers = children(process.pid)
        assert workers
        process.kill()
        process.wait(DEADLINE)
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
