"""Convolutional autoencoders whose code is a map, as every command uses them."""

import csv
import json
import os
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from aectl.models.model_file import load

MAP = ("--model", "conv-autoencoder")


@pytest.fixture
def mapped(trained):
    """A model of 8x8 scans with a code of 3 channels at 4x4 places."""
    return trained("--epochs", "1", *MAP, "--hidden", "8,3")


def features(out):
    rows = [line.split(",") for line in out.splitlines()]
    first = rows[0].index("f0")
    return np.array([row[first:] for row in rows[1:]], dtype=np.float32)


def test_encode_writes_the_map_flattened_by_channels_then_rows(aectl, mapped, scans):
    found = features(aectl("encode", mapped, scans).out)
    assert found.shape == (360, 48)
    w = load_file(mapped / "model.safetensors")
    stage = features(aectl("encode", mapped, scans, "--layer", 1).out).reshape(360, 8, 4, 4)
    wanted = np.einsum("nchw,kc->nkhw", stage, w["encoder.to_code.weight"])
    wanted += w["encoder.to_code.bias"][:, None, None]
    np.testing.assert_allclose(found, wanted.reshape(360, 48), atol=1e-5)


def test_codes_do_not_depend_on_the_size_of_the_batch(aectl, mapped, scans):
    whole = aectl("encode", mapped, scans).out
    assert aectl("encode", mapped, scans, "--batch-size", "7").out == whole


def test_a_model_file_says_that_its_code_is_a_map(aectl, mapped):
    described = json.loads(aectl("info", mapped, "--json").out)["architecture"]
    assert (described["bottleneck"], described["hidden"]) == ("map", [8, 3])


def test_no_unit_of_a_map_is_dead(aectl, mapped):
    (found,) = json.loads(aectl("eval", mapped, "--json").out)
    assert found["dead"] == 0


@pytest.mark.parametrize("rule", ["kl", "jumprelu", "gated", "wta"])
def test_a_rule_without_one_meaning_for_a_map_is_refused_by_name(aectl, rule, tmp_path):
    done = aectl("train", "--dataset", "digits", *MAP, "--sparsity", rule, "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert f"--sparsity {rule} needs --bottleneck vector" in done.err


@pytest.mark.parametrize(("rule", "active"), [("topk", 2), ("batch-topk", None), ("l1", None)])
def test_rules_of_maps_are_trained_over_all_places(aectl, trained, scans, rule, active):
    model = trained("--epochs", "1", *MAP, "--hidden", "8,3", "--sparsity", rule)
    found = features(aectl("encode", model, scans).out)
    assert found.shape == (360, 48)
    if active:  # a twentieth of 48
        assert ((found != 0).sum(1) <= active).all()


@pytest.mark.parametrize("option", ["--k", "--k-start"])
def test_more_active_units_than_a_map_has_are_refused(aectl, option):
    form = (*MAP, "--hidden", "8,3", "--sparsity", "topk", option, "49")
    done = aectl("train", "--dataset", "digits", *form, "--out", "run")
    assert done.status == 2
    assert f"{option} is 49, and the code has 48 units" in done.err


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (("--bottleneck", "words", *MAP), "conv-autoencoder has --bottleneck map or vector, not"),
        (("--bottleneck", "map", "--model", "text-autoencoder"), "--bottleneck vector or words,"),
        (("--bottleneck", "map"), "--bottleneck has no effect without --model conv-autoencoder"),
    ],
)
def test_a_bottleneck_that_a_kind_cannot_have_is_refused(aectl, form, message):
    done = aectl("train", *form, "--out", "run")
    assert done.status == 2
    assert message in done.err


def test_a_classifier_stands_on_a_map(aectl, mapped, trained):
    model = trained("--epochs", "1", "--model", "classifier", "--encoder", mapped, "--hidden", "")
    assert load_file(model / "model.safetensors")["layers.0.weight"].shape == (10, 48)


def test_a_model_that_is_trained_on_crops_is_used_on_whole_images(aectl, trained, scans):
    options = ("--epochs", "2", *MAP, "--hidden", "8,3", "--validation", "0.2")
    model = trained(*options, "--crop", "4x6")
    assert features(aectl("encode", model, scans).out).shape == (360, 48)
    assert "crop = [" in (model / "config.toml").read_text()
    (found,) = json.loads(aectl("eval", model, "--json").out)
    with (model / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["validation_mse"]) == pytest.approx(found["mse"], rel=0.2)
    # half the squared error of as many pixels as a crop has, comparable with the training loss
    of_crop = 4 * 6 / 2 * float(rows[-1]["validation_mse"])
    assert float(rows[-1]["validation_loss"]) == pytest.approx(of_crop, rel=1e-4)


def test_after_an_epoch_the_middle_of_large_images_is_measured(aectl, tmp_path):
    (tmp_path / "set").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (264, 12)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / f"{number}.png")
    words = ("--size", "264x12", "--crop", "8", "--validation", "0.5", "--epochs", "1")
    form = (*MAP, "--hidden", "4,3", "--keep", "last", "--out", "r")
    done = aectl("train", "-q", "--dataset", tmp_path / "set", *words, *form)
    assert done.status == 0, done.err
    network, card = load(tmp_path / "r" / "model.safetensors")
    held_out = [
        path
        for path in (tmp_path / "set").iterdir()
        if sha256(os.fsencode(path)).hexdigest()[:16] in card.training["held_out"]
    ]
    assert len(held_out) == 2
    pixels = np.stack([np.asarray(Image.open(path)) for path in held_out])
    whole = torch.tensor(pixels[:, None] / 255, dtype=torch.float32)
    middle = whole[:, :, 4:260]
    with torch.no_grad():
        made = network.of_sides((256, 12)).eval().reconstruct(middle)
        of_whole = network.eval().reconstruct(whole)
    (row,) = csv.DictReader((tmp_path / "r" / "metrics.csv").open())
    assert float(row["validation_mse"]) == pytest.approx((made - middle).square().mean().item())
    (found,) = json.loads(aectl("eval", "r", "--json").out)
    assert found["mse"] == pytest.approx((of_whole - whole).square().mean().item())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*MAP, "--crop", "8x9"), "--crop 8x9 is larger than the images, 8x8"),
        ((*MAP, "--crop", "0"), "--crop must lie between 1 and 4,096"),
        (("--crop", "4"), "--crop has no effect without --bottleneck map"),
        ((*MAP, "--crop", "4", "--optimizer", "lbfgs"), "--crop adds"),
        ((*MAP, "--crop", "4", "--sparsity", "topk"), "--crop cannot go with --sparsity topk"),
    ],
)
def test_a_crop_that_cannot_be_is_refused(aectl, options, message):
    done = aectl("train", "--dataset", "digits", *options, "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert message in done.err
