"""Exported detectors, run by onnxruntime and torch, beside the tables of `aectl detect`."""

import numpy as np
import onnxruntime
import polars
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.usefixtures("converters_found_once")

DENSE = ("--dataset", "digits:test", "--epochs", "1")
MAP = (*DENSE, "--model", "conv-autoencoder", "--hidden", "8,6,3")
PATCHES = (
    *DENSE, "--model", "patch-autoencoder", "--hidden", "20", "--patch-size", "3x3", "--patches",
    "2000",
)  # fmt: skip


def outputs(path, inputs):
    """The scores, p-values and verdicts of a file."""
    if path.endswith(".pt2"):
        found = torch.export.load(path).module()(torch.from_numpy(inputs))
        return [one.numpy() for one in found]
    session = onnxruntime.InferenceSession(path)
    assert [one.name for one in session.get_outputs()] == ["score", "p_value", "anomaly"]
    return session.run(None, {session.get_inputs()[0].name: inputs})


def agrees(aectl, model, words, inputs, ending):
    """Whether the file gives what the table has."""
    done = aectl("detect", model, words, "--out", "found.parquet")
    assert done.status == 0, done.err
    table = polars.read_parquet("found.parquet")
    done = aectl("export", model, words, "--what", "detector", "--out", f"d.{ending}")
    assert done.status == 0, done.err
    score, p_value, anomaly = outputs(f"d.{ending}", inputs)
    wanted = table["score"].to_numpy()
    assert np.abs(score - wanted).max() < 1e-5 * np.abs(wanted).max()
    apart = np.abs(p_value - table["p_value"].to_numpy())
    assert apart.max() < 1.5 * p_value.min()  # equal but for rounding, two scores may change places
    assert (anomaly == (table["anomaly"] == "yes").to_numpy())[apart < 1e-9].all()
    assert 0 < anomaly.sum() < len(anomaly)


@pytest.mark.parametrize(
    ("options", "score", "ending"),
    [
        (DENSE, "error", "onnx"),
        (DENSE, "unusual-region", "onnx"),
        (DENSE, "mahalanobis", "pt2"),
        (PATCHES, "neighbours", "onnx"),
        (PATCHES, "cosine", "pt2"),
        (MAP, "places", "pt2"),
    ],
)
def test_images_have_the_scores_of_the_table(aectl, trained, scans, options, score, ending):
    done = aectl(
        "detect", trained(*options), "--calibrate", scans, "--score", score, "--alarm-rate", "0.05",
        "--out", "known.safetensors",
    )  # fmt: skip
    assert done.status == 0, done.err
    pixels = [np.array(Image.open(path)) for path in sorted(scans.iterdir())]
    agrees(aectl, "known.safetensors", scans, np.stack(pixels)[:, None], ending)


@pytest.mark.parametrize(("hidden", "ending"), [("6", "onnx"), ("40", "pt2")])
def test_vectors_have_the_scores_of_the_table(aectl, tmp_path, hidden, ending):
    drawn = np.random.default_rng(0).standard_normal((500, 12)).astype("f4") * np.arange(1, 13)
    np.save(tmp_path / "acts.npy", drawn.astype("f4"))
    done = aectl(
        "train", "-q", "--dataset", "acts.npy", "--hidden", hidden, "--scale", "standard",
        "--validation", "0.4", "--epochs", "2", "--out", "run",
    )  # fmt: skip
    assert done.status == 0, done.err
    agrees(aectl, "run", "acts.npy", drawn.astype("f4"), ending)


def test_text_has_the_scores_of_the_table(aectl, tmp_path):
    words = ["red", "big", "old", "new", "wet", "dry", "hot", "odd"]
    lines = [f"a {one} cat and a {two} dog" for one in words for two in words] * 4
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    done = aectl(
        "train", "-q", "--dataset", "lines.txt", "--model", "text-autoencoder", "--hidden", "8,8",
        "--length", "8", "--validation", "0.5", "--epochs", "1", "--out", "run",
    )  # fmt: skip
    assert done.status == 0, done.err
    done = aectl("export", "run", "lines.txt", "--what", "detector", "--out", "d.pt2")
    assert done.status == 0, done.err
    assert "score: float32 (batch), p_value: float64 (batch), anomaly: bool (batch)" in done.err


@pytest.mark.parametrize("score", ["region", "ssim", "fisher"])
def test_scores_that_are_not_exported_are_left_out_of_the_parts(aectl, trained, scans, score):
    aectl(
        "detect", trained(*DENSE), "--calibrate", scans, "--score", score, "--out", "m.safetensors",
        "--alarm-rate", "0.05",
    )  # fmt: skip
    done = aectl("export", "m.safetensors", scans, "--what", "detector", "--out", "d.onnx")
    assert done.status == 2
    assert "has no detector to export" in done.err
