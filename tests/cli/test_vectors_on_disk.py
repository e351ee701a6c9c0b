"""Vectors that are read from disk in each epoch, and those that do not fit into memory."""

import dataclasses
import math
import os

import numpy as np
import polars
import pytest
import torch
import warm
from safetensors.torch import save_file
from test_interruptions import DEADLINE, running, until
from test_train_resumed import checkpoint, same, weights

from aectl.config.written_options import read_toml
from aectl.data.vectors import vector_set
from aectl.data.vectors.vector_inputs import VECTOR_NAMES, VectorInputs
from aectl.errors import DataError
from aectl.models.model_file import read_card

ROWS = np.random.default_rng(0).integers(-99, 99, (400, 6)).astype("f4")
"""Numbers that all types hold."""

TRAIN = ("train", "--hidden", "9", "--sparsity", "topk", "--k", "3", "--epochs", "3")
BUFFER = ("--shuffle-buffer", "64")


def tensor(kind):
    def save(path):
        save_file({"rows": torch.from_numpy(ROWS).to(kind)}, f"{path}.safetensors")
        return f"{path}.safetensors"

    return save


def array(kind):
    def save(path):
        np.save(f"{path}.npy", ROWS.astype(kind))
        return f"{path}.npy"

    return save


def table(path):
    polars.DataFrame(ROWS, schema=[f"f{n}" for n in range(6)]).write_csv(f"{path}.csv")
    return f"{path}.csv"


def in_columns(path):
    np.save(f"{path}.npy", np.asfortranarray(ROWS))
    return f"{path}.npy"


FILES = {
    **{f"npy {kind}": array(kind) for kind in ("f2", "f4", ">f4", "f8", "i1", "i8")},
    **{f"tensor {kind}": tensor(kind) for kind in (torch.bfloat16, torch.half, torch.float)},
    "table": table,
    "Fortran's order": in_columns,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The file, and a model that was trained on it from disk."""
    from aectl import train

    folder = tmp_path_factory.mktemp("whole")
    np.save(folder / "rows.npy", ROWS)
    train(
        folder / "m", dataset=str(folder / "rows.npy"), hidden=9, sparsity="topk", k=3, epochs=3,
        shuffle_buffer=64, scale="standard", validation=0.1,
    )  # fmt: skip
    return folder / "m"


@pytest.mark.parametrize("save", FILES.values(), ids=FILES)
def test_the_same_vectors_of_any_type_give_the_same_model_from_disk(aectl, tmp_path, whole, save):
    path = save("rows")
    done = aectl(*TRAIN, *BUFFER, "--dataset", path, "--scale", "standard", "--validation", "0.1",
                 "--out", "m", "-q")  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert same(tmp_path / "m", whole)
    of_both = [read_card(model).training["data_sha256"] for model in (tmp_path / "m", whole)]
    assert of_both[0] == of_both[1]


def test_vectors_that_need_more_than_the_memory_are_read_from_disk(aectl, tmp_path):
    for number, shard in enumerate(np.array_split(ROWS, 3)):
        (tmp_path / "shards").mkdir(exist_ok=True)
        np.save(f"shards/{number}.npy", shard)
    runs = {"memory": (), "disk": ("--memory", "0.000001"), "again": BUFFER}
    told = {}
    for name, options in runs.items():
        done = aectl(*TRAIN, "--dataset", "shards", "--out", name, *options, "--scale", "standard")
        assert done.status == 0
        told[name] = "are read from disk in each epoch" in done.err
    assert told == {"memory": False, "disk": True, "again": False}
    cards = {name: read_card(tmp_path / name).training for name in runs}
    assert len({card["data_sha256"] for card in cards.values()}) == 1
    assert {card["vectors"] for card in cards.values()} == {400}
    options = {name: read_toml(tmp_path / name / "config.toml") for name in runs}
    buffers = {name: found.get("shuffle_buffer") for name, found in options.items()}
    assert buffers == {"memory": None, "disk": (256 << 20) // 24, "again": 64}
    scalings = [weights(tmp_path / name)["scaling.factor"] for name in runs]
    for found in scalings[1:]:
        np.testing.assert_allclose(found, scalings[0], rtol=1e-6)


def test_a_killed_training_from_disk_goes_on_to_the_same_weights(aectl, tmp_path):
    np.save("many.npy", np.random.default_rng(0).standard_normal((3000, 6), "f4"))
    train = ("train", "--dataset", "many.npy", "--hidden", "9", "--batch-size", "3",
             "--epochs", "2", "--shuffle-buffer", "640", "--validation", "0.1", "-q")  # fmt: skip
    with running(*train, "--out", "stopped", folder=tmp_path) as process:
        until(checkpoint(tmp_path / "stopped").exists)
        process.kill()
        process.wait(DEADLINE)
    assert aectl("train", "--resume", "stopped", "-q").status == 0
    assert aectl(*train, "--out", "whole").status == 0
    assert same(tmp_path / "stopped", tmp_path / "whole")


MEASURE = """
import resource
from aectl.cli import main
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert main() == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
"""Runs a command; prints by how many KiB its memory grew."""


def test_memory_does_not_grow_with_the_file_and_several_runs_share_it(tmp_path):
    shape = 17 << 17, 64
    np.lib.format.open_memmap(tmp_path / "zeros.npy", "w+", "f4", shape)
    train = ("train", "--dataset", "zeros.npy", "--hidden", "1", "--batch-size", "65536",
             "--epochs", "1", *BUFFER[:1], "65536", "--lr", "0.1,0.2", "--out", "m",
             "-q")  # fmt: skip
    grown = int(warm.python(MEASURE, *train, folder=tmp_path).split()[-1])
    assert grown < 1 << 19 < 4 * math.prod(shape) / 1024


def test_a_classifier_learns_from_disk(aectl, tmp_path):
    rows, labels = ROWS.copy(), np.arange(400) % 2
    rows[:, 0] = 50 * labels
    for label in (0, 1):
        (tmp_path / "set" / f"class-{label}").mkdir(parents=True)
        np.save(f"set/class-{label}/rows.npy", rows[labels == label])
    train = ("train", "--model", "classifier", "--dataset", "set", "--epochs", "20", *BUFFER,
             "--scale", "standard", "--batch-size", "16")  # fmt: skip
    assert aectl(*train, "--validation", "0.2", "--out", "m", "-q").status == 0
    found = polars.read_csv("m/metrics.csv")["validation_error"]
    assert found[-1] < 5
    done = aectl(*train, "--labels", "10", "--out", "few")
    assert done.status == 2
    assert "--labels needs all vectors in memory, and set is read from disk" in done.err


def test_only_a_classifier_reads_the_names_and_labels_beside_an_array(aectl, tmp_path):
    np.save("rows.npy", ROWS)
    (tmp_path / "rows.npy.ids.parquet").write_bytes(b"no table")
    train = ("train", "--dataset", "rows.npy", "--epochs", "1", "--out", "m", "-q")
    assert aectl(*train, "--hidden", "9").status == 0
    done = aectl(*train, "--model", "classifier", "--overwrite")
    assert done.status == 2 and "rows.npy.ids.parquet beside it: it is not" in done.err


@pytest.mark.parametrize(
    "option", [("--optimizer", "lbfgs"), ("--labels", "10", "--model", "classifier")]
)
def test_what_needs_all_vectors_at_once_is_refused_before_they_are_read(aectl, option):
    rows = ROWS.copy()
    rows[399, 5] = np.nan  # what reading them would find
    np.save("rows.npy", rows)
    done = aectl("train", "--dataset", "rows.npy", *BUFFER, *option)
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert f"{' '.join(option[: 2 if 'lbfgs' in option else 1])} needs all vectors" in done.err


def test_values_that_cannot_be_learnt_are_named_by_their_place_on_disk(aectl, tmp_path):
    rows = ROWS.copy()
    rows[399, 5] = np.nan
    np.save("a.npy", ROWS)
    np.save("b.npy", rows)
    train = (*TRAIN, *BUFFER, "--dataset", "a.npy", "--dataset", "b.npy", "--out", "m")
    done = aectl(*train)
    assert done.status == 2
    assert "b.npy:399 lacks a value, feature 5; --missing mean fills such places" in done.err
    assert aectl(*train, "--missing", "mean", "-q").status == 0
    fill = weights(tmp_path / "m")["scaling.fill"]
    np.testing.assert_allclose(fill, np.nanmean([ROWS, rows], (0, 1)), rtol=1e-6)


def test_files_that_do_not_fit_into_memory_together_are_refused(tmp_path):
    for name in "abc":
        np.savez(tmp_path / f"{name}.npz", ROWS)
    words = VECTOR_NAMES.sources([str(tmp_path)], None)
    fitting = VectorInputs(words, tmp_path, memory=4 * ROWS.nbytes)
    assert len(vector_set.load(fitting, [None], print, False, False)) == 1200
    beyond = dataclasses.replace(fitting, memory=3 * ROWS.nbytes)
    with pytest.raises(
        DataError, match=r"up to those of .*c\.npz take .* of memory, and there are"
    ):
        vector_set.load(beyond, [None], print, False, False)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".parquet", ".npz"])
def test_a_table_that_cannot_fit_into_memory_is_refused_at_once(aectl, whole, tmp_path, ending):
    path = tmp_path / f"large{ending}"
    path.touch()
    os.truncate(path, 1 << 43)
    for command in (("train", "--dataset", path, "--out", "m"), ("encode", whole, path)):
        done = aectl(*command)
        assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
        assert f"large{ending}: {ending} is read as a whole, which takes at least" in done.err
        assert ".npy and .safetensors are read in blocks" in done.err
    assert not (tmp_path / "m").exists()
