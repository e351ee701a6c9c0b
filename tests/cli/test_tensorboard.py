"""Logs of a training, read by TensorBoard itself."""

import csv
import json
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_interruptions import DEADLINE, running, until

pytest.importorskip("tensorboard")
OPTIONS = ("train", "-q", "--dataset", "digits", "--hidden", "12", "--tensorboard")


def read(folder):
    """What TensorBoard's own reader finds in a run folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"), {"histograms": 0, "scalars": 0})
    return found.Reload()


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def logged(aectl, tmp_path):
    assert aectl(*OPTIONS, "--epochs", "3", "--out", "run").status == 0
    return tmp_path / "run"


def test_each_figure_of_each_epoch_is_a_scalar(logged):
    found = read(logged)
    rows = rows_of(logged)
    wanted = {"loss": "loss", "train/mse": "train_mse", "lr": "lr", "train/dead": "train_dead"}
    for tag, column in wanted.items():
        events = found.Scalars(tag)
        assert [event.step for event in events] == [1, 2, 3]
        values = [float(row[column]) for row in rows]
        np.testing.assert_allclose([event.value for event in events], values, rtol=1e-6)


def test_weights_have_the_names_of_the_model_file_however_they_lie_in_memory(aectl, tmp_path):
    word = "synthetic:directions=9,dim=128,active=2,n=300"
    code = ("--hidden", "1024", "--sparsity", "topk", "--k", "4", "--epochs", "1")
    done = aectl("train", "-q", "--dataset", word, *code, "--tensorboard", "--out", "few")
    assert done.status == 0
    names = {*read(tmp_path / "few").Tags()["histograms"]}
    parameters = load_file(tmp_path / "few" / "model.safetensors").keys() - {"encoder.center"}
    assert names == {f"weights/{name}" for name in parameters}


def test_weights_are_histograms_that_hold_them_all(logged):
    found = read(logged)
    for name, values in load_file(logged / "model.safetensors").items():
        if name == "encoder.center":
            continue
        histogram = found.Histograms(f"weights/{name}")[-1].histogram_value
        assert histogram.num == values.size
        assert histogram.sum == pytest.approx(values.sum(dtype=float), rel=1e-4, abs=1e-4)
        assert histogram.min == pytest.approx(values.min())


def test_the_pictures_are_those_of_the_run_folder(logged):
    import io

    from PIL import Image

    found = read(logged)
    for name in ("filters", "reconstructions"):
        (event,) = found.Images(name)
        with Image.open(logged / f"{name}.png") as own:
            logs = Image.open(io.BytesIO(event.encoded_image_string))
            assert logs.convert("RGB").tobytes() == own.convert("RGB").tobytes()


def test_a_run_that_is_resumed_goes_on_with_its_logs(aectl, tmp_path):
    with running(*OPTIONS, "--epochs", "30", "--out", "run", folder=tmp_path) as process:
        until(lambda: (tmp_path / "run/checkpoint/checkpoint.safetensors").exists())
        process.kill()
        process.wait(DEADLINE)
    time.sleep(1.1)  # its files are told apart by the second in which they begin
    assert aectl("train", "-q", "--resume", "run", "--tensorboard").status == 0
    found = read(tmp_path / "run").Scalars("loss")
    assert [event.step for event in found] == list(range(1, 31))


def test_a_classifier_has_logs_too(aectl, tmp_path):
    options = (*OPTIONS, "--model", "classifier", "--epochs", "1", "--out", "run")
    assert aectl(*options).status == 0
    found = read(tmp_path / "run")
    assert found.Scalars("train/error")[0].step == 1
    assert found.Tags()["images"] == ["filters"]


def test_tensorboard_serves_the_projector_with_the_codes(logged):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(logged),
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            runs = asked(f"http://127.0.0.1:{port}/data/plugin/projector/runs")
            info = asked(f"http://127.0.0.1:{port}/data/plugin/projector/info?run={runs[0]}")
            (codes,) = info["embeddings"]
            assert codes["tensorShape"] == [1000, 12]
            assert codes["sprite"]["singleImageDim"] == [8, 8]
        finally:
            server.terminate()


def asked(url):
    """What a server answers, once it does."""
    for _ in range(1000):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                found = json.load(answer)
                if found:
                    return found
        except OSError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"no answer from {url}")


def test_without_the_package_it_says_which_one_is_missing(aectl, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    done = aectl(*OPTIONS, "--epochs", "1", "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert "aectl[tensorboard]" in done.err
    assert not (tmp_path / "run").exists()
