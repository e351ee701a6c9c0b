"""Model files that a stranger may have written, in the commands that use them."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file


def rewritten(source, path, tensors=None, **changed):
    """The model in a run folder with other tensors, or with fields of its description changed."""
    with safe_open(source / "model.safetensors", framework="numpy") as file:
        described = json.loads(file.metadata()["aectl"])
    arrays = tensors or load_file(source / "model.safetensors")
    save_file(arrays, path, {"aectl": json.dumps(described | changed)})
    return path


def with_huge_weights(source, path, size):
    tensors = load_file(source / "model.safetensors")
    huge = {n: np.full_like(v, size) if "weight" in n else v for n, v in tensors.items()}
    return rewritten(source, path, huge)


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "MODEL", "--json"],
        ["eval", "MODEL", "--report", "r.html"],
        ["reconstruct", "MODEL", "digits:test"],
    ],
    ids=str,
)
def test_weights_that_overflow_are_told_instead_of_measured(aectl, dense, words, tmp_path):
    path = with_huge_weights(dense, tmp_path / "m.safetensors", 3e38)
    done = aectl(*[path if word == "MODEL" else word for word in words])
    assert (done.status, done.out) == (2, "")
    assert "weights are too large" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "r.html").exists()


def test_a_classifier_whose_weights_overflow_is_not_measured(aectl, classifier, tmp_path):
    path = with_huge_weights(classifier, tmp_path / "m.safetensors", 3e38)
    done = aectl("eval", path)
    assert (done.status, done.out) == (2, "")
    assert "weights are too large" in done.err


def test_huge_weights_that_do_not_overflow_have_a_report(aectl, dense, tmp_path):
    path = with_huge_weights(dense, tmp_path / "m.safetensors", 1e25)
    done = aectl("eval", path, "--report", "r.html")
    assert (done.status, done.err) == (0, "")
    assert (tmp_path / "r.html").exists()
