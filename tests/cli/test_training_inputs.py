"""Training on what can be encoded: several words, archives, files, and lists on stdin."""

import csv
import io
import json
import shutil
import tarfile
import tomllib
import zipfile

import numpy as np
import pytest
from PIL import Image

import aectl as library
from aectl.models import model_file

OPTIONS = ("--epochs", 1, "--hidden", 4, "--seed", 3)


@pytest.fixture
def pictures(tmp_path):
    """Grey pictures of 8x8 pixels in two folders, each with a sub-folder a class."""
    random = np.random.default_rng(0)
    for name in ("one/sea/a.png", "one/hill/b.png", "two/sea/c.png", "two/sea/d.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(path)
    return tmp_path


def weights(folder):
    return model_file.read_card(folder).weights_sha256


def trains(aectl, *arguments, out="run", stdin=b""):
    done = aectl("train", *arguments, *OPTIONS, "--out", out, stdin=stdin)
    assert done.status == 0, done.err
    return done


def test_several_folders_train_as_one_that_holds_links_to_them(aectl, pictures):
    done = trains(aectl, "--dataset", "one", "--dataset", "two")
    assert "one, two: 4 images of 2 classes (hill 1, sea 3)" in done.err
    card = model_file.read_card(pictures / "run")
    assert card.trained_on == ("one", "two")
    written = tomllib.loads((pictures / "run" / "config.toml").read_text())
    assert written["dataset"] == ["one", "two"]
    assert "--dataset one --dataset two" in card.training["command"]
    aectl("train", "-q", "--config", "run/config.toml", "--out", "again")
    assert weights(pictures / "again") == weights(pictures / "run")
    report = aectl("eval", "run", "--json")
    assert json.loads(report.out)[0]["n"] == 4
    assert "measured on two, the data that it was trained on" in report.err
    shown = aectl("encode", "run")
    paths = [row[0] for row in csv.reader(io.StringIO(shown.out))][1:]
    assert paths == ["one/hill/b.png", "one/sea/a.png", "two/sea/c.png", "two/sea/d.png"]


def test_one_word_is_written_as_before(aectl, pictures):
    trains(aectl, "--dataset", "one")
    card = model_file.read_card(pictures / "run")
    assert card.options["dataset"] == "one"
    assert tomllib.loads((pictures / "run" / "config.toml").read_text())["dataset"] == "one"


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_trains_as_its_folder_does(aectl, pictures, kind):
    names = sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*.png"))
    if kind == "zip":
        with zipfile.ZipFile(pictures / "set.zip", "w") as archive:
            for name in names:
                archive.write(pictures / name, name)
    else:
        with tarfile.open(pictures / "set.tar.gz", "w:gz") as archive:
            for name in names:
                archive.add(pictures / name, name)
    done = trains(aectl, "--dataset", f"set.{kind}")
    assert f"set.{kind}: 4 images of 2 classes (one 2, two 2)" in done.err
    trains(aectl, "--dataset", "one", "--dataset", "two", out="folders")
    assert weights(pictures / "run") == weights(pictures / "folders")
    trains(aectl, "--dataset", f"set.{kind}", "--include", "two/*", out="chosen")
    assert model_file.read_card(pictures / "chosen").training["images"] == 2


@pytest.mark.parametrize("null", [False, True])
def test_paths_on_stdin_are_trained_on_and_resumed(aectl, pictures, null):
    end, option = ("\0", ["-0"]) if null else ("\n", [])
    names = ["two/sea/d.png", "one/hill/b.png", "two/sea/c.png"]
    listed = end.join(names).encode()
    trains(aectl, "--dataset", "-", *option, stdin=listed)
    trains(aectl, *(word for name in names for word in ("--dataset", name)), out="named")
    assert weights(pictures / "run") == weights(pictures / "named")
    longer = aectl("train", "--resume", "run", "--epochs", 2, *option, stdin=listed)
    assert longer.status == 0, longer.err
    other = aectl("train", "--resume", "run", "--epochs", 3, *option, stdin=b"two/sea/c.png")
    assert other.status == 2
    assert "are not those of the original training" in other.err
    done = aectl("encode", "run")
    assert done.status == 2
    assert "the model was trained on a list on stdin; name an INPUT" in done.err


def test_the_command_to_try_after_a_list_names_inputs(aectl, pictures):
    done = trains(aectl, "--dataset", "-", stdin=b"two/sea/d.png\ntwo/sea/c.png\n")
    assert "next: aectl eval run --dataset INPUT" in done.err
    assert "--dataset INPUT" not in trains(aectl, "--dataset", "one", out="other").err
    lacking = aectl("eval", "run", "--dataset", "digits", "--pca", stdin=b"two/sea/d.png\n")
    assert lacking.status == 2
    assert "trained on a list on stdin, which --pca and --probe lack" in lacking.err
    empty = aectl("train", "--dataset", "-", *OPTIONS, stdin=b"")
    assert (empty.status, empty.err) == (2, "aectl: stdin lists no files\n")


def test_lines_on_stdin_train_a_model_of_text(aectl, tmp_path):
    lines = b"".join(b"the %d sparrows\n" % number for number in range(40))
    (tmp_path / "lines.txt").write_bytes(lines)
    text = ("--model", "text-autoencoder", "--hidden", "8,8", "--vocabulary", 300, "--epochs", 1)
    for word, out in (("-", "run"), ("lines.txt", "file")):
        done = aectl("train", "--dataset", word, *text, "--out", out, stdin=lines)
        assert done.status == 0, done.err
    assert weights(tmp_path / "run") == weights(tmp_path / "file")


def test_a_dataset_goes_with_files_of_its_size(aectl, pictures):
    trains(aectl, "--dataset", "digits", "--dataset", "one")
    assert model_file.read_card(pictures / "run").training["images"] == 1437 + 2
    Image.new("L", (20, 30)).save(pictures / "large.png")
    done = aectl("train", "--dataset", "digits", "--dataset", "large.png", *OPTIONS)
    assert done.status == 2
    assert "several sizes (digits:train 8x8, the files 30x20): choose one by --size" in done.err


def test_validation_sets_of_several_folders_are_held_out(aectl, pictures):
    for name in ("one", "two"):
        (pictures / name).rename(pictures / "train")
        (pictures / name).mkdir()
        (pictures / "train").rename(pictures / name / "train")
        Image.new("L", (8, 8), 9).save(pictures / name / "loose.png")
    (pictures / "two" / "val" / "sea").mkdir(parents=True)
    Image.new("L", (8, 8), 5).save(pictures / "two" / "val" / "sea" / "e.png")
    (pictures / "one" / "test").mkdir()
    done = trains(aectl, "--dataset", "one", "--dataset", "two", "--keep", "best")
    told = "one/train, two/train: 4 images of 2 classes (hill 1, sea 3); two/val, held out: 1 image"
    assert told in done.err
    assert "one/test is kept for tests; not read: files beside these folders" in done.err


def test_a_folder_of_categories_with_splits_is_not_taken_for_classes(aectl, pictures):
    for category in ("bottle", "cable"):
        for split in ("train/good", "test/broken"):
            folder = pictures / "tiles" / category / split
            folder.mkdir(parents=True)
            Image.new("L", (8, 8)).save(folder / "x.png")
    done = aectl("train", "--dataset", "tiles", *OPTIONS)
    assert done.status == 2
    assert "training and test sets of their own (bottle, cable)" in done.err
    trains(aectl, "--dataset", "tiles/bottle", "--dataset", "tiles/cable")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one", "one"], "--dataset one and --dataset one name the same data: leave out one"),
        (["one", "./two/../one/"], "--dataset one and --dataset ./two/../one/ name the same data"),
        (["digits", "digits:train"], "--dataset digits and --dataset digits:train name the same"),
        (["-", "-"], "--dataset - and --dataset - name the same data"),
        (["one", "one/sea"], "--dataset one/sea is in --dataset one, and is read with it"),
        (["one/sea/a.png", "one"], "--dataset one/sea/a.png is in --dataset one, and is read"),
        (["set", "set/train"], "--dataset set and --dataset set/train name the same data"),
        (["set", "set/val/sea"], "--dataset set/val/sea is in --dataset set, and is read with it"),
        (["one", "empty"], "no images in empty (looked for"),
        (["notes", "one"], "no images in notes (looked for"),
        (["one", "a.zip"], "no images in a.zip (looked for"),
        (["one", "-"], "stdin lists no files"),
    ],
    ids=str,
)
def test_data_given_twice_or_without_images_are_refused(aectl, pictures, words, said):
    """Twice, they would be learnt from and held out."""
    split(pictures, "set")
    (pictures / "empty").mkdir()
    (pictures / "notes").mkdir()
    (pictures / "notes" / "a.txt").write_text("one\ntwo\n")
    with zipfile.ZipFile(pictures / "a.zip", "w") as archive:
        archive.write(pictures / "notes" / "a.txt")
    named = [part for word in words for part in ("--dataset", word)]
    done = aectl("train", *named, *OPTIONS, "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def split(pictures, name):
    """A folder of splits: of the pictures in `one` and of those in `two`, and others."""
    for part, folder in (("train", "one"), ("val", "two"), ("more", "two")):
        shutil.copytree(pictures / folder, pictures / name / part)


def test_data_beside_what_is_read_of_a_folder_are_not_twice(aectl, pictures):
    split(pictures, "set")
    done = trains(aectl, "--dataset", "set", "--dataset", "set/more")
    assert "set/train, set/more: 4 images of 2 classes" in done.err
    words = ("--dataset", "one", "--dataset", "one/sea", "--exclude", "sea")
    assert "one, one/sea: 2 images" in trains(aectl, *words, out="other").err


def test_texts_given_twice_or_not_there_are_refused(aectl, pictures):
    for name, text in (("a.txt", "one\ntwo\n"), ("more/b.txt", "three\nfour\n")):
        path = pictures / "notes" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    train = ("train", "--model", "text-autoencoder", "--hidden", "4,4", "--vocabulary", 300,
             "--epochs", 1, "--out", "run", "--dataset", "notes", "--dataset")  # fmt: skip
    for word, said in (
        ("notes/more", "--dataset notes/more is in --dataset notes, and is read with it"),
        ("one", "there is no text in one (looked for .txt, .tsv)"),
    ):
        done = aectl(*train, word)
        assert (done.status, done.out) == (2, "")
        assert said in done.err


def test_patches_stand_alone(aectl, pictures):
    done = aectl("train", "--dataset", "patches:one", "--dataset", "two", *OPTIONS)
    assert (done.status, "patches:one cannot go with other data" in done.err) == (2, True)


def test_unreadable_training_images_are_listed_and_can_end_the_training(aectl, pictures):
    (pictures / "one" / "sea" / "broken.png").write_bytes(b"no picture")
    done = aectl("train", "--dataset", "one", *OPTIONS, "--out", "run", "--errors", "bad.csv")
    assert done.status == 1
    with (pictures / "bad.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["path", "one/sea/broken.png"]
    strict = aectl("train", "--dataset", "one", *OPTIONS, "--out", "strict", "--strict")
    assert (strict.status, (pictures / "strict").exists()) == (2, False)


def test_the_library_trains_on_what_the_command_does(aectl, pictures, monkeypatch):
    trains(aectl, "--dataset", "one", "--dataset", "-", stdin=b"two/sea/c.png\n")
    (pictures / "options.toml").write_text('dataset = ["one", "-"]\nhidden = [4]\nseed = 3\n')
    told = []
    trained = library.train(
        "library", config="options.toml", epochs=1, stdin=io.BytesIO(b"two/sea/c.png\n"),
        notice=told.append,
    )  # fmt: skip
    assert weights(trained.folder) == weights(pictures / "run")
    longer = library.train(
        resume="library", epochs=2, stdin=io.BytesIO(b"two/sea/c.png\n"), notice=told.append
    )
    assert [row["epoch"] for row in longer.metrics] == [1, 2]
    assert any("continuing after 1 of 2 epochs" in line for line in told)
    aectl("train", "--resume", "run", "--epochs", 2, stdin=b"two/sea/c.png\n")
    assert weights(pictures / "run") == model_file.read_card(longer.folder).weights_sha256
