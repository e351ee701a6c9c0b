"""The laboratory of dictionaries: synthetic vectors, and models compared by their directions."""

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.optimize import linear_sum_assignment

import aectl as aectl_library
from aectl.data.images import datasets
from aectl.data.vectors.synthetic import Synthetic
from aectl.models.model_file import load

PAGE = (Path(__file__).parents[2] / "aectl" / "help" / "vectors.md").read_text()
WORD = "synthetic:directions=24,dim=16,active=2,n=3000"
TRAIN = (
    "train", "--dataset", WORD, "--hidden", "24", "--sparsity", "topk", "--k", "2",
    "--batch-size", "32", "--lr", "0.01", "-q",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(trained):
    """A model of synthetic vectors."""
    return trained(*TRAIN[1:], "--epochs", "8")


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


@pytest.fixture(scope="module")
def other(trained):
    """The model with another seed, on the vectors of the same directions."""
    return trained(*TRAIN[1:], "--epochs", "8", "--seed", "1")


def columns(model):
    network, _ = load(model)
    return network.decoder.directions.detach().double().numpy()


def cosines(first, second):
    first, second = (one / np.linalg.norm(one, axis=0) for one in (first, second))
    return first.T @ second


def test_match_gives_the_cosines_of_the_decoders_columns(aectl, model, other):
    found = measured(aectl, model, other, "--match")
    between = cosines(columns(model), columns(other))
    best = between[linear_sum_assignment(between, maximize=True)]
    for one in found:
        assert one["matched_cosine"] == pytest.approx(best.mean(), rel=1e-9)
        assert one["matched_above_0.7"] == (best > 0.7).mean()
        assert one["matched_above_0.9"] == (best > 0.9).mean()
        assert one["matched_random"] < one["matched_cosine"]
    done = aectl("eval", model, other, "--match", "-q")
    assert f"{best.mean():.4g} ± 0" in next(
        line for line in done.out.splitlines() if line.startswith("matched_cosine")
    )
    assert (
        aectl_library.evaluate(model, match=[other])["matched_cosine"] == found[0]["matched_cosine"]
    )


@pytest.mark.parametrize(
    "options", [(*TRAIN[1:], "--epochs", "8"), ("--hidden", "9", "--epochs", "1")]
)
def test_a_permuted_copy_matches_with_exactly_1(aectl, trained, tmp_path, options):
    """Of vectors, and of images."""
    first = trained(*options)
    tensors = load_file(first / "model.safetensors")
    order = torch.randperm(len(tensors["encoder.layers.0.bias"]))
    for name in ("encoder.layers.0.weight", "encoder.layers.0.bias"):
        tensors[name] = tensors[name][order].contiguous()
    tensors["decoder.layers.0.weight"] = tensors["decoder.layers.0.weight"][:, order].contiguous()
    with safe_open(first / "model.safetensors", "pt") as file:
        save_file(tensors, tmp_path / "copy.safetensors", file.metadata())
    for one in measured(aectl, first, tmp_path / "copy.safetensors", "--match"):
        assert (one["matched_cosine"], one["matched_above_0.9"]) == (1, 1)


def test_truth_is_found_in_a_file_or_by_its_name(aectl, model, tmp_path):
    truth = Synthetic.of(WORD).truth()
    np.savez(tmp_path / "both.npz", a=truth * 3, b=truth[:5])
    found = [
        measured(aectl, model, "--truth", word)[0]
        for word in (model / "truth.npy", WORD, tmp_path / "both.npz:a")
    ]
    between = cosines(truth.T, columns(model))
    best = between[linear_sum_assignment(between, maximize=True)]
    vectors = torch.from_numpy(Synthetic.of(WORD).vectors("test"))
    alive = (load(model)[0].encode(vectors) > 0).any(0).numpy()
    for one in found:
        assert one["truth_cosine"] == pytest.approx(best.mean(), rel=1e-6)
        assert one["truth_recall"] == (between.max(1) > 0.9).mean() > 0.1
        assert one["truth_precision"] == (between.max(0)[alive] > 0.9).mean()
    assert aectl_library.evaluate(model, truth=WORD)["truth_recall"] == found[0]["truth_recall"]


def test_directions_of_scaled_vectors_are_in_the_units_of_the_input(aectl, trained, tmp_path):
    scales = np.linspace(0.1, 10, 16, dtype="f4")
    np.save(tmp_path / "wide.npy", Synthetic.of(WORD).vectors("train") * scales)
    np.save(tmp_path / "truth.npy", Synthetic.of(WORD).truth() * scales)
    out = tmp_path / "m"
    options = ("--dataset", tmp_path / "wide.npy", "--scale", "standard", "--epochs", "4")
    assert aectl(*TRAIN[:1], *TRAIN[3:], *options, "--out", out).status == 0
    (found,) = measured(
        aectl, out, "--truth", tmp_path / "truth.npy", "--dataset", tmp_path / "wide.npy"
    )
    factor = load(out)[0].scaling.factor.double().numpy()
    between = cosines(np.load(tmp_path / "truth.npy").T, columns(out) / factor[:, None])
    best = between[linear_sum_assignment(between, maximize=True)]
    assert found["truth_cosine"] == pytest.approx(best.mean(), rel=1e-6)


def test_what_cannot_be_compared_is_refused(aectl, model, trained, tmp_path):
    deep = trained(*TRAIN[1:3], "--hidden", "9,5", "--epochs", "1")
    narrow = trained("--dataset", "synthetic:dim=5,n=50", "--hidden", "9", "--epochs", "1")
    np.save(tmp_path / "wide.npy", np.ones((3, 4)))
    np.save(tmp_path / "nan.npy", np.full((3, 16), np.nan))
    for words, message in {
        (model, "--match"): "--match compares two models or more",
        (model, deep, "--match"): "--match needs --model autoencoder with one hidden layer",
        (model, narrow, "--match"): "--match needs inputs of one size; these have 16 and 5",
        (deep, "--truth", WORD): "--truth needs --model autoencoder with one hidden layer",
        (model, "--truth", tmp_path / "wide.npy"): "directions of 4 features; the model takes 16",
        (model, "--truth", tmp_path / "nan.npy"): "values are missing, or infinite",
        (model, "--truth", tmp_path): "give a file of vectors",
        (model, "--truth", model / "metrics.csv"): "directions of",
        (model, "--truth", model / "model.safetensors"): "it has several arrays",
        (model, "--truth", "none.npy"): "no dataset, file or folder 'none.npy'",
    }.items():
        done = aectl("eval", *words, "-q")
        assert (done.status, done.out) == (2, "")
        assert message in done.err


def test_the_recipe_of_the_manual_finds_at_least_95_percent_of_512_true_directions(aectl, tmp_path):
    """Already in two of its three epochs."""
    (block,) = (block for block in PAGE.split("```") if "--out found" in block)
    recipe = block.replace("\\\n", "").partition("aectl train")[2].partition("aectl eval")[0]
    words = ["train", *shlex.split(recipe)[:-1]]
    words[words.index("--epochs") + 1] = "2"
    assert aectl(*words, tmp_path / "m", "--threads", 1, "-q").status == 0
    (found,) = measured(aectl, tmp_path / "m", "--truth", tmp_path / "m" / "truth.npy")
    assert np.load(tmp_path / "m" / "truth.npy").shape == (512, 128)
    assert found["truth_recall"] >= 0.95


@pytest.mark.parametrize("data", [WORD, "digits"])
def test_eval_reports_the_explained_variance_of_prefixes(aectl, tmp_path, data):
    """Which the model file names; without them, the first units explain less."""
    explained = []
    for given in ((), ("--prefixes", "6,12")):
        options = ("--dataset", data, "--epochs", "4", "--out", tmp_path / f"{len(given)}")
        assert aectl(*TRAIN[:1], *TRAIN[3:], *options, *given).status == 0
    plain, (nested,) = load(tmp_path / "0")[0], measured(aectl, tmp_path / "2")
    network, card = load(tmp_path / "2")
    assert card.options["prefixes"] == [6, 12]
    if data == "digits":
        images = torch.from_numpy(datasets.load("digits", Path()).images / np.float32(255))
    else:
        images = torch.from_numpy(Synthetic.of(WORD).vectors("test"))
    for one in (network, plain):
        code = one.encode(images)
        made = one.decode(torch.cat([code[:, :6], torch.zeros(len(code), 18)], 1))
        squares = (made - images).square().sum() / (images - images.mean(0)).square().sum()
        explained.append(1 - squares.item())
    assert nested["explained_variance_6"] == pytest.approx(explained[0], abs=1e-5)
    assert nested["explained_variance_6"] < nested["explained_variance_12"]
    assert nested["explained_variance_12"] < nested["explained_variance"]
    assert explained[0] > explained[1]


def test_prefixes_in_a_file_whose_code_cannot_have_them_are_not_measured(aectl, trained, tmp_path):
    first = trained("--model", "patch-autoencoder", "--hidden", "4", "--epochs", "1")
    with safe_open(first / "model.safetensors", "pt") as file:
        written = {name: json.loads(text) for name, text in file.metadata().items()}
    (holder,) = (one for one in written.values() if isinstance(one, dict) and "training" in one)
    holder["training"]["options"]["prefixes"] = [2]
    texts = {name: json.dumps(one) for name, one in written.items()}
    save_file(load_file(first / "model.safetensors"), tmp_path / "m.safetensors", texts)
    (found,) = measured(aectl, tmp_path / "m.safetensors")
    assert found["mse"] and not any(name.startswith("explained_variance_") for name in found)
