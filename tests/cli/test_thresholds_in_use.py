"""The threshold of batch-topk: how many units are active at inference, after few steps."""

import csv
import json

import numpy as np
import pytest

from aectl.data.vectors.synthetic import Synthetic

TRAIN = (
    "train", "--dataset", "v.npy", "--hidden", "24", "--sparsity", "batch-topk", "--k", "3",
    "--batch-size", "32", "--out", "m", "-q",
)  # fmt: skip


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
