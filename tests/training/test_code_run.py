"""Classifiers on codes that are computed once, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from aectl.data.images import datasets
from aectl.models import model_file

WEIGHT_DECAY = 0.01
OPTIONS = ("--hidden", "", "--dropout", "0", "--optimizer", "lbfgs", "--weight-decay", WEIGHT_DECAY)


def codes_and_labels(network, split, tmp_path):
    images = datasets.load(f"digits:{split}", tmp_path)
    with torch.no_grad():
        codes = network.encoder(torch.from_numpy(images.images).float() / 255)
    return codes.double().numpy(), images.labels


@pytest.mark.parametrize("standardize", [False, True])
def test_logistic_regression_has_the_cost_that_scikit_learn_reaches(
    aectl, tmp_path, dense, standardize
):
    flag = "--standardize" if standardize else "--no-standardize"
    out = tmp_path / "run"
    done = aectl("train", "-q", "--encoder", dense, *OPTIONS, flag, "--epochs", "60", "--out", out)
    assert done.status == 0, done.err
    network, _ = model_file.load(out)
    codes, labels = codes_and_labels(network, "train", tmp_path)
    if standardize:
        variance = codes.var(0)
        codes = (codes - codes.mean(0)) / np.sqrt(variance + 0.01 * variance.mean())
    wanted = LogisticRegression(C=1 / (WEIGHT_DECAY * len(codes)), tol=1e-8, max_iter=5000)
    wanted.fit(codes, labels)

    def cost(weight, bias):
        logits = codes @ weight.T + bias
        logits -= logits.max(1, keepdims=True)
        likely = logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(1))
        return WEIGHT_DECAY / 2 * (weight**2).sum() - likely.mean()

    layer = network.layers[0]
    made = cost(*(p.detach().double().numpy() for p in (layer.weight, layer.bias)))
    least = cost(wanted.coef_, wanted.intercept_)
    assert least <= made + 1e-9 < 1.001 * least


def test_linear_svms_have_the_cost_that_scikit_learn_reaches(aectl, tmp_path, dense):
    out = tmp_path / "run"
    words = ("train", "-q", "--encoder", dense, *OPTIONS, "--svm")
    assert aectl(*words, "--epochs", "60", "--out", out).status == 0
    network, _ = model_file.load(out)
    codes, labels = codes_and_labels(network, "train", tmp_path)
    signs = np.where(labels[:, None] == np.arange(10), 1, -1)

    def cost(weight, bias):
        beyond = np.maximum(0, 1 - signs * (codes @ weight.T + bias))
        return WEIGHT_DECAY / 2 * (weight**2).sum() + (beyond**2).sum() / len(codes)

    wanted = LinearSVC(  # whose bias is decayed, less the larger it is scaled
        C=1 / (WEIGHT_DECAY * len(codes)), intercept_scaling=100, tol=1e-8, max_iter=100_000
    ).fit(codes, labels)
    layer = network.layers[0]
    made = cost(*(p.detach().double().numpy() for p in (layer.weight, layer.bias)))
    least = cost(wanted.coef_, wanted.intercept_)
    assert 0.999 * least < made < 1.001 * least


def test_codes_that_are_computed_once_train_as_those_of_each_step(
    aectl, tmp_path, dense, monkeypatch
):
    from aectl.training import code_run

    options = ["--encoder", dense, "--hidden", "16", "--dropout", "0", "--epochs", "2"]
    found = []
    for fraction in (code_run.LARGEST_FRACTION, 0.0):
        monkeypatch.setattr(code_run, "LARGEST_FRACTION", fraction)
        out = tmp_path / str(fraction)
        assert aectl("train", "-q", *options, "--out", out).status == 0
        found.append(model_file.load(out)[0])
    for name, value in found[0].state_dict().items():
        assert torch.allclose(value, found[1].state_dict()[name], atol=1e-4)
