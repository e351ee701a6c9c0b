"""On a Ray cluster the tables are those of one process, whoever is killed meanwhile."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from servers import site

from aectl.verbs import machine

NEEDED_MEMORY = 3 << 30
HELD_SECONDS = 6
HELD = "a/090.jpg"

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None
    or os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < NEEDED_MEMORY,
    reason="Ray is not installed, or there is less free memory than it needs",
)

HEAD = """
import ray, sys
ray.init("local", num_cpus=1, include_dashboard=False, object_store_memory=200 << 20)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def home_of_ray():
    """The home of its key, which a process reads once, however often this module is begun."""
    made = tempfile.mkdtemp(prefix="r")  # a short name, for its sockets
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def folder_of_ray(home_of_ray):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_TMPDIR", home_of_ray)
        patched.setenv("HOME", home_of_ray)
        patched.setenv("RAY_AUTH_MODE", "token")
        patched.setenv("RAY_worker_niceness", "0")  # else they wait for all other programs
        yield home_of_ray


@pytest.fixture(scope="module")
def address(folder_of_ray):
    """That of a cluster of one machine with one core."""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as head:  # fmt: skip
        yield head.stdout.readline().strip()
        head.stdin.close()


@pytest.fixture
def cluster(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """400 photos in two folders, and three files that are none."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(400):
        path = folder / "ab"[number // 200] / f"{number:03d}.jpg"
        path.parent.mkdir(exist_ok=True)
        pixels = random.integers(256, size=(30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((480, 360)).save(path)
    for name in ("a/000.jpg", "a/180.jpg", "b/999.jpg"):
        (folder / name).write_bytes(b"none")
    return folder


@contextlib.contextmanager
def held_up(photos):
    """A list of the photos, one of which is on a server that waits before its first answer.

    However fast the machine, a run is then still at work when it is killed.
    """
    with site({HELD: (photos / HELD).read_bytes()}, slow=HELD_SECONDS) as server:
        paths = sorted(str(path) for path in photos.rglob("*.jpg"))
        paths[paths.index(str(photos / HELD))] = f"{server.url}/{HELD}"

        def hold():
            server.asked.clear()
            server.faults[HELD] = ("delays", 1)

        yield "".join(f"{path}\n" for path in paths).encode(), hold


def begun(folder):
    """Whether an unfinished part has rows, which its journal tells in a second line."""
    found = folder.glob("*.part/journal.jsonl")
    return any(path.read_bytes().count(b"\n") > 1 for path in found if path.exists())


def tasks(folder):
    """The processes that write a part of a table in a folder; other tests may run beside this."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            own = (process / "cmdline").read_bytes().startswith(b"ray::write_part")
            if own and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:
            continue
    return found


def killing(folder, killed, over):
    """Kills the first process that writes a part in a folder, while it does."""
    while not killed and not over.is_set():
        for process in tasks(folder):
            os.kill(process, signal.SIGKILL)
            killed.append(process)
        time.sleep(0.01)


@needs_ray
def test_rows_are_those_of_one_process_though_a_worker_is_killed(
    aectl, dense, photos, cluster, tmp_path
):
    words = ("encode", dense, "-", "--label-from-folder", "--batch-size", 4)
    killed, over = [], threading.Event()
    killer = threading.Thread(target=killing, args=(tmp_path, killed, over))
    with held_up(photos) as (listed, hold):
        whole = aectl(*words, "--out", "whole.csv", "--errors", "whole.errors.csv", stdin=listed)
        assert whole.status == 1
        hold()
        killer.start()
        on_it = (*words, "--engine", "ray", "--out", "t.csv", "--errors", "errors.csv")
        done = aectl(*on_it, stdin=listed)
        over.set()
        killer.join()
    assert (done.status, done.out, len(killed)) == (1, "", 1), done.err
    assert done.err.splitlines()[-1] == "3 of 401 inputs were left out"
    said = [line for line in done.err.splitlines() if not line.startswith("encoding: ")]
    assert len(said) == 4, "Ray says nothing itself"
    for made, wanted in (("t.csv", "whole.csv"), ("errors.csv", "whole.errors.csv")):
        assert (tmp_path / made).read_bytes() == (tmp_path / wanted).read_bytes()


@needs_ray
def test_a_run_that_was_killed_goes_on(dense, photos, folder_of_ray, aectl, tmp_path):
    words = ("encode", str(dense), "-", "--batch-size", "4")
    program = [sys.executable, "-m", "aectl", *words, "--engine", "ray", "--out", "t.parquet"]
    with held_up(photos) as (listed, hold):
        assert aectl(*words, "--out", "whole.parquet", stdin=listed).status == 1
        hold()
        with subprocess.Popen(program, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as first:
            first.stdin.write(listed)
            first.stdin.close()
            while first.poll() is None and not begun(tmp_path / "t.parquet.shards"):
                time.sleep(0.01)
            first.kill()
        assert first.returncode == -signal.SIGKILL
        assert begun(tmp_path / "t.parquet.shards")
        assert not (tmp_path / "t.parquet").exists()
        refused = aectl(*program[3:], stdin=listed)
        assert (refused.status, "--resume continues them" in refused.err) == (2, True)
        again = subprocess.run([*program, "--resume"], capture_output=True, input=listed)
    assert (again.returncode, again.stdout) == (1, b""), again.stderr
    assert (tmp_path / "t.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


@needs_ray
def test_anomalies_and_classes_are_found_on_a_cluster(
    aectl, dense, classifier, scans, cluster, tmp_path
):
    listed = "".join(f"{scans}/{number:03d}.png\n" for number in (7, 3, 250, 9, 8)).encode()
    detect = ("detect", dense, "-", "--normal", "digits:test", "--maps", "maps")
    classify = ("classify", classifier, scans)
    for words in (detect, classify):
        assert aectl(*words, "--out", "whole.csv", "--overwrite", stdin=listed).status == 0
        on_it = (*words, "--engine", "ray", "--out", "t.csv", "--overwrite")
        done = aectl(*on_it, stdin=listed)
        assert (done.status, done.out) == (0, ""), done.err
        assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(list((tmp_path / "maps").rglob("*.png"))) == 10


@needs_ray
def test_the_error_of_a_task_is_that_of_one_process(aectl, dense, photos, cluster, tmp_path):
    words = ("encode", dense, photos, "--engine", "ray", "--out", "t.csv", "--strict")
    done = aectl(*words)
    assert (done.status, done.out) == (2, "")
    assert "(--strict stops here)" in done.err
    assert not (tmp_path / "t.csv").exists()
    part = next(iter((tmp_path / "t.csv.shards").glob("1-of-*.csv")))
    part.write_text("spoilt")
    again = aectl(*words, "--resume")
    assert (again.status, "was changed after it was written" in again.err) == (2, True)


@needs_ray
def test_a_cluster_that_is_not_there_is_told_at_once(aectl, dense, scans, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    done = aectl("encode", dense, scans, "--engine", "ray", "--out", "t.csv")
    assert (done.status, done.out) == (2, "")
    assert done.err == "aectl: there is no Ray cluster at 127.0.0.1:1: Connection refused\n"


@needs_ray
@pytest.mark.parametrize("address", ["[::1]:1", "ray://localhost:1"])
def test_clusters_of_this_machine_take_urls(aectl, dense, folder_of_ray, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = aectl("encode", dense, "digits", "--engine", "ray", "--out", "memory://x/y.csv")
    assert (done.status, done.out) == (2, "")
    assert done.err == f"aectl: there is no Ray cluster at {address}: Connection refused\n"


def test_a_missing_package_is_told(aectl, dense, scans, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = aectl("encode", dense, scans, "--engine", "ray", "--out", "t.csv")
    assert (done.status, done.out) == (2, "")
    assert done.err == "aectl: --engine ray needs a package: pip install 'aectl[ray]'\n"


@needs_ray
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "name it with --out"),
        (("--out", "t.csv", "--shard", "1/2"), "leave out --shard"),
        (("--out", "t.xyz"), "the extension of a table must be one of"),
    ],
)
def test_options_that_cannot_go_with_an_engine_are_refused(aectl, dense, scans, given, said):
    done = aectl("encode", dense, scans, "--engine", "ray", *given)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


@needs_ray
def test_other_files_beside_the_parts_are_not_removed(aectl, dense, scans, tmp_path):
    folder = tmp_path / "t.csv.shards"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    words = ("encode", dense, scans, "--engine", "ray", "--out", "t.csv")
    assert "--overwrite does not remove it" in aectl(*words, "--overwrite").err
    assert (folder / "mine").read_text() == "mine"


@needs_ray
def test_alarms_are_not_counted_on_a_cluster(aectl, dense, scans):
    words = ("detect", dense, scans, "--normal", "digits:test", "--fail-on-anomaly", "--out")
    done = aectl(*words, "t.csv", "--engine", "ray")
    assert (done.status, "leave out --engine" in done.err) == (2, True)


@needs_ray
def test_of_a_table_at_a_url_no_parts_are_put_there(aectl, dense, photos, cluster, tmp_path):
    assert aectl("encode", dense, photos, "--out", "whole.csv").status == 1
    (tmp_path / "there").mkdir()
    table = f"file://{tmp_path}/there/codes.csv"
    done = aectl("encode", dense, photos, "--out", table, "--engine", "ray")
    assert (done.status, "codes.csv.shards" in done.err) == (1, False), done.err
    assert (tmp_path / "there" / "codes.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert not (tmp_path / "there" / "codes.csv.shards").exists()
    assert not list((machine.data_dir() / "outputs").glob("*"))
