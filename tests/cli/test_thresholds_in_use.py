"""The threshold of batch-topk: how many units are active at inference, after few steps."""

import csv
import json

import numpy as np
import pytest

from aectl.data.vectors.synthetic import Synthetic

BATCH_TOPK = ("--sparsity", "batch-topk", "--k", "3", "--batch-size", "32", "--out", "m", "-q")
TRAIN = ("train", "--dataset", "v.npy", "--hidden", "24", *BATCH_TOPK)

PATCHES = (
    "--dataset", "digits", "--model", "patch-autoencoder", "--patch-size", "4", "--hidden", "24",
    "--patches", "5000", "--features", "code",
)  # fmt: skip
TEXT = ("--dataset", "lines.txt", "--model", "text-autoencoder", "--hidden", "16,24")
MAP = (
    "--dataset",
    "digits",
    "--model",
    "conv-autoencoder",
    "--bottleneck",
    "map",
    "--hidden",
    "8,6",
)


@pytest.mark.parametrize(
    "options", [("--epochs", "1"), ("--epochs", "2", "--shuffle-buffer", "500")]
)
def test_k_units_are_active_on_average_after_however_few_steps(aectl, tmp_path, options):
    np.save(tmp_path / "v.npy", Synthetic(directions=24, dim=16, n=2000).vectors("train"))
    assert aectl(*TRAIN, *options).status == 0
    (found,) = json.loads(aectl("eval", "m", "--dataset", "v.npy", "--json", "-q").out)
    assert found["l0"] == pytest.approx(3, rel=0.001)
    *_, last = csv.DictReader((tmp_path / "m" / "metrics.csv").open())
    assert float(last["train_l0"]) == pytest.approx(found["l0"], rel=0.001)


@pytest.mark.parametrize("options", [PATCHES, TEXT, MAP], ids=["patches", "text", "map"])
def test_k_units_are_active_on_average_for_what_a_network_of_any_kind_was_trained_on(
    aectl, tmp_path, options
):
    words = np.random.default_rng(0).choice(["red", "green", "blue", "one", "two", "ten"], (500, 6))
    (tmp_path / "lines.txt").write_text("".join(f"{' '.join(line)}\n" for line in words))
    assert aectl("train", *options, *BATCH_TOPK, "--epochs", "2").status == 0
    seen = options[1] if "." in options[1] else "digits:train"
    (found,) = json.loads(aectl("eval", "m", "--dataset", seen, "--json", "-q").out)
    assert found["l0"] == pytest.approx(3, rel=0.01)
