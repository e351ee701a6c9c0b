"""Folders of images without splits: what is held out by default, and what training says of it."""

import csv
import json
import re
import tomllib

import numpy as np
import pytest
from PIL import Image

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
