"""What the tests share: running `aectl`, and a few trained models to run it on."""

import contextlib
import fcntl
import functools
import gc
import hashlib
import io
import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import warm

from aectl.cli import main
from aectl.data import frame_process
from aectl.data.images import decoders

MNIST = Path(os.environ.get("AECTL_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
CACHES = itertools.count()
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

WHO = ["the cat", "a dog", "the old man", "she", "he"]
DOES = ["sat on", "looked at", "ate", "liked"]
WHAT = ["the mat .", "a fish .", "the sea .", "an apple .", "it ."]
LINES = [f"{who} {does} {what}" for who in WHO for does in DOES for what in WHAT]
"""Text that a small model learns in a moment."""

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Else each of some hundred processes compiles the modules anew."""

os.environ.update(dict.fromkeys(warm.THREADS, "1"))
"""Small networks gain nothing from threads, and several test processes share the cores."""

for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ[name] = "http://127.0.0.1:9"
os.environ["no_proxy"] = "127.0.0.1,localhost"
"""No test reaches the network; a download fails at once."""
ON_GPU, HIDDEN = "AECTL_TEST_ON_GPU", "AECTL_TEST_HIDDEN_GPUS"
"""Variables: one is set in the process of the tests that need a GPU, the other tells the value of
CUDA_VISIBLE_DEVICES there. What all other tests expect are results of a CPU, also where `--device
auto` would take a GPU."""
if ON_GPU not in os.environ:
    os.environ.setdefault(HIDDEN, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

logging.getLogger().addHandler(logging.NullHandler())
"""Else servers in the process of a test, and libraries, would write what they log to its stderr."""

UNMEASURED = (
    "tests/cli/test_detection_places.py", "tests/cli/test_export.py::test_an_exported_encoder",
    "tests/cli/test_export.py::test_models_of_older", "tests/cli/test_export.py::test_vectors",
    "tests/cli/test_export_detectors.py::test_images", "tests/cli/test_laboratory_in_use.py",
    "tests/cli/test_patches_in_use.py", "tests/cli/test_several_runs.py::test_a_signal",
    "tests/cli/test_several_runs.py::test_runs_that_were_killed", "tests/cli/test_texts_in_use.py",
    "tests/cli/test_thresholds_in_use.py", "tests/cli/test_train_regularised.py",
    "tests/cli/test_train_resumed.py", "tests/cli/test_vectors_in_use.py", "tests/fuzz",
    "tests/training/test_code_run.py", "tests/training/test_conv_wta_run.py",
    "tests/training/test_text_run.py", "tests/verbs/test_every_combination.py",
)  # fmt: skip
"""Tests that compute most of their time: to trace them takes up to as long again, and tells little,
since other tests run nearly all of the code that they run. What is measured is the least that the
tests cover."""


def pytest_configure() -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        warm.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test begins first, so that no process waits for it alone at the end."""
    items.sort(key=lambda item: "test_readme" not in item.nodeid)
    for item in items:
        if item.nodeid.startswith(UNMEASURED):
            item.add_marker("no_cover")
        if item.get_closest_marker("gpu") and ON_GPU not in os.environ:
            item.add_marker(pytest.mark.skip(reason="runs in test_gpu.py, where there is a GPU"))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the garbage collector need not look at it again and again, nor
    as often as it does where memory is scarce.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_sessionfinish() -> None:
    warm.end()


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    status: int
    out: str
    err: str


Aectl = Callable[..., Finished]


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each test has a cache of its own; its folder is made only when something is put there."""
    cache = tmp_path_factory.getbasetemp() / f"cache-{next(CACHES)}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("AECTL_DATA_DIR", raising=False)


@pytest.fixture(autouse=True, scope="session")
def _one_cache_of_fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Else every process that draws looks for the machine's fonts anew."""
    os.environ["MPLCONFIGDIR"] = str(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def _exact() -> None:
    """A test finds the smallest numbers as they are, though another has trained before it."""
    import torch

    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True, scope="session")
def _signals() -> None:
    """Ctrl-C reaches the tests' programs, though a shell's `&` has this process ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _one_core() -> None:
    """A test process has one core, so that a command starts one process that decodes images."""
    if CORES:
        number = int(os.environ.get("PYTEST_XDIST_WORKER", f"gw{os.getpid()}").removeprefix("gw"))
        os.sched_setaffinity(0, {CORES[number % len(CORES)]})


@pytest.fixture(autouse=True, scope="session")
def _warm_processes() -> None:
    """Processes that decode images, or read Parquet, are forked where they would load numpy anew.

    `processes_of_their_own`, and commands in processes of their own, begin them as users do.
    """
    if CORES:
        warm.fork_all()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of LINES."""
    path = tmp_path_factory.mktemp("corpus") / "lines.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What aectl logs while a test runs; pytest's own `caplog` is switched off, since it adds and
    removes handlers of each of torch's loggers, of which there are dozens, six times a test."""
    logger, text = logging.getLogger("aectl"), io.StringIO()
    handler, level = logging.StreamHandler(text), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield text
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decoders, frame_process):
        monkeypatch.setattr(module, "subprocess", subprocess)


@pytest.fixture(autouse=True, scope="session")
def _commands_made_once() -> None:
    warm.make_commands_once()


@pytest.fixture(scope="session")
def converters_found_once() -> None:
    """torch.onnx looks for those of all its operators, most of its time, whenever it exports; and
    torch.export for all operators that are made of others, some thirty times a model."""
    from torch._export import utils
    from torch.onnx._internal.exporter import _registration

    utils._materialize_cpp_cia_ops = functools.cache(utils._materialize_cpp_cia_ops)
    registry = _registration.ONNXRegistry
    registry.from_torchlib = classmethod(functools.cache(registry.from_torchlib.__func__))


@contextlib.contextmanager
def on_all_cores() -> Iterator[None]:
    """As many cores as the tests were started with."""
    if not CORES:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def all_cores() -> Iterator[None]:
    with on_all_cores():
        yield


@pytest.fixture
def aectl(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Aectl:
    """Runs the command in this process, in an empty folder; `stdin` is what it reads there."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr(sys, "argv", ["aectl", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        status = main()
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        return Finished(status, os.fsdecode(captured.out), captured.err.decode())

    return run


def shell(script: str, folder: Path, warmed: bool = False) -> Finished:
    """Runs a bash script with this environment's programs first on the path, `warmed` or not."""
    places, settings = [str(Path(sys.executable).parent), os.environ["PATH"]], {}
    if warmed:
        places.insert(0, str(warm.scripts()))
        settings[warm.FORKED] = "1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail\n{script}"],
        cwd=folder, env={**os.environ, **settings, "PATH": os.pathsep.join(places)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the run folder of a model trained on the digits; the same options train only once,
    whichever of the processes that share the tests is the first."""
    made = tmp_path_factory.getbasetemp()
    made = (made.parent if "PYTEST_XDIST_WORKER" in os.environ else made) / "trained"
    made.mkdir(exist_ok=True)

    def train(*options: str) -> Path:
        folder = made / hashlib.sha256(repr(options).encode()).hexdigest()[:16]
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "model.safetensors").exists():
                _train(folder, *options)
        return folder

    return train


def _train(folder: Path, *options: str) -> None:
    usual = () if "--dataset" in options else ("--dataset", "digits")
    before = sys.argv
    sys.argv = ["aectl", "train", "-q", *usual, "--out", str(folder), *options]
    try:
        assert main() == 0
    finally:
        sys.argv = before


@pytest.fixture(scope="session")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of crops of a photo, other normal ones, and some with defects."""
    import planted

    folder = tmp_path_factory.mktemp("inspection") / "made"
    planted.inspect(folder)
    return folder


@pytest.fixture(scope="module")
def inspected_in_module(inspection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `inspection`, for the tests of a module."""
    return Path(shutil.copytree(inspection, tmp_path_factory.mktemp("inspected") / "there"))


@pytest.fixture
def inspected(inspected_in_module: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where the test runs."""
    monkeypatch.chdir(inspected_in_module)
    return inspected_in_module


@pytest.fixture
def dense(trained: Callable[..., Path]) -> Path:
    """The run folder of a dense autoencoder of the digits."""
    return trained("--epochs", "20")


@pytest.fixture
def classifier(trained: Callable[..., Path]) -> Path:
    """The run folder of a classifier of the digits."""
    return trained("--epochs", "20", "--model", "classifier", "--hidden", "64")


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits' test split as PNG files, made without aectl."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("scans")
    pixels = np.round(load_digits().images[-360:] * (255 / 16)).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder
