"""Models whose numbers overflow: what is not finite reaches no table and no picture unsaid."""

import csv
import json

import numpy as np
import polars
import pytest
import torch

from aectl.config.model_options import ModelConfig
from aectl.inference.features import Features
from aectl.models import model_file
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.model_card import ModelCard

FORMATS = [".csv", ".jsonl", ".parquet", ".npz"]


def scaled(folder, tmp_path, factor=None):
    """The same model, its encoder multiplied; or all its weights as large as float32 allows."""
    network, card = model_file.load(folder)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if factor is None:
                parameter.div_(parameter.abs().max().clamp(min=1e-30)).mul_(3e38)
            elif name.startswith("encoder."):
                parameter.mul_(factor)
    model_file.save(tmp_path / "huge.safetensors", network, card)
    return tmp_path / "huge.safetensors"


def paths(path):
    if path.suffix == ".npz":
        return np.load(path)["path"].tolist()
    if path.suffix == ".parquet":
        return polars.read_parquet(path)["path"].to_list()
    if path.suffix == ".jsonl":
        return [json.loads(line)["path"] for line in path.read_text().splitlines()]
    return [row["path"] for row in csv.DictReader(path.read_text().splitlines())]


@pytest.mark.parametrize("ending", FORMATS)
def test_rows_beyond_float16_are_left_out_and_named(aectl, dense, scans, tmp_path, ending):
    assert aectl("encode", dense, scans, "--out", "plain.npz").status == 0
    largest = np.load(tmp_path / "plain.npz")["features"].max(1)
    model = scaled(dense, tmp_path, 65_504 / np.median(largest))
    assert aectl("encode", model, scans, "--out", "all.npz").status == 0
    everything = np.load(tmp_path / "all.npz")
    with np.errstate(over="ignore"):
        fits = np.isfinite(everything["features"].astype(np.float16)).all(1)
    assert 0 < fits.sum() < 360, "some codes fit, some do not"
    done = aectl("encode", model, scans, "--dtype", "float16", "--out", f"t{ending}",
                 "--errors", "errors.csv", "--batch-size", 50)  # fmt: skip
    assert done.status == 1
    assert paths(tmp_path / f"t{ending}") == everything["path"][fits].tolist()
    errors = list(csv.DictReader((tmp_path / "errors.csv").read_text().splitlines()))
    assert [row["path"] for row in errors] == everything["path"][~fits].tolist()
    assert all("--dtype float32" in row["reason"] for row in errors)
    assert f"{(~fits).sum()} of 360 inputs were left out" in done.err


@pytest.mark.parametrize("verb", ["encode", "classify"])
def test_a_model_that_overflows_writes_no_table(aectl, dense, classifier, scans, tmp_path, verb):
    model = scaled(dense if verb == "encode" else classifier, tmp_path)
    done = aectl(verb, model, scans, "--out", "t.csv")
    assert (done.status, done.out) == (2, "")
    assert "output for it is not finite" in done.err
    assert not (tmp_path / "t.csv").exists()
    done = aectl(verb, model, scans, "--strict")
    assert (done.status, done.out) == (2, "")
    assert "000.png: the model's output for it is not finite" in done.err


def test_a_model_that_overflows_draws_nothing(aectl, dense, scans, tmp_path):
    model = scaled(dense, tmp_path)
    for where in (["--out", "t.png"], ["--each", "made"]):
        done = aectl("reconstruct", model, scans, *where)
        assert done.status == 2
        assert "weights are too large" in done.err
    assert not list(tmp_path.rglob("*.png"))


ACTIVATIONS = ["linear", "clamp", "sigmoid"]


@pytest.mark.parametrize("output", ACTIVATIONS)
def test_codes_that_a_model_cannot_decode_are_left_out_and_named(aectl, tmp_path, output):
    architecture = Architecture(ModelConfig(hidden=(2,), output_activation=output), (1, 8, 8))
    network = build_network(architecture)
    with torch.no_grad():
        network.decoder.layers[0].weight.fill_(2)
    model = tmp_path / "m.safetensors"
    model_file.save(model, network, ModelCard(architecture))
    codes = np.array([[0.5, 0.5], [3e38, 3e38], [0, 0]], np.float32)
    np.savez(tmp_path / "codes.npz", features=codes, path=np.array(["a", "huge", "c"]))
    done = aectl("reconstruct", model, "--from-codes", "codes.npz", "--each", "made")
    assert done.status == 1
    assert "left out huge: the model's output for it is not finite" in done.err
    assert sorted(path.stem for path in (tmp_path / "made").rglob("*.png")) == ["a", "c"]


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1.0, 3e19, 5e37])
def test_rows_of_any_size_are_scaled_to_length_one(size):
    codes = np.array([[3, 4, 0], [0, 0, 0], [-1, 0, 0]], np.float32) * np.float32(size)
    found = Features(normalize="l2").of(codes)
    wanted = np.array([[0.6, 0.8, 0], [0, 0, 0], [-1, 0, 0]])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("output", ACTIVATIONS)
@pytest.mark.parametrize(
    "command",
    [
        ["reconstruct", "--out", "t.png"],
        ["eval", "--json"],
        ["eval", "--per-image", "-"],
        ["eval", "--report", "t.html"],
    ],
    ids=" ".join,
)
def test_an_overflow_that_the_output_activation_would_hide_is_told(
    aectl, scans, tmp_path, output, command
):
    config = ModelConfig(hidden=(2,), output_activation=output, center=False)
    architecture = Architecture(config, (1, 8, 8))
    network = build_network(architecture)
    with torch.no_grad():
        for layer in (network.encoder.to_code, network.decoder.layers[0]):
            layer.weight.fill_(1e36)  # times all pixels it is finite, times such a code it is not
    model = tmp_path / "m.safetensors"
    model_file.save(model, network, ModelCard(architecture))
    verb, *options = command
    inputs = ["--dataset", scans / "000.png"] if verb == "eval" else [scans / "000.png"]
    done = aectl(verb, model, *inputs, *options)
    assert done.status == 2
    assert "the model's weights are too large: its output overflows" in done.err
    assert not list(tmp_path.glob("t.*"))
