"""The sparse autoencoder of the CS294A exercise, from photographs to edge filters."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import minimize

import aectl as package
from aectl.config.written_options import read_toml
from aectl.data.images import patches
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch
from aectl.training.image_run import ImageRun as Run
from aectl.training.reading import Reading
from aectl.verbs.planning import prepare

EXERCISE = (
    "--hidden", "25", "--sparse", "--rho", "0.01", "--beta", "3", "--weight-decay", "1e-4",
    "--output-activation", "sigmoid", "--optimizer", "lbfgs",
)  # fmt: skip


@pytest.fixture
def scenes(tmp_path):
    """Leaves, as it were: ellipses of all sizes before each other, which have edges."""
    chance = np.random.default_rng(0)
    (tmp_path / "scenes").mkdir()
    rows, columns = np.mgrid[:96, :96]
    for number in range(8):
        scene = np.full((96, 96), 128.0)
        for _ in range(60):
            down, across = chance.uniform(0, 96, 2)
            tall, wide = chance.uniform(4, 30, 2)
            inside = ((rows - down) / tall) ** 2 + ((columns - across) / wide) ** 2 < 1
            scene[inside] = chance.uniform(0, 255)
        Image.fromarray(scene.astype(np.uint8)).save(tmp_path / "scenes" / f"{number}.png")
    return tmp_path / "scenes"


def test_a_model_of_patches_is_measured_on_others_and_encodes_them(aectl, scenes):
    options = ("--patches", "300", "--size", "6x5", "--hidden", "8", "--epochs", "3")
    done = aectl("train", "--dataset", "patches:scenes", *options, "--out", "run")
    assert done.status == 0
    assert "on 300 images of patches:scenes (1x6x5)" in done.err
    (report,) = json.loads(aectl("eval", "-q", "run", "--pca", "--json").out)
    assert (report["dataset"], report["n"]) == ("patches:scenes", 10_000)
    assert report["pca_mse"] < report["mse"]
    rows = list(csv.reader(io.StringIO(aectl("encode", "-q", "run", "patches:scenes").out)))
    assert [row[0] for row in rows[1:3]] == ["patches:scenes/0", "patches:scenes/1"]
    assert len(rows) == 10_001


def test_pca_is_fitted_on_the_patches_of_training(aectl, scenes):
    options = ("--patches", "20000", "--hidden", "5", "--epochs", "1")
    aectl("train", "-q", "--dataset", "raw-patches:scenes", *options, "--out", "run")
    (report,) = json.loads(aectl("eval", "-q", "run", "--pca", "--json").out)

    def flat(split):
        found = patches.load("raw-patches:scenes", print, split=split).images
        return found.reshape(len(found), -1) / 255

    train, test = flat("train"), flat("test")
    directions = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:5]
    off = test - train.mean(0)
    expected = np.square(off - off @ directions.T @ directions).mean()
    assert report["pca_mse"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dataset", "digits", "--patches", "9"), "--patches has no effect without --dataset pa"),
        (("--dataset", "patches:none"), "no folder 'none' to cut patches from"),
        (("--dataset", "patches:."), "no images in ."),
    ],
)
def test_patches_that_cannot_be_had_are_an_error_of_one_line(aectl, options, said):
    done = aectl("train", *options)
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert said in done.err


def test_training_reaches_the_cost_that_scipy_s_lbfgs_reaches(aectl, scenes):
    """The same cost, start and number of iterations; within 1 %."""
    options = (*EXERCISE, "--patches", "1000", "--epochs", "150")
    assert aectl("train", "-q", "--dataset", "patches:scenes", *options, "--out", "r").status == 0
    with open("r/metrics.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses == sorted(losses, reverse=True)
    config, images = prepare({}, read_toml_of("r"), Reading(scenes, print))
    start = Run(config, images, torch.device("cpu")).network.double()
    batch, compute = (
        Batch(torch.from_numpy(images.images).double() / 255, None),
        objective(config, start),
    )
    parameters = list(start.parameters())

    def cost(vector):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(vector), parameters)
        value = compute(batch)[0]
        gradient = torch.autograd.grad(value, parameters)
        return value.item(), torch.nn.utils.parameters_to_vector(gradient).numpy()

    at = torch.nn.utils.parameters_to_vector(parameters).detach().numpy()
    found = minimize(cost, at, jac=True, method="L-BFGS-B", options={"maxiter": 150, "ftol": 0})
    assert found.nit == 150
    assert losses[-1] < 1.01 * found.fun


def read_toml_of(run):
    return read_toml(Path(run) / "config.toml")


def test_whitened_patches_give_filters_with_an_orientation(aectl, scenes):
    """An edge filter has most of its energy in one direction of the plane of frequencies."""
    options = (*EXERCISE, "--patches", "2000", "--epochs", "150")
    aectl("train", "-q", "--dataset", "patches:scenes", *options, "--out", "run")
    weights = package.load("run").encoder.layers[0].weight.detach().view(25, 8, 8).numpy()
    lengths = np.linalg.norm(weights, axis=(1, 2))
    used = weights[lengths > 0.5 * lengths.max()]
    assert len(used) >= 10
    down, across = np.meshgrid(np.fft.fftfreq(8), np.fft.fftfreq(8), indexing="ij")
    double_angle = np.exp(2j * np.arctan2(down, across))
    power = np.abs(np.fft.fft2(used)) ** 2
    power[:, 0, 0] = power[:, 4] = power[:, :, 4] = 0
    oriented = np.abs((power * double_angle).sum((1, 2))) / power.sum((1, 2))
    noise = np.abs(np.fft.fft2(np.random.default_rng(0).normal(size=used.shape))) ** 2
    noise[:, 0, 0] = noise[:, 4] = noise[:, :, 4] = 0
    of_noise = np.abs((noise * double_angle).sum((1, 2))) / noise.sum((1, 2))
    assert np.median(oriented) > 0.6 > 2 * np.median(of_noise)
