"""The laboratory of dictionaries: synthetic vectors, and models compared by their directions."""

import csv
import json

import numpy as np
import pytest

from aectl.data.vectors.synthetic import Synthetic

WORD = "synthetic:directions=24,dim=16,active=2,n=3000"
TRAIN = ("train", "--dataset", WORD, "--hidden", "24", "--sparsity", "topk", "--k", "2", "-q")


@pytest.fixture(scope="module")
def model(trained):
    """A model of synthetic vectors."""
    return trained(*TRAIN[1:], "--epochs", "6")


def measured(aectl, *words):
    done = aectl("eval", *words, "--json", "-q")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


def test_a_run_on_synthetic_vectors_keeps_the_directions_and_is_measured_on_others(aectl, model):
    np.testing.assert_array_equal(np.load(model / "truth.npy"), Synthetic.of(WORD).truth())
    (found,) = measured(aectl, model)
    assert (found["dataset"], found["n"]) == (WORD, 3000)
    vectors = Synthetic.of(WORD).vectors("test")
    np.save(model.parent / "test.npy", vectors)
    (again,) = measured(aectl, model, "--dataset", model.parent / "test.npy")
    assert found["mse"] == again["mse"]


def test_synthetic_vectors_have_names(aectl, model):
    done = aectl("encode", model, WORD, "-q")
    assert [*csv.reader(done.out.splitlines())][3000][0] == f"{WORD}:2999"


def test_a_wrong_option_of_synthetic_vectors_is_refused(aectl, tmp_path):
    done = aectl("train", "--dataset", "synthetic:dims=3", "--out", tmp_path / "m")
    assert (done.status, (tmp_path / "m").exists()) == (2, False)
    assert "did you mean 'dim'?" in done.err
