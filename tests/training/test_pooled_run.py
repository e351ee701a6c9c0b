"""A second autoencoder on the pooled features of a first: by hand, from the tensors of the file."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from aectl import load
from aectl.models import model_file

WINNERS = (
    "--model", "conv-wta-autoencoder", "--kernel-size", "3", "--filter-size", "3",
)  # fmt: skip
PATCHES = (
    "--model", "patch-autoencoder", "--patches", "2000", "--threshold", "0.1",
)  # fmt: skip
SHORT = ("--epochs", "1")


@pytest.fixture(scope="module")
def few(scans, tmp_path_factory):
    """A folder of 60 digits, of two classes."""
    folder = tmp_path_factory.mktemp("few")
    for number, path in enumerate(sorted(scans.iterdir())[:60]):
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        shutil.copy(path, folder / "ab"[number % 2])
    return str(folder)


@pytest.fixture
def first(trained, few):
    """The run folder of a winner-take-all autoencoder of digits: 5 maps of 4x4 cells."""
    options = (*WINNERS, "--dataset", few, *SHORT, "--hidden", "5", "--grid", "4", "--overlap", "0")
    return trained(*options, "--lr", "0.01")


@pytest.fixture
def second(trained, first, few):
    """That of one on its maps: 7 maps of 2x2 cells."""
    options = (*WINNERS, *SHORT, "--hidden", "7", "--grid", "2", "--overlap", "0", "--lr", "0.01")
    return trained(*options, "--dataset", few, "--encoder", str(first))


@pytest.fixture
def patches(trained, few):
    """That of a patch autoencoder of digits: 2 * 6 maps of 3x3 cells."""
    return trained(
        "--dataset", few, *PATCHES, *SHORT, "--hidden", "6", "--patch-size", "3", "--grid", "3"
    )


@pytest.fixture
def patches_of_maps(trained, patches, few):
    """That of one on its maps."""
    options = (*PATCHES, *SHORT, "--hidden", "8", "--patch-size", "2", "--grid", "1x2")
    return trained(*options, "--dataset", few, "--encoder", str(patches))


def table(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    names = [name for name in rows[0] if name[0] == "f"]
    return np.array([[row[name] for name in names] for row in rows], np.float32)


def pixels_of(scans):
    images = [np.array(Image.open(path)) for path in sorted(scans.iterdir())]
    return torch.from_numpy(np.stack(images))[:, None].float() / 255


def maps_of(tensors, name, x):
    """The activations of a convolution."""
    x = x - tensors.get(f"{name}.encoder.center", torch.zeros(1, 1, 1))
    layer = f"{name}.encoder.layers.0"
    return F.relu(F.conv2d(x, tensors[f"{layer}.weight"], tensors[f"{layer}.bias"], padding=1))


def test_the_second_sees_the_pooled_maps_of_the_first(aectl, first, second, scans):
    tensors, of_first = (load_file(run / "model.safetensors") for run in (second, first))
    for name, value in of_first.items():
        if name.startswith("encoder."):
            assert torch.equal(tensors[name.replace("encoder.", "encoder.first.", 1)], value)
    maps = F.max_pool2d(maps_of(tensors, "encoder.first.of_maps", pixels_of(scans)), 2)
    found = F.max_pool2d(maps_of(tensors, "encoder.of_maps", maps), 2)
    wanted = found.movedim(1, -1).flatten(1).numpy()
    made = table(aectl("encode", second, scans).out)
    assert np.abs(made - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert aectl("encode", second, scans, "--batch-size", "3").out == (
        aectl("encode", second, scans).out
    )


def test_metrics_are_of_the_maps(aectl, second, scans):
    tensors = load_file(second / "model.safetensors")
    maps = F.max_pool2d(maps_of(tensors, "encoder.first.of_maps", pixels_of(scans)), 2)
    found = maps_of(tensors, "encoder.of_maps", maps)
    best = found.flatten(2).amax(2)[:, :, None, None]
    threshold = tensors["encoder.of_maps.encoder.code.threshold"][:, None, None]
    code = found * (found == best) * (found >= threshold)
    decoder = (tensors[f"encoder.of_maps.decoder.{part}"] for part in ("weight", "bias"))
    off = F.conv_transpose2d(code, *decoder, padding=1) - maps
    (measured,) = json.loads(aectl("eval", second, "--dataset", scans, "--json").out)
    assert measured["mse"] == pytest.approx(off.square().mean().item(), rel=1e-4)
    assert measured["l0"] == pytest.approx((code > 0).sum().item() / len(maps), rel=1e-2)


def test_patches_are_learnt_of_maps_of_patches(aectl, patches, patches_of_maps, scans):
    network, below = load(patches_of_maps), load(patches)
    assert network.shape == (1, 8, 8)
    features = table(aectl("encode", patches, scans).out)[:40]
    maps = np.moveaxis(features.reshape(-1, 3, 3, 12), -1, 1).astype(np.float64)
    encoder = network.encoder
    center, matrix = (
        value.double().numpy() for value in (encoder.whitening.center, encoder.whitening.matrix)
    )
    columns = network.of_patches.decoder.directions.detach().double().numpy()
    columns = columns / np.linalg.norm(columns, axis=0)
    wanted = np.zeros((len(maps), 1, 2, 2, 8))
    for image, row, column in np.ndindex(len(maps), 2, 2):
        patch = maps[image, :, row : row + 2, column : column + 2].reshape(-1)
        x = (patch - patch.mean()) / np.sqrt(patch.var() + 10 / 255**2)
        z = ((x - center) @ matrix) @ columns
        wanted[image, 0, column, 0] += np.maximum(z - 0.1, 0)
        wanted[image, 0, column, 1] += np.maximum(-z - 0.1, 0)
    made = table(aectl("encode", patches_of_maps, scans).out)[:40]
    assert np.abs(made - wanted.reshape(len(maps), -1)).max() < 1e-3 * np.abs(wanted).max()
    assert np.array_equal(below.encode(pixels_of(scans)[:3]).detach().numpy(), features[:3])


@pytest.mark.parametrize("more", [(), ("--mirror",), ("--power", "0.5", "--pool", "mean")])
def test_features_of_the_first_stand_beside_those_of_the_second(
    aectl, trained, patches, few, scans, more
):
    options = (*PATCHES, *SHORT, "--hidden", "8", "--patch-size", "2", "--grid", "1x2", *more)
    alone, both = (
        trained(*options, "--dataset", few, "--encoder", str(patches), *beside)
        for beside in ((), ("--beside",))
    )
    views = [pixels_of(scans)[:40]]
    views += [views[0].flip(3)] if "--mirror" in more else []
    encoded = sum(load(patches).encode(view).detach().numpy() for view in views)
    maps = np.moveaxis(encoded.reshape(-1, 3, 3, 12), -1, 1)
    cells = maps[:, :, :, :1].sum((2, 3)), maps[:, :, :, 1:].sum((2, 3))
    below = np.stack(cells, 1)
    if "--power" in more:
        below = np.sqrt(below / np.array([3, 6])[:, None])
    own = table(aectl("encode", alone, scans).out)[:40].reshape(40, 2, 16)
    wanted = np.concatenate([own, below], 2).reshape(40, -1)
    made = table(aectl("encode", both, scans).out)[:40]
    assert np.abs(made - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert load(both).encoder.filters().shape[0] == 28


def test_a_classifier_and_a_program_stand_on_features_of_both(aectl, trained, first, few, scans):
    options = (*WINNERS, *SHORT, "--hidden", "4", "--grid", "2", "--beside")
    both = trained(*options, "--dataset", few, "--encoder", str(first))
    done = aectl("train", "-q", "--encoder", both, "--hidden", "", "--epochs", "1", "--out", "top")
    assert done.status == 0, done.err
    assert model_file.read_card(Path("top")).architecture.encoder.code_size == 2 * 2 * (4 + 5)
    done = aectl("export", both, scans, "--out", "both.pt2")
    assert done.status == 0, done.err


def test_a_filter_of_the_second_is_drawn_by_those_of_the_first(second):
    network = load(second)
    above, below = network.trained.decoder.weight, network.encoder.first.of_maps.decoder.weight
    canvas = torch.zeros(7, 1, 2 * 2 + 3, 2 * 2 + 3)
    for unit, one, row, column in np.ndindex(*above.shape):
        canvas[unit, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += (
            above[unit, one, row, column] * below[one]
        )
    assert (network.filters() - canvas).abs().max() < 1e-5
    assert (second / "filters.png").exists()
    assert not (second / "reconstructions.png").exists()


def test_a_classifier_stands_on_both(aectl, second, few):
    options = ("--hidden", "", "--dropout", "0", "--optimizer", "lbfgs", "--epochs", "20")
    done = aectl("train", "-q", "--encoder", second, *options, "--out", "linear")
    assert done.status == 0, done.err
    (measured,) = json.loads(aectl("eval", "linear", "--dataset", few, "--json").out)
    assert measured["n"] == 60
    assert model_file.read_card(Path("linear")).architecture.encoder.encoder is not None


@pytest.mark.parametrize(
    ("below", "options"),
    [("first", WINNERS), ("patches", (*PATCHES, "--patch-size", "2"))],
)
def test_a_resumed_training_ends_at_the_same_weights(aectl, request, below, options):
    run = request.getfixturevalue(below)
    constant = ("--schedule", "constant", "--warmup", "0", "--hidden", "4", "--grid", "2")
    options = (*options, *constant, "--encoder", run)
    for out, epochs in (("whole", "2"), ("stopped", "1")):
        done = aectl("train", "-q", *options, "--epochs", epochs, "--out", out)
        assert done.status == 0, done.err
    done = aectl("train", "-q", "--resume", "stopped", "--epochs", "2")
    assert done.status == 0, done.err
    whole, resumed = (load_file(f"{out}/model.safetensors") for out in ("whole", "stopped"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_what_a_second_autoencoder_cannot_do_is_refused(aectl, first, second, dense):
    cases = {
        ("reconstruct", second): "reconstructs the features of that, and no images",
        (
            "eval",
            second,
            "--ssim",
        ): "--ssim has no effect with a conv-wta-autoencoder on an encoder",
        ("train", "--load", second): "--load cannot start from a conv-wta-autoencoder that stands",
        (
            "train",
            "--encoder",
            dense,
            *WINNERS,
        ): "needs an --encoder with pooled features, not autoencoder",
        ("train", "--encoder", first, *WINNERS, "--grid", "5"): "--grid 5x5 has more cells than",
        ("train", "--encoder", first, *PATCHES, "--patch-size", "5"): "does not fit into images of",
        ("train", *WINNERS, "--beside"): "--beside has no effect without --encoder",
        ("train", "--encoder", first, *WINNERS, "--beside", "--pool", "none"): "with --pool none",
    }
    for words, said in cases.items():
        done = aectl(*words)
        assert (done.status, said in done.err) == (2, True), done.err
