"""Decoding in other processes: order, independence of their number, and what a death costs."""

import contextlib
import gc
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aectl.data.found import Found
from aectl.data.images.decode import decode
from aectl.data.images.decoders import BUFFER, Decoders
from aectl.data.storage.archives import find_in_archive

SHAPE = (1, 6, 8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three hundred small pictures of noise, some of them no pictures."""
    folder = tmp_path_factory.mktemp("noise")
    noise = np.random.default_rng(0)
    paths = []
    for number in range(300):
        path = folder / f"{number}.png"
        if number in (0, 57, 58, 299):
            path.write_text("no picture")
        else:
            Image.fromarray(noise.integers(0, 256, (12, 16), np.uint8)).save(path)
        paths.append(str(path))
    return paths


pytestmark = pytest.mark.usefixtures("processes_of_their_own")


def decoded(found, shape=SHAPE, workers=2):
    """What comes of the inputs: their paths, the images of the sound ones, the bad ones."""
    return collected(Decoders(iter(found), shape, workers))


def collected(decoders):
    """The same of what is being decoded, which is closed."""
    paths, images, bad = [], {}, {}
    try:
        for part in decoders:
            for number, one in enumerate(part.inputs if part else ()):
                if number in part.bad:
                    bad[len(paths)] = part.bad[number]
                else:
                    images[len(paths)] = part.images[number].copy()
                paths.append(one.path)
    finally:
        decoders.close()
    return paths, images, bad


@pytest.mark.parametrize(
    ("shape", "workers"), [(SHAPE, 1), (SHAPE, 2), ((1, 8, 8), 2), ((3, 40, 60), 1)]
)
def test_images_are_those_of_one_process_in_the_order_of_their_inputs(files, shape, workers):
    paths, images, bad = decoded([Found(path, file=path) for path in files], shape, workers)
    assert paths == files
    assert sorted(bad) == [0, 57, 58, 299]
    for number, image in images.items():
        np.testing.assert_array_equal(image, decode(files[number], shape))


def test_what_was_read_already_is_decoded_as_a_file_is(files):
    contents = [Found(path, content=Path(path).read_bytes()) for path in files[:60]]
    contents.insert(5, Found("lost", reason="was lost"))
    contents.insert(6, Found("known", file=files[1], skipped=True))
    paths, images, bad = decoded(contents)
    assert paths == [one.path for one in contents]
    assert bad[5] == "was lost"
    assert sorted(bad) == [0, 5, 6, 59, 60]
    for number, image in images.items():
        np.testing.assert_array_equal(image, decode(paths[number], SHAPE))


def test_large_contents_pass_through(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2500, 3000), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "BMP")
    (path, *_), images, bad = decoded([Found("large", content=written.getvalue())] * 3)
    assert (path, bad) == ("large", {})
    wanted = np.asarray(Image.fromarray(pixels).resize((8, 6), Image.Resampling.BILINEAR))
    for image in images.values():
        np.testing.assert_array_equal(image[0], wanted)


def test_what_goes_wrong_in_finding_inputs_is_raised_after_those_before(files):
    def found():
        yield from (Found(path, file=path) for path in files[1:40])
        raise RuntimeError("the folder burnt down")

    decoders = Decoders(found(), SHAPE, 2)
    seen = []
    try:
        with pytest.raises(RuntimeError, match="burnt down"):
            for part in decoders:
                seen += [one.path for one in part.inputs] if part else []
    finally:
        decoders.close()
    assert seen == files[1 : 1 + len(seen)]


def workers_of(pid=None):
    """The processes that this one has started."""
    found = set()
    for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has just ended
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def test_the_workers_end_when_they_are_closed(files):
    before = workers_of()
    decoders = Decoders((Found(path, file=path) for path in files), SHAPE, 2)
    assert next(part for part in decoders if part is not None).inputs
    assert workers_of() - before
    decoders.close()
    assert workers_of() - before == set()


@pytest.fixture
def slow(tmp_path):
    """Pictures that take a worker a while."""
    noise = np.random.default_rng(0)
    pixels = np.kron(noise.integers(0, 256, (150, 200), np.uint8), np.ones((8, 8), np.uint8))
    first = tmp_path / "0.png"
    Image.fromarray(pixels).save(first, compress_level=9)
    for number in range(1, 30):
        os.link(first, tmp_path / f"{number}.png")
    return [str(tmp_path / f"{number}.png") for number in range(30)]


def test_a_worker_that_is_killed_at_work_costs_no_image(slow):
    """Both workers are killed once, in the middle of a task."""
    before, killed = workers_of(), []
    decoders = Decoders((Found(path, file=path) for path in slow), SHAPE, 2)

    def kill():
        deadline = time.monotonic() + 20
        while len(killed) < 2 and time.monotonic() < deadline:
            for worker in {0, 1} - set(killed):
                if decoders._current[worker] > 0:
                    os.kill(decoders._processes[worker].pid, signal.SIGKILL)
                    killed.append(worker)
            time.sleep(0.001)

    killer = threading.Thread(target=kill)
    killer.start()
    paths, images, bad = collected(decoders)
    killer.join()
    assert sorted(killed) == [0, 1]
    assert (paths, sorted(images), bad) == (slow, list(range(30)), {})
    for image in images.values():
        np.testing.assert_array_equal(image, images[0])
    assert workers_of() - before == set()


def test_an_image_that_ends_every_worker_is_left_out_alone(files, tmp_path):
    """A thread stands in for a decoder with a defect: it kills the worker on the seventh image.

    That one is so large that the thread does not miss it.
    """
    fatal = tmp_path / "large.png"
    Image.new("L", (9000, 9000)).save(fatal, compress_level=1)
    paths = [*files[1:7], str(fatal), *files[7:12]]
    decoders = Decoders(iter([Found(path, file=path) for path in paths]), SHAPE, 1)
    done = threading.Event()

    def crash():
        while not done.wait(0.001):
            worker = decoders._processes[0]
            if worker is not None and decoders._current[0] == 6:
                worker.send_signal(signal.SIGSEGV)

    crasher = threading.Thread(target=crash)
    crasher.start()
    try:
        seen, images, bad = collected(decoders)
    finally:
        done.set()
        crasher.join()
    assert seen == paths
    assert bad == {6: "the process that decoded it crashed (SIGSEGV)"}
    for number, image in images.items():
        np.testing.assert_array_equal(image, decode(paths[number], SHAPE))


def test_workers_that_cannot_start_are_told(files, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    decoders = Decoders(iter([Found(files[1], file=files[1])]), SHAPE, 1)
    try:
        with pytest.raises(Exception, match="ended with status 1 at once"):
            list(decoders)
    finally:
        decoders.close()


def test_memory_that_is_used_again_is_not_overwritten_too_early(files):
    """Images so large that few fit into the memory, and someone who takes them slowly."""
    shape = (3, 600, 500)
    files = files[1:130]
    assert len(files) * 3 * 600 * 500 > 3 * BUFFER
    decoders = Decoders((Found(path, file=path) for path in files), shape, 2)
    seen = 0
    try:
        for part in decoders:
            if part is None:
                continue
            time.sleep(0.2)
            for number, one in enumerate(part.inputs):
                assert one.path == files[seen]
                if seen % 10 == 1:
                    np.testing.assert_array_equal(part.images[number], decode(one.path, shape))
                seen += 1
    finally:
        decoders.close()
    assert seen == len(files)


PACKED = {"tar": "w", "tar.gz": "w:gz", "zip": None}


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 60)])
def test_an_image_is_the_same_from_a_file_and_from_an_archive(tmp_path, shape):
    noise = np.random.default_rng(0)
    names = ["a.jpg", "b.png", "c.webp", "d.tif", "e.gif", "f.bmp", "g.avif"]
    for name in names:
        Image.fromarray(noise.integers(0, 256, (90, 130, 3), np.uint8)).save(tmp_path / name)
    wanted = [decode(tmp_path / name, shape) for name in names]
    found = [Found(name, file=str(tmp_path / name)) for name in names]
    for ending, mode in PACKED.items():
        archive = tmp_path / f"set.{ending}"
        with tarfile.open(archive, mode) if mode else zipfile.ZipFile(archive, "w") as packed:
            for name in names:
                (packed.add if mode else packed.write)(tmp_path / name, name)
        found += find_in_archive(str(archive))
    _, images, bad = decoded(found, shape)
    assert bad == {}
    assert len(images) == len(names) * (1 + len(PACKED))
    for number, image in images.items():
        np.testing.assert_array_equal(image, wanted[number % len(names)])


def test_a_worker_that_is_killed_while_it_waits_costs_no_image(files):
    before, go_on = workers_of(), threading.Event()

    def found():
        for number, path in enumerate(files[1:9]):
            if number == 4:
                yield None
                assert go_on.wait(20)
            yield Found(path, file=path)

    decoders = Decoders(found(), SHAPE, 1)
    seen, bad = [], {}
    try:
        for part in decoders:
            if part is None:
                continue
            seen += [one.path for one in part.inputs]
            bad |= part.bad
            if len(seen) == 4:
                (worker,) = workers_of() - before
                os.kill(worker, signal.SIGKILL)
                os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)  # its pipes are closed now
                go_on.set()
    finally:
        go_on.set()
        decoders.close()
    assert seen == files[1:9]
    assert bad == {}


def test_closing_does_not_wait_for_inputs_that_never_come(files):
    before, never = workers_of(), threading.Event()

    def found():
        yield Found(files[1], file=files[1])
        yield None
        never.wait(60)

    decoders = Decoders(found(), SHAPE, 2)
    assert next(part for part in decoders if part is not None).inputs[0].path == files[1]
    decoders.close()
    assert not never.is_set()
    assert workers_of() - before == set()
    never.set()


def test_closing_while_workers_are_at_work_leaves_neither_processes_nor_open_files(slow):
    def opened():
        return set(os.listdir("/proc/self/fd"))

    before, files_before = workers_of(), opened()
    decoders = Decoders((Found(path, file=path) for path in slow), SHAPE, 2)
    next(part for part in decoders if part is not None)
    decoders.close()
    del decoders
    assert workers_of() - before == set()
    deadline = time.monotonic() + 20
    while len(opened()) > len(files_before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert len(opened()) <= len(files_before)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_decode_starts_no_worker(workers):
    before = workers_of()
    told = [Found("a", reason="is a folder"), Found("b", skipped=True)]
    decoders = Decoders(iter(told), SHAPE, workers)
    try:
        (part,) = (part for part in decoders if part is not None)
        assert workers_of() - before == set()
    finally:
        decoders.close()
    assert part.bad[0] == "is a folder"
    assert decoded([], workers=workers) == ([], {}, {})


def test_a_worker_imports_no_more_than_decoding_needs():
    script = "import sys, aectl.data.images.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    imported = set(done.stdout.decode().split())
    assert {"numpy", "PIL.Image", "simplejpeg"} <= imported
    assert not {"torch", "polars", "sklearn", "matplotlib", "aectl.cli"} & imported
