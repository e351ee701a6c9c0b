"""Training a convolutional winner-take-all autoencoder, and the use of the model."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from test_patch_run import decoding_a_code

from aectl import load
from aectl.config.configuration import Config
from aectl.models import model_file
from aectl.models.architecture import Architecture
from aectl.training.conv_wta_run import ConvWTASketch

OPTIONS = (
    "--model", "conv-wta-autoencoder", "--hidden", "6,8", "--kernel-size", "3",
    "--filter-size", "5", "--grid", "4",
)  # fmt: skip
COLOURED = (*OPTIONS, "--whitening", "0.1", "--epochs", "1", "--batch-size", "5", "--lr", "0.01")


@pytest.fixture
def winners(trained):
    """The run folder of a winner-take-all autoencoder of the digits."""
    return trained(*OPTIONS, "--epochs", "3", "--lr", "0.01")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Colour images of two classes."""
    folder, chance = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(24):
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        coarse = Image.fromarray(chance.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((10, 9)).save(folder / "ab"[number % 2] / f"{number:02}.png")
    return folder


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def features_of(row):
    return np.array([value for name, value in row.items() if name[0] == "f"], np.float32)


def maps_of(tensors, images):
    """The activations of the maps, from the tensors of a model file."""
    name = "encoder.of_maps.encoder.layers"
    for layer in range(2):
        weight, bias = (tensors[f"{name}.{layer}.{part}"] for part in ("weight", "bias"))
        images = F.relu(F.conv2d(images, weight, bias, padding=1))
    return images


def test_features_are_those_of_torch_on_the_tensors_of_the_file(aectl, winners, scans):
    row = rows_of(aectl("encode", winners, scans).out)[7]
    pixels = torch.from_numpy(np.array(Image.open(row["path"]))).float() / 255
    maps = maps_of(load_file(winners / "model.safetensors"), pixels[None, None])
    wanted = F.max_pool2d(maps, 4, 2, padding=1)[0].movedim(0, -1).flatten().numpy()
    assert len(wanted) == 4 * 4 * 8
    assert np.abs(features_of(row) - wanted).max() < 1e-5


def test_features_do_not_depend_on_batches_and_workers(aectl, winners, scans):
    ways = ([], ["--batch-size", "1"], ["--batch-size", "7", "--workers", "3"])
    tables = [aectl("encode", winners, scans, *way).out for way in ways]
    assert tables[1:] == tables[:1] * 2
    row, model = rows_of(tables[0])[5], load(winners)
    alone = model.encode(model.image(row["path"])[None])[0].detach().numpy()
    assert np.array_equal(features_of(row), alone)


def test_training_follows_the_digits(winners):
    metrics = rows_of((winners / "metrics.csv").read_text())
    losses = [float(row["loss"]) for row in metrics]
    assert losses[-1] < 0.7 * losses[0]
    last = metrics[-1]
    assert float(last["train_dead"]) == 0
    assert 0 < float(last["train_l0"]) < 8
    card = model_file.read_card(winners)
    assert (card.options["sparsity"], card.options["rate"], card.options["lr"]) == (
        "wta", 0.2, 0.01,
    )  # fmt: skip
    assert {"filters.png", "reconstructions.png", "report.html"} <= {
        path.name for path in winners.iterdir()
    }


def test_a_reconstruction_is_drawn_by_the_winners_that_reach_their_threshold(winners, aectl):
    tensors = load_file(winners / "model.safetensors")
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = maps_of(tensors, images)
    best = maps.flatten(2).amax(2)[:, :, None, None]
    threshold = tensors["encoder.of_maps.encoder.code.threshold"][:, None, None]
    code = maps * (maps == best) * (maps >= threshold)
    decoder = (tensors[f"encoder.of_maps.decoder.{part}"] for part in ("weight", "bias"))
    wanted = F.conv_transpose2d(code, *decoder, padding=2).clamp(0, 1)
    assert (load(winners).reconstruct(images) - wanted).abs().max() < 1e-5
    (measured,) = json.loads(aectl("eval", winners, "--json").out)
    assert measured["n"] == 360
    assert measured["explained_variance"] > -1
    assert 0 < measured["l0"] < 8
    assert aectl("reconstruct", winners, "digits:test", "--out", "grid.png").status == 0


@decoding_a_code
def test_what_needs_a_code_that_can_be_decoded_is_refused(aectl, winners, command, option):
    done = aectl(command, winners, *option)
    assert done.status == 2
    assert f"{option[0]} has no effect with --model conv-wta-autoencoder" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sparsity", "topk"), "--model conv-wta-autoencoder needs --sparsity wta"),
        (("--code-activation", "tanh"), "needs --code-activation relu"),
        (("--features", "soft-threshold"), "needs --features code"),
        (("--kernel-size", "4"), "--kernel-size must be odd; 4 given"),
        (("--filter-size", "10"), "--filter-size must be odd; 10 given"),
        (("--grid", "9"), "--grid 9x9 has more cells than there are pixels, 8x8"),
        (("--whitening", "1", "--output-activation", "sigmoid"), "--whitening cannot go with"),
        (("--whitening", "1", "--loss", "bce", "--output-activation", "sigmoid"), "--whitening"),
        (("--whitening", "1", "--loss", "softmax-kl"), "cannot go with"),
        (("--optimizer", "lbfgs"), "--optimizer lbfgs cannot go with"),
    ],
)
def test_options_that_do_not_fit_are_refused(aectl, options, said):
    done = aectl("train", "--model", "conv-wta-autoencoder", "--dataset", "digits", *options)
    assert done.status == 2
    assert said in done.err


def test_a_classifier_stands_on_its_features(aectl, winners):
    options = ("--hidden", "", "--dropout", "0", "--optimizer", "lbfgs", "--epochs", "60")
    done = aectl("train", "-q", "--encoder", winners, *options, "--out", "linear")
    assert done.status == 0, done.err
    (measured,) = json.loads(aectl("eval", "linear", "--json").out)
    assert measured["error"] < 12
    done = aectl("train", "--encoder", winners, "--fine-tune")
    assert done.err == "aectl: --fine-tune cannot train a conv-wta-autoencoder\n"


def test_it_learns_from_whitened_colour_images_and_gives_their_pixels_back(aectl, photos):
    done = aectl("train", "-q", "--dataset", photos, *COLOURED, "--out", "run")
    assert done.status == 0, done.err
    network, card = model_file.load(Path("run"))
    assert card.shape == (3, 9, 10)
    assert network.filters().shape == (8, 3, 5, 5)
    whitening = network.encoder.whitening
    images = torch.stack([network_image(path) for path in sorted(photos.rglob("*.png"))])
    values = whitening(images.flatten(1)).values
    assert values.mean(0).abs().max() < 1e-4
    covariance = np.linalg.eigvalsh(np.cov(values.numpy().T))
    assert covariance.max() < 1
    assert (network.encoder.undone(images, values.view_as(images)) - images).abs().max() < 1e-4
    done = aectl("eval", "run", "--dataset", photos, "--probe", "--json")
    assert done.status == 0, done.err
    (measured,) = json.loads(done.out)
    assert measured["mse"] < 0.1
    assert measured["probe_error"] < 50
    assert len(rows_of(aectl("encode", "run", photos).out)) == 24


def network_image(path):
    return torch.from_numpy(np.array(Image.open(path))).movedim(-1, 0).float() / 255


def test_it_is_trained_further_from_its_weights(aectl, winners, tmp_path):
    out, options = tmp_path / "more", ("--epochs", "1", "--validation", "0.25")
    done = aectl("train", "-q", "--load", winners, *options, "--out", out)
    assert done.status == 0, done.err
    before, after = (model_file.load(folder)[0] for folder in (winners, out))
    both = [network.filters().flatten(1) for network in (before, after)]
    assert F.cosine_similarity(*both).min() > 0.5
    assert float(rows_of((out / "metrics.csv").read_text())[-1]["validation_l0"]) > 0


@pytest.mark.parametrize(
    ("shape", "images", "seen"),
    [((3, 32, 32), 50_000, 20_000), ((3, 32, 32), 300, 300), ((3, 96, 96), 50_000, 2427)],
)
def test_a_whitening_of_whole_images_is_fitted_to_as_many_as_memory_holds(shape, images, seen):
    options = {"model": "conv-wta-autoencoder", "whitening": 0.1}
    config = Config.from_options(options).resolved(shape, math.prod(shape), images)
    assert ConvWTASketch(config, Architecture(config.model, shape), images).seen == seen


def test_centred_images_begin_at_their_mean_colour(aectl, photos):
    options = (*OPTIONS, "--center", "--epochs", "1", "--lr", "1e-9")
    assert aectl("train", "-q", "--dataset", photos, *options, "--out", "run").status == 0
    network = load("run")
    images = torch.stack([network_image(path) for path in photos.rglob("*.png")])
    mean = images.mean((0, 2, 3))
    assert torch.allclose(network.trained.encoder.center.flatten(), mean, atol=1e-5)
    assert torch.allclose(network.trained.decoder.bias, mean, atol=1e-5)
