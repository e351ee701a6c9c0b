"""Folders of images without splits: what is held out by default, and what training says of it."""

import csv
import hashlib
import json
import re
import shutil
import tomllib

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.decomposition import PCA

HIDDEN = ("--hidden", "4", "--epochs", "2", "--out", "run")
HUNDRED, FORTY = ("--include", "0[0-9][0-9].png"), ("--include", "0[0-3][0-9].png")


def options_of(folder):
    return tomllib.loads((folder / "config.toml").read_text())


def test_of_a_folder_a_tenth_is_held_out_and_the_best_epoch_kept(aectl, scans, tmp_path):
    done = aectl("train", "--dataset", scans, *HUNDRED, *HIDDEN)
    assert "a tenth of the images is held out" in done.err
    assert "on 90 images" in done.err
    options = options_of(tmp_path / "run")
    assert (options["validation"], options["keep"], options["patience"]) == (0.1, "best", 50)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert all("validation_mse" in row for row in csv.DictReader(file))
    again = aectl("train", "--config", "run/config.toml", "--out", "again")
    assert again.status == 0
    weights = [(tmp_path / run / "model.safetensors") for run in ("run", "again")]
    digests = [json.loads(aectl("info", one, "--json").out)["weights_sha256"] for one in weights]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("words", "validation", "keep"),
    [
        (("--validation", "0", *HUNDRED), 0.0, None),
        (("--validation", "0.3", *HUNDRED), 0.3, "last"),
        (("--keep", "last", *HUNDRED), 0.1, "last"),
        (FORTY, 0.0, None),
        ((*HUNDRED, "--model", "patch-autoencoder", "--patch-size", "3"), 0.0, None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_asked_for_and_few_images_are_as_they_were(
    aectl, scans, tmp_path, words, validation, keep
):
    done = aectl("train", "--dataset", scans, *words, *HIDDEN)
    assert done.status == 0
    options = options_of(tmp_path / "run")
    assert (options["validation"], options.get("keep")) == (validation, keep)


def test_datasets_and_folders_with_a_test_split_are_learnt_whole(aectl, trained, scans, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir(parents=True)
        for path in sorted(scans.iterdir())[:60]:
            (tmp_path / "set" / split / path.name).write_bytes(path.read_bytes())
    assert aectl("train", "-q", "--dataset", "set", *HIDDEN).status == 0
    for folder in (tmp_path / "run", trained("--epochs", "1", "--hidden", "8")):
        assert options_of(folder)["validation"] == 0


def noise(folder, count):
    """Images of which none says anything of another."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (6, 6), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def test_training_and_its_report_say_that_a_model_has_memorised(aectl, tmp_path):
    noise(tmp_path / "noise", 60)
    words = ("--hidden", "60", "--epochs", "150", "--lr", "0.01", "--keep", "last", "--out", "run")
    done = aectl("train", "--dataset", "noise", *words)
    told = re.search(r"memorised its training images: their mse is (\S+), and (\S+) on", done.err)
    trained, held_out = map(float, told.groups())
    assert held_out > 2 * trained
    with (tmp_path / "run" / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert held_out == pytest.approx(float(last["validation_mse"]), rel=0.01)
    # half the squared error of 36 pixels, before each step of the last epoch
    assert trained == pytest.approx(float(last["reconstruction"]) / 18, rel=0.2)
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"mse {told[2]} on held-out and {told[1]} on training images" in page
    assert "has memorised its training images" in page


def test_a_model_that_has_not_memorised_is_not_said_to(aectl, scans, tmp_path):
    done = aectl("train", "--dataset", scans, *HIDDEN)
    assert "memorised" not in done.err
    assert "has not memorised them" in (tmp_path / "run" / "report.html").read_text()


def measured(aectl, *words):
    """The files that `eval` measures, and its report."""
    done = aectl("eval", "run", "--per-image", "files.csv", "--overwrite", "--json", *words)
    assert done.status == 0, done.err
    with open("files.csv") as file:
        return [row["path"] for row in csv.DictReader(file)], json.loads(done.out)[0], done.err


def last_row(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))[-1]


def test_eval_without_input_measures_what_was_held_out(aectl, scans, tmp_path):
    shutil.copytree(scans, tmp_path / "=set")
    assert (
        aectl("train", "-q", "--dataset", "=set", *HUNDRED, "--keep", "last", *HIDDEN).status == 0
    )
    files, report, said = measured(aectl)
    assert (report["n"], len(set(files)), report["dataset"]) == (10, 10, "=set, held out")
    assert "measured on what was held out of =set: 10 files\n" in said
    expected = float(last_row(tmp_path / "run")["validation_mse"])
    assert report["mse"] == pytest.approx(expected, rel=1e-5)
    assert len(measured(aectl, "--dataset", "=set")[0]) == 360
    assert len(aectl("encode", "run").out.splitlines()) == 101


def test_held_out_files_are_no_input_of_pca(aectl, scans, tmp_path):
    shutil.copytree(scans, tmp_path / "set")
    assert aectl("train", "-q", "--dataset", "set", *HUNDRED, *HIDDEN).status == 0
    files, report, said = measured(aectl, "--pca")
    assert "fitted on set, without what was held out: PCA\n" in said
    pixels = {
        f"set/{number:03d}.png": np.asarray(Image.open(f"set/{number:03d}.png")).ravel() / 255
        for number in range(100)
    }
    others = np.array([values for path, values in pixels.items() if path not in files])
    pca = PCA(4).fit(others)
    unseen = np.array([pixels[path] for path in files])
    made = pca.inverse_transform(pca.transform(unseen))
    assert report["pca_mse"] == pytest.approx(np.mean((made - unseen) ** 2), rel=1e-3)


def test_eval_of_a_classifier_measures_what_was_held_out_of_each_class(aectl, scans, tmp_path):
    for name, files in (("a", sorted(scans.iterdir())[:30]), ("b", sorted(scans.iterdir())[30:50])):
        (tmp_path / "set" / name).mkdir(parents=True)
        for path in files:
            shutil.copy(path, tmp_path / "set" / name)
    words = ("--model", "classifier", "--validation", "0.2", *HIDDEN)
    assert aectl("train", "-q", "--dataset", "set", *words).status == 0
    done = aectl("eval", "run", "--json")
    report = json.loads(done.out)[0]
    assert report["n"] == 10
    assert "measured on what was held out of set: 10 files\n" in done.err
    expected = float(last_row(tmp_path / "run")["validation_error"])
    assert report["error"] == pytest.approx(expected)


def test_files_that_came_later_or_are_gone_are_not_taken_for_held_out_ones(aectl, scans, tmp_path):
    shutil.copytree(scans, tmp_path / "set")
    assert aectl("train", "-q", "--dataset", "set", *HUNDRED, *HIDDEN).status == 0
    files, _, _ = measured(aectl)
    shutil.copy("set/000.png", "set/000-new.png")
    assert measured(aectl)[0] == files
    for path in files[:3]:
        (tmp_path / path).unlink()
    left, _, said = measured(aectl)
    assert left == files[3:]
    assert "warning: 3 of 10 files held out are no longer there\n" in said
    for path in left:
        (tmp_path / path).unlink()
    rest, _, said = measured(aectl)
    assert len(rest) == 90
    assert "measured on set, the data that it was trained on: none of the files that were" in said


def test_a_model_file_counts_what_was_held_out_and_names_no_file(aectl, scans, tmp_path):
    assert aectl("train", "-q", "--dataset", scans, *HUNDRED, *HIDDEN).status == 0
    assert re.search(r"training.held_out +10 images\n", aectl("info", "run").out)
    digests = json.loads(aectl("info", "run", "--json").out)["training"]["held_out"]
    known = {hashlib.sha256(bytes(path)).hexdigest()[:16] for path in scans.iterdir()}
    assert len(digests) == 10
    assert known.issuperset(digests)


@pytest.fixture
def photographs(tmp_path):
    """Four grey pictures of 40x36 pixels."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 36), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


NETWORK = {"model": "conv-autoencoder", "flip": True, "size": [40, 36]}
SMALL_NETWORK = {"model": "conv-autoencoder", "flip": True, "size": [33, 9]}
DENSE = {"model": "autoencoder", "flip": False, "size": [32, 32]}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), NETWORK),
        (("--no-flip", "--noise", "gaussian"), {**NETWORK, "flip": False}),
        (("--size", "33x9"), SMALL_NETWORK),
        (("--size", "32"), DENSE),
        (("--hidden", "4"), DENSE),
        (("--sparse",), DENSE),
        (("--stack", "1"), DENSE),
        (("--model", "autoencoder"), DENSE),
        (("--model", "conv-autoencoder"), {**NETWORK, "flip": False}),
    ],
    ids=str,
)
def test_photographs_are_learnt_by_the_network_for_them_unless_one_is_described(
    aectl, photographs, tmp_path, words, expected
):
    done = aectl("train", "--dataset", photographs, *words, "--epochs", "1", "--out", "run")
    assert done.status == 0, done.err
    options = options_of(tmp_path / "run")
    assert {name: options[name] for name in expected} == expected
    assert ("photographs are learnt by" in done.err) == (expected["flip"] or "--no-flip" in words)


@pytest.mark.parametrize("words", [(), ("--size", "32")], ids=str)
def test_the_config_of_such_a_run_repeats_it(aectl, photographs, tmp_path, words):
    first = ("train", "-q", "--dataset", photographs, *words, "--epochs", "1", "--out", "run")
    for done in (first, ("train", "-q", "--config", "run/config.toml", "--out", "again")):
        assert aectl(*done).status == 0
    one, other = (load_file(tmp_path / run / "model.safetensors") for run in ("run", "again"))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert (tmp_path / "run/metrics.csv").read_text().splitlines()[0] == (
        (tmp_path / "again/metrics.csv").read_text().splitlines()[0]
    )


def test_the_folder_of_a_split_is_one_of_photographs_and_small_pictures_are_none(
    aectl, photographs, scans, tmp_path
):
    for split in ("train", "test"):
        shutil.copytree(photographs, tmp_path / "set" / split)
    for folder, model in (("set", "conv-autoencoder"), (scans, "autoencoder")):
        done = aectl("train", "--dataset", folder, "--epochs", "1", "--out", "run", "--overwrite")
        assert done.status == 0, done.err
        assert options_of(tmp_path / "run")["model"] == model
