"""The sources of a training: their splits, and how often their folders are read."""

import collections
import os
from pathlib import Path

import pytest
from PIL import Image

from aectl.errors import ConfigError
from aectl.training.reading import Reading
from aectl.verbs import planning

CLASSES = ("a", "b", "c", "d")


@pytest.fixture
def scanned(monkeypatch):
    """How often each folder was listed."""
    counts, scandir = collections.Counter(), os.scandir

    def counted(folder="."):
        counts[os.fspath(folder)] += 1
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counted)
    return counts


def refuse(path, reason):
    raise AssertionError(f"{path}: {reason}")


def prepared(words, reading=None, **options):
    return planning.prepare(
        {"dataset": words, **options}, {}, reading or Reading(Path("data"), refuse)
    )


def fill(folder, ending):
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        path = folder / name / f"one{ending}"
        if ending == ".txt":
            path.write_text(f"line {number}\n")
        else:
            Image.new("L", (6, 4), number).save(path)


@pytest.mark.parametrize("ending", [".png", ".txt"])
@pytest.mark.parametrize("splits", [("train", "val", "test"), ("train", "test"), ()])
def test_a_folder_is_searched_once(tmp_path, scanned, splits, ending):
    """Where no names of splits tell, the first files below it are looked for before, and where a
    model could be of images or of vectors, the first image."""
    for split in splits or (".",):
        fill(tmp_path / split, ending)
    kind = {"model": "text-autoencoder"} if ending == ".txt" else {}
    _, data = prepared([str(tmp_path)], **kind)
    read = {"train", "val"}.intersection(splits)
    assert len(data) == len(CLASSES) * max(1, len(read))
    wanted = collections.Counter({str(tmp_path): 1 if splits else 2})
    if splits:
        below = {os.path.join(s, name) for s in read for name in ("", *CLASSES)}
        wanted.update(str(tmp_path / name) for name in below)
    else:
        wanted.update(str(tmp_path / name) for name in (*CLASSES, "a", "b"))
    if ending == ".png":
        first = [tmp_path, *(tmp_path / min(splits) for _ in splits[:1])]
        wanted.update(map(str, [*first, first[-1] / min(CLASSES)]))
    assert scanned == wanted


@pytest.mark.parametrize(
    ("words", "model", "said"),
    [
        (["digits"], "text-autoencoder", "digits is a dataset of images, which --model autoenc"),
        (["mnist:test"], "text-autoencoder", "a model of text needs --dataset with text: wiki"),
        ((), "text-autoencoder", "mnist is a dataset of images"),
        (["wikitext-2"], "autoencoder", "wikitext-2 is text, which --model text-autoencoder"),
        (["a.png", "t.tsv"], "classifier", "t.tsv is text, which --model text-autoencoder"),
        (["t.txt"], "conv-autoencoder", "a model of images needs --dataset with images: "),
    ],
)
def test_words_of_another_modality_are_refused(tmp_path, monkeypatch, words, model, said):
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text("all well\n")
    Path("t.tsv").write_text("good\tall well\nbad\tnothing was\n")
    given = {"dataset": words, "model": model} if words else {"model": model}
    with pytest.raises(ConfigError) as refused:
        planning.prepare(given, {}, Reading(Path("data"), refuse))
    assert said in str(refused.value)


def test_a_folder_with_the_ending_of_text_may_hold_images(tmp_path):
    fill(tmp_path / "a.txt", ".png")
    assert len(prepared([str(tmp_path / "a.txt")])[1]) == len(CLASSES)
