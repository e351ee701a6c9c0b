"""Folders, files and classes whose names are not UTF-8, from training to each use of the run."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import shell
from PIL import Image

from aectl.config.configuration import Config
from aectl.config.spelling import shell_word
from aectl.config.written_options import read_toml, to_toml
from aectl.models import model_file

PHOTOS, RUN = os.fsdecode(b"caf\xe9"), Path(os.fsdecode(b"run\xe9"))
SHORT = ("-q", "--epochs", "2")


@pytest.fixture
def photos(tmp_path):
    chance = np.random.default_rng(0)
    for name in (b"a\xff", b"b"):
        folder = tmp_path / PHOTOS / os.fsdecode(name)
        folder.mkdir(parents=True)
        for number in range(6):
            image = Image.fromarray(chance.integers(0, 256, (8, 8), dtype=np.uint8))
            image.save(folder / os.fsdecode(b"\xe9%d.png" % number))
    return PHOTOS


@pytest.fixture
def run(aectl, photos):
    trained = aectl("train", "--dataset", photos, "--out", RUN, "--hidden", 4, *SHORT)
    assert trained.status == 0, trained.err
    return RUN


USES = {
    "resume": ("train", "-q", "--resume", RUN, "--epochs", 3),
    "config": ("train", "-q", "--config", RUN / "config.toml", "--out", "again"),
    "load": ("train", "--load", RUN, "--out", "again", *SHORT),
    "encoder": ("train", "--encoder", RUN, "--model", "classifier", "--out", "again", *SHORT),
    "eval": ("eval", "-q", RUN),
    "report": ("eval", "-q", RUN, "--report", os.fsdecode(b"\xe9.html")),
    "encode": ("encode", "-q", RUN, "--out", os.fsdecode(b"\xe9.csv")),
    "reconstruct": ("reconstruct", "-q", RUN, "--out", os.fsdecode(b"\xe9.png")),
    "tensorboard": ("train", "--dataset", PHOTOS, "--tensorboard", "--out", RUN / "x", *SHORT),
}


@pytest.mark.parametrize("use", USES)
def test_a_run_with_names_that_are_not_utf_8_goes_on_as_any_other(use, aectl, run):
    if use == "tensorboard":
        pytest.importorskip("tensorboard")
    done = aectl(*USES[use])
    assert done.status == 0, done.err


def test_the_class_names_and_the_dataset_have_one_spelling(aectl, run):
    config = tomllib.loads((run / "config.toml").read_text("utf-8"))
    described = json.loads(aectl("info", run, "--json").out)
    measured = json.loads(aectl("eval", "-q", run, "--json").out)[0]
    spelt = "file:caf%E9"
    assert config["dataset"] == described["training"]["options"]["dataset"] == spelt
    assert (measured["model"], measured["dataset"]) == ("file:run%E9", spelt)
    assert model_file.read_card(run).trained_on == (PHOTOS,)
    assert f"--dataset {spelt} " in described["training"]["command"]


def test_the_command_in_the_model_file_trains_the_same_model(aectl, run):
    words = json.loads(aectl("info", run, "--json").out)["training"]["command"].split()
    done = aectl(*words[1:], "-q", "--out", "again")
    assert done.status == 0, done.err
    first, again = (model_file.read_card(folder).weights_sha256 for folder in (run, Path("again")))
    assert first == again


@pytest.mark.parametrize(
    "name", ["plain", "file:plain", "file:%41", "caf\xe9", os.fsdecode(b"\xff:*?'\"\\ \n")]
)
def test_an_option_s_text_comes_back_from_a_file_of_options(name, tmp_path):
    written = Config.from_options({"dataset": name, "include": (name,)})
    (tmp_path / "options.toml").write_text(to_toml(written.values()), "utf-8")
    read = Config.from_options(read_toml(tmp_path / "options.toml"))
    assert (read.data.dataset, read.data.include) == ((name,), (name,))


def test_what_training_says_of_such_names_is_spelt_out_and_its_commands_run(aectl, photos):
    done = aectl("train", "--dataset", photos, "--out", RUN, "--hidden", 4, "--epochs", 2)
    assert "caf\\xe9: 12 images of 2 classes" in done.err
    (command,) = (line for line in done.err.splitlines() if line.startswith("next: "))
    assert command == "next: aectl eval $'run\\xe9'"
    measured = shell(f"{command.removeprefix('next: ')} --quiet --json", Path.cwd(), True)
    assert json.loads(measured.out)[0]["model"] == "file:run%E9"


def test_what_was_held_out_of_such_a_folder_has_its_name(aectl, photos):
    done = aectl(
        "train", "--dataset", photos, "--out", RUN, "--hidden", 4, "--validation", 0.3, *SHORT
    )
    assert done.status == 0, done.err
    measured = json.loads(aectl("eval", "-q", RUN, "--json").out)[0]
    assert measured["dataset"] == "file:caf%E9, held out"


@pytest.mark.parametrize(
    "name",
    [b"plain", b"two words", b"it's", b"caf\xe9", b"\x1b[31m", b"a\nb\\n'\"$x\xff",
     "\u202e\u5199".encode()],
)  # fmt: skip
def test_a_shell_reads_back_the_words_of_commands_that_are_told(name):
    word = shell_word(os.fsdecode(name))
    assert word.isprintable()
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], stdout=subprocess.PIPE, check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert printed.stdout == name
