"""`aectl train`, from its options to the run folder."""

import csv
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import shell
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

import aectl as package
from aectl.training.optimizers import OPTIMIZERS
from aectl.training.schedules import SCHEDULES

DIGITS = ("train", "-q", "--dataset", "digits")


def test_without_a_dataset_and_a_network_the_digits_are_trained_on_and_said_so(aectl):
    done = aectl("train", "--sparse", "--rho", "0.05", "--epochs", "2")
    assert done.status == 0
    assert done.out == "runs/digits-autoencoder-1/model.safetensors\n"
    assert "training on the bundled digits" in done.err
    assert "--data-dir" in done.err


def test_a_dataset_asked_for_by_name_that_cannot_be_had_is_an_error(aectl, tmp_path):
    done = aectl("train", "--dataset", "mnist")
    assert (done.status, done.out) == (2, "")
    assert "cannot be downloaded" in done.err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_a_run_folder_holds_the_model_its_options_figures_and_pictures(aectl, tmp_path):
    assert aectl(*DIGITS, "--sparse", "--epochs", "3", "--out", "run").status == 0
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint", "config.toml", "curves.png", "filters.png", "metrics.csv",
        "model.safetensors", "reconstructions.png", "report.html",
    ]  # fmt: skip
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            assert len(set(image.convert("L").get_flattened_data())) > 10
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["train_mse"]) < float(rows[0]["train_mse"])
    for row in rows:
        parts = float(row["reconstruction"]) + float(row["sparsity"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-5)


def test_a_classifier_s_run_folder_has_no_reconstructions(classifier):
    names = {path.name for path in classifier.iterdir()}
    assert {"model.safetensors", "filters.png", "curves.png", "metrics.csv"} <= names
    assert "reconstructions.png" not in names


def test_config_toml_trains_the_same_weights_again_bit_for_bit(aectl, tmp_path):
    options = ["--hidden", "20,10", "--activation", "tanh", "--validation", "0.2", "--seed", "7"]
    assert aectl(*DIGITS, *options, "--epochs", "2", "--out", "a").status == 0
    assert tomllib.loads((tmp_path / "a/config.toml").read_text())["hidden"] == [20, 10]
    assert aectl("train", "-q", "--config", "a/config.toml", "--out", "b").status == 0
    first, second = (load_file(tmp_path / f"{run}/model.safetensors") for run in "ab")
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_an_option_on_the_command_line_wins_over_the_config_file(aectl, tmp_path):
    (tmp_path / "my.toml").write_text('epochs = 5\nhidden = [7]\ndataset = "digits"\n')
    assert aectl("train", "-q", "--config", "my.toml", "--epochs", "1", "--out", "r").status == 0
    written = tomllib.loads((tmp_path / "r/config.toml").read_text())
    assert (written["epochs"], written["hidden"]) == (1, [7])


def test_seeds_trains_as_many_models_each_with_a_seed_of_its_own(aectl, tmp_path):
    done = aectl(*DIGITS, "--epochs", "1", "--seeds", "3", "--seed", "5", "--out", "many")
    assert done.out.splitlines() == [f"many/seed-{n}/model.safetensors" for n in (5, 6, 7)]
    weights = [load_file(tmp_path / line)["encoder.layers.0.weight"] for line in done.out.split()]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[1], weights[2])
    alone = aectl(*DIGITS, "--epochs", "1", "--seed", "6", "--out", "one")
    again = load_file(tmp_path / alone.out.strip())["encoder.layers.0.weight"]
    np.testing.assert_array_equal(weights[1], again)


def test_run_folders_are_numbered(aectl):
    outs = [aectl(*DIGITS, "--epochs", "1").out.strip() for _ in range(2)]
    assert outs == [f"runs/digits-autoencoder-{n}/model.safetensors" for n in (1, 2)]


def test_load_goes_on_from_trained_weights(aectl, dense, tmp_path):
    done = aectl("train", "-q", "--load", dense, "--lr", "1e-12", "--epochs", "1", "--out", "more")
    assert done.status == 0
    before, after = load_file(dense / "model.safetensors"), load_file(tmp_path / done.out.strip())
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)


def test_load_of_weights_that_do_not_fit_is_refused(aectl, dense):
    done = aectl("train", "-q", "--load", dense, "--hidden", "5")
    assert done.status == 2
    assert "--load do not fit" in done.err


@pytest.mark.parametrize("how", [[], ["--fine-tune"]])
def test_a_classifier_stands_on_a_trained_encoder(aectl, dense, tmp_path, how):
    done = aectl(*DIGITS, "--encoder", dense, "--hidden", "32", "--epochs", "3", "--out", "c", *how)
    assert done.status == 0
    name = "encoder.layers.0.weight"
    before = load_file(dense / "model.safetensors")[name]
    after = load_file(tmp_path / "c/model.safetensors")[name]
    assert np.array_equal(before, after) == (not how)


def test_a_folder_with_a_sub_folder_a_class_trains_a_classifier(aectl, tmp_path):
    bunch = load_digits()
    for number, (image, label) in enumerate(zip(bunch.images[:300], bunch.target, strict=False)):
        folder = tmp_path / "set" / f"digit {label}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.round(image * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    options = ["--dataset", "set", "--model", "classifier", "--hidden", "64", "--out", "c"]
    assert aectl("train", "-q", *options, "--epochs", "30", "--lr", "0.02").status == 0
    done = aectl("classify", "c", "set")
    rows = list(csv.DictReader(done.out.splitlines()))
    right = [Path(row["path"]).parent.name == row["prediction"] for row in rows]
    assert len(rows) == 300
    assert np.mean(right) > 0.95


def test_a_bad_file_in_a_training_folder_is_named_and_costs_status_one(aectl, scans, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("000.png", "001.png"):
        (folder / name).write_bytes((scans / name).read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    done = aectl("train", "-q", "--dataset", "mixed", "--epochs", "1", "--out", "r")
    assert done.status == 1
    assert "broken.png" in done.err
    assert package.load(tmp_path / "r").shape == (1, 8, 8)


def test_size_and_channels_decide_the_shape_of_the_model(aectl, tmp_path):
    options = ["--size", "12x10", "--channels", "3", "--epochs", "1", "--out", "r"]
    assert aectl(*DIGITS, *options).status == 0
    assert package.load(tmp_path / "r").shape == (3, 12, 10)


@pytest.mark.parametrize("loss", ["mse", "bce", "softmax-kl"])
@pytest.mark.parametrize("model", ["autoencoder", "conv-autoencoder"])
def test_every_loss_trains_every_autoencoder(aectl, scans, tmp_path, loss, model):
    words = ("train", "-q", "--dataset", scans, "--validation", "0")
    options = ["--model", model, "--loss", loss, "--epochs", "4", "--lr", "0.01", "--out", "r"]
    if model == "conv-autoencoder":
        options += ["--hidden", "8,3"]
    if (model, loss) == ("conv-autoencoder", "softmax-kl"):
        refused = aectl(*words, *options)
        assert (refused.status, "needs --bottleneck vector" in refused.err) == (2, True)
        options += ["--bottleneck", "vector"]
    assert aectl(*words, *options).status == 0
    with (tmp_path / "r/metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.98 * losses[0]


@pytest.mark.parametrize("chosen", [
    ["--optimizer", "lbfgs"],  # the only one that takes no schedule
    *(
        ["--optimizer", optimizer, "--schedule", schedule]
        for optimizer in OPTIMIZERS
        for schedule in SCHEDULES
        if optimizer != "lbfgs"
    ),
], ids=" ".join)  # fmt: skip
def test_every_optimizer_and_schedule_trains(aectl, tmp_path, chosen):
    assert aectl(*DIGITS, *chosen, "--epochs", "4", "--out", "r").status == 0
    with (tmp_path / "r/metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_step_trains_the_same_model(aectl, tmp_path, monkeypatch, precision):
    monkeypatch.setenv("TORCHINDUCTOR_VEC_ISA_OK", "1")  # else a program is compiled for each set
    rule = ["--sparsity", "topk", "--code-activation", "relu"] if precision == "fp32" else []
    options = [*rule, "--epochs", "3"]
    options += ["--precision", precision]
    options += ["--batch-size", "600"]  # and 237 images that are left, which are not compiled for
    for words in (["--compile", "--out", "a"], ["--out", "b"]):
        assert aectl(*DIGITS, *options, *words).status == 0
    compiled, plain = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    for name, weights in plain.items():
        np.testing.assert_allclose(compiled[name], weights, atol=1e-4)


def test_where_nothing_can_be_compiled_that_is_said_before_anything_is_written(tmp_path):
    command = "CXX=/nowhere aectl train --dataset digits --epochs 1 --compile --out r"
    done = shell(command, tmp_path, warmed=True)
    assert done.status == 2
    assert "--compile does not work on this machine: " in done.err
    assert "compiler" in done.err
    assert not (tmp_path / "r").exists()


def test_quiet_says_nothing_and_otherwise_progress_goes_to_stderr(aectl):
    loud = aectl("train", "--dataset", "digits", "--epochs", "2", "--out", "a")
    assert "epoch 2/2" in loud.err
    assert loud.out == "a/model.safetensors\n"
    assert aectl(*DIGITS, "--epochs", "2", "--out", "b").err == ""


def test_images_that_memory_may_not_hold_train_the_same_model_from_a_file(aectl, scans, tmp_path):
    options = ("train", "--dataset", scans, "--epochs", 2, "--validation", 0.2)
    aectl(*options, "--out", tmp_path / "within")
    beyond = aectl(*options, "--memory", 0, "--out", tmp_path / "beyond")
    assert "are kept in a temporary file" in beyond.err
    within, other = (load_file(tmp_path / x / "model.safetensors") for x in ("within", "beyond"))
    assert all(np.array_equal(within[name], other[name]) for name in within)
