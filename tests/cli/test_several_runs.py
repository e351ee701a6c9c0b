"""Several runs on the same vectors: of seeds, and of values of options."""

import numpy as np
import pytest
from test_interruptions import DEADLINE, running, until
from test_train_resumed import checkpoint, same

from aectl.models.model_file import read_card

ROWS = np.random.default_rng(0).standard_normal((3000, 6)).astype("f4")
TRAIN = ("train", "--dataset", "rows.npy", "--hidden", "9", "--sparsity", "topk",
         "--dropout", "0.1", "--scale", "standard", "--validation", "0.1", "-q")  # fmt: skip
STORED = {"in memory": (), "on disk": ("--shuffle-buffer", "640")}

stored = pytest.mark.parametrize("how", STORED.values(), ids=STORED)


@pytest.fixture(autouse=True)
def rows(tmp_path):
    """The file of vectors, in the present folder."""
    np.save(tmp_path / "rows.npy", ROWS)


@stored
def test_each_run_is_what_it_is_alone(aectl, tmp_path, how):
    done = aectl(*TRAIN, *how, "--k", "2,4", "--seeds", "2", "--epochs", "3", "--out", "all")
    names = [f"k-{k}-seed-{seed}" for k in (2, 4) for seed in (0, 1)]
    assert (done.status, done.err) == (0, "")
    assert sorted(done.out.splitlines()) == [f"all/{name}/model.safetensors" for name in names]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == names
    for name in names:
        _, k, _, seed = name.split("-")
        alone = (*TRAIN, *how, "--k", k, "--seed", seed, "--epochs", "3", "--out", name)
        assert aectl(*alone).status == 0
        assert same(tmp_path / "all" / name, tmp_path / name)
        said = [read_card(one / name).training["command"] for one in (tmp_path / "all", tmp_path)]
        assert sorted(said[0].split()) == sorted(said[1].split())
        for file in ("config.toml", "metrics.csv", "report.html"):
            assert (tmp_path / "all" / name / file).is_file()


@stored
def test_values_that_are_left_follow_the_one_that_is_resumed(aectl, tmp_path, how):
    train = (*TRAIN, *how, "--k", "2,4,3", "--epochs", "4")
    with running(*train, "--batch-size", "8", "--out", "all", folder=tmp_path) as process:
        until(checkpoint(tmp_path / "all/k-2").exists)
        process.kill()
        process.wait(DEADLINE)
    parts = {name: checkpoint(tmp_path / "all" / name).exists() for name in ("k-2", "k-4", "k-3")}
    for name in parts:
        if parts[name]:
            assert aectl("train", "--resume", f"all/{name}", "-q").status == 0
    assert aectl(*train, "--batch-size", "8", "--out", "whole").status == 0
    for name in parts:
        assert same(tmp_path / "all" / name, tmp_path / "whole" / name)
