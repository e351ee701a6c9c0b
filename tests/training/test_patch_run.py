"""Training on patches, and the use of the model on whole images."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from aectl import load
from aectl.models import model_file

OPTIONS = (
    "--model", "patch-autoencoder", "--patch-size", "4", "--hidden", "24", "--patches", "8000",
    "--epochs", "4",
)  # fmt: skip


@pytest.fixture
def patches(trained):
    """The run folder of a patch autoencoder of the digits."""
    return trained(*OPTIONS)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_each_patch_is_coded_by_one_unit_of_length_one(patches):
    network, card = model_file.load(patches)
    directions = network.of_patches.decoder.directions
    assert torch.allclose(directions.norm(dim=0), torch.ones(24), atol=1e-5)
    assert torch.equal(directions, network.of_patches.encoder.layers[0].weight.t())
    codes, _ = network.traced(torch.rand(3, 1, 8, 8))
    assert (codes != 0).sum(1).tolist() == [1] * (3 * 25)
    assert card.options["sparsity"] == "omp-1"
    assert card.training["patches"] == 8000


def test_it_is_nearer_to_the_patches_than_the_patches_that_it_begins_with(patches):
    metrics = rows_of((patches / "metrics.csv").read_text())
    losses = [float(row["loss"]) for row in metrics]
    assert losses[-1] < 0.93 * losses[0]
    assert float(metrics[-1]["train_dead"]) == 0
    assert float(metrics[-1]["train_l0"]) == 1


def test_its_features_are_those_of_the_library_whatever_the_batches_and_workers(
    aectl, patches, scans
):
    ways = ([], ["--batch-size", "1"], ["--batch-size", "7", "--workers", "3"])
    tables = [aectl("encode", patches, scans, *way).out for way in ways]
    assert tables[1:] == tables[:1] * 2
    row = rows_of(tables[0])[5]
    features = [value for name, value in row.items() if name != "path"]
    assert len(features) == 2 * 2 * 2 * 24
    model = load(patches)
    alone = model.encode(model.image(row["path"])[None])[0].detach().numpy()
    assert np.array_equal(np.array(features, np.float32), alone)


decoding_a_code = pytest.mark.parametrize(
    ("command", "option"),
    [
        ("encode", ["--layer", "1"]), ("eval", ["--pca"]),
        ("reconstruct", ["--traverse", "1", "--out", "a.png"]),
        ("reconstruct", ["--interpolate", "digits:test/1", "digits:test/2", "--out", "a.png"]),
        ("reconstruct", ["--from-codes", "codes.csv", "--out", "a.png"]),
    ],
)  # fmt: skip


@decoding_a_code
def test_what_needs_a_code_that_can_be_decoded_is_refused(aectl, patches, command, option):
    done = aectl(command, patches, *option)
    assert done.status == 2
    assert f"{option[0]} has no effect with --model patch-autoencoder" in done.err


def test_it_measures_and_reconstructs_whole_images(aectl, patches):
    (measured,) = json.loads(aectl("eval", patches, "--json").out)
    assert measured["n"] == 360
    assert measured["explained_variance"] > 0.5
    assert measured["l0"] == 1
    assert aectl("reconstruct", patches, "digits:test", "--out", "grid.png").status == 0


def test_each_of_a_few_images_is_measured_after_an_epoch(aectl, scans, tmp_path):
    (tmp_path / "few").mkdir()
    for path in sorted(scans.iterdir())[:7]:
        shutil.copy(path, tmp_path / "few")
    out = tmp_path / "run"
    assert aectl("train", "--dataset", tmp_path / "few", *OPTIONS, "--out", out).status == 0
    (measured,) = json.loads(aectl("eval", out, "--dataset", tmp_path / "few", "--json").out)
    found = float(rows_of((out / "metrics.csv").read_text())[-1]["train_mse"])
    assert found == pytest.approx(measured["mse"], rel=1e-4)


def test_more_training_can_start_from_its_weights(aectl, tmp_path, patches):
    done = aectl("train", "-q", "--load", patches, "--epochs", "1", "--out", tmp_path / "more")
    assert done.status == 0
    before, after = (model_file.load(folder)[0] for folder in (patches, tmp_path / "more"))
    whitening = "encoder.whitening.matrix"
    assert torch.equal(before.state_dict()[whitening], after.state_dict()[whitening])
    assert (before.filters() * after.filters()).sum((1, 2, 3)).min() > 0.5


@pytest.mark.parametrize("rule", ["none", "kl", "batch-topk", "jumprelu", "wta"])
def test_every_rule_of_sparsity_learns_from_patches(aectl, scans, tmp_path, rule):
    options = [*OPTIONS[:6], "--patches", "2000", "--epochs", "1", "--sparsity", rule]
    options += ["--features", "code"]
    done = aectl("train", "-q", "--dataset", "digits", *options, "--out", tmp_path / "run")
    assert done.status == 0, done.err
    table = aectl("encode", tmp_path / "run", scans / "000.png").out
    assert len(rows_of(table)[0]) == 1 + 4 * 24


def test_an_encoder_of_patches_is_not_fine_tuned(aectl, patches):
    done = aectl("train", "--encoder", patches, "--fine-tune")
    assert (done.status, done.err) == (2, "aectl: --fine-tune cannot train a patch-autoencoder\n")


def test_the_size_of_a_large_training_is_told_before_images_are_read(aectl, tmp_path):
    for number in range(3):
        Image.new("RGB", (9, 9), (60 * number, 9, 200)).save(tmp_path / f"{number}.png")
    done = aectl(
        "train", "-q", "--dataset", tmp_path, "--size", "600", "--channels", "3",
        "--model", "patch-autoencoder", "--hidden", "1000000", "--patches", "1000000",
    )  # fmt: skip
    assert done.status == 2
    assert done.err.startswith("aectl: patch-autoencoder (1000000) has 109,000,108 weights")
    assert "--hidden" in done.err
