"""Decoding in other processes: order, independence of their number, and what a death costs."""

import io
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aectl.data.decoders import Decoders, Found
from aectl.data.images import decode

SHAPE = (1, 6, 8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two hundred small pictures of noise, some of them no pictures."""
    folder = tmp_path_factory.mktemp("noise")
    noise = np.random.default_rng(0)
    paths = []
    for number in range(200):
        path = folder / f"{number}.png"
        if number in (0, 57, 58, 199):
            path.write_text("no picture")
        else:
            Image.fromarray(noise.integers(0, 256, (12, 16), np.uint8)).save(path)
        paths.append(str(path))
    return paths


def decoded(found, shape=SHAPE, workers=2):
    """What comes of the inputs: their paths, the images of the sound ones, the bad ones."""
    decoders = Decoders(iter(found), shape, workers)
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


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("shape", [SHAPE, (3, 20, 13)])
def test_images_are_those_of_one_process_in_the_order_of_their_inputs(files, workers, shape):
    paths, images, bad = decoded([Found(path, file=path) for path in files], shape, workers)
    assert paths == files
    assert sorted(bad) == [0, 57, 58, 199]
    for number, image in images.items():
        np.testing.assert_array_equal(image, decode(files[number], shape))


def test_what_was_read_already_is_decoded_as_a_file_is(files):
    contents = [Found(path, content=Path(path).read_bytes()) for path in files[:60]]
    contents.insert(5, Found("lost", reason="was lost"))
    contents.insert(6, Found("known", file=files[1], passed_over=True))
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
    tasks = Path(f"/proc/{pid or os.getpid()}/task")
    return {int(c) for task in tasks.iterdir() for c in (task / "children").read_text().split()}


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
    pixels = np.kron(noise.integers(0, 256, (150, 200), np.uint8), np.ones((16, 16), np.uint8))
    first = tmp_path / "0.png"
    Image.fromarray(pixels).save(first, compress_level=9)
    for number in range(1, 30):
        os.link(first, tmp_path / f"{number}.png")
    return [str(tmp_path / f"{number}.png") for number in range(30)]


def test_a_worker_that_is_killed_costs_no_image(slow):
    before = workers_of()
    killed = []

    def kill():
        for _ in range(2):
            deadline = time.monotonic() + 20
            while not (new := workers_of() - before - set(killed)) and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(0.15)
            for worker in sorted(new)[:1]:
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)

    killer = threading.Thread(target=kill)
    killer.start()
    paths, images, bad = decoded([Found(path, file=path) for path in slow])
    killer.join()
    assert len(killed) == 2
    assert (paths, sorted(images), bad) == (slow, list(range(30)), {})


def test_an_image_that_ends_every_worker_is_left_out_alone(slow):
    """A thread stands in for a decoder with a defect: it kills the worker on the seventh image."""
    before = workers_of()
    decoders = Decoders(iter([Found(path, file=path) for path in slow[:12]]), SHAPE, 1)
    done = threading.Event()

    def crash():
        while not done.is_set():
            if decoders._current[0] == 6:
                for worker in workers_of() - before:
                    os.kill(worker, signal.SIGSEGV)
            time.sleep(0.001)

    crasher = threading.Thread(target=crash)
    crasher.start()
    bad, sound = {}, []
    try:
        for part in decoders:
            for number, one in enumerate(part.inputs if part else ()):
                if number in part.bad:
                    bad[one.path] = part.bad[number]
                else:
                    sound.append(one.path)
    finally:
        done.set()
        crasher.join()
        decoders.close()
    assert bad == {slow[6]: "the process that decoded it crashed (SIGSEGV)"}
    assert sound == [path for path in slow[:12] if path != slow[6]]


def test_workers_that_cannot_start_are_told(files, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    decoders = Decoders(iter([Found(files[1], file=files[1])]), SHAPE, 1)
    try:
        with pytest.raises(Exception, match="ended with status 1 at once"):
            list(decoders)
    finally:
        decoders.close()
