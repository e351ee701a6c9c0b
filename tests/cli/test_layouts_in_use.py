"""Training on folders: their splits, the files that are chosen, and what verbs measure then."""

import csv
import json
import os
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from aectl.models import model_file
from aectl.outputs.pictures import save_png

INSPECTION = Path(__file__).parents[3] / "shared" / "data" / "inspection"
TRAIN = ("train", "--epochs", "1", "--hidden", "4", "--out", "run", "--dataset")


@pytest.fixture
def splits(scans, tmp_path):
    """Scans in two classes of a training, a validation and a test set, and masks beside them."""
    folder, images = tmp_path / "set", iter(sorted(scans.iterdir()))
    for split, count in (("train", 6), ("val", 4), ("test", 3), ("masks", 5)):
        for number in range(count):
            place = folder / split / ("odd" if number % 2 else "even")
            place.mkdir(parents=True, exist_ok=True)
            path = next(images)
            (place / path.name).write_bytes(path.read_bytes())
    return folder


def measured(done):
    (result,) = json.loads(done.out)
    return result


def test_a_folder_of_splits_trains_measures_and_tests_on_its_own(aectl, splits, tmp_path):
    done = aectl(*TRAIN, "set", "--keep", "best", "--model", "classifier")
    assert done.status == 0, done.err
    assert "set/train: 6 images of 2 classes (even 3, odd 3); set/val, held out: 4" in done.err
    assert "set/test is kept for tests; not read: masks" in done.err
    card = model_file.read_card(tmp_path / "run")
    assert (card.classes, card.training["images"]) == (("even", "odd"), 6)
    assert "validation_error" in (tmp_path / "run" / "metrics.csv").read_text()
    done = aectl("eval", "run", "--json")
    assert measured(done)["n"] == 3
    assert "measured on set/test" in done.err
    written = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert written["validation"] == 0.4
    assert aectl("train", "-q", "--config", "run/config.toml", "--out", "again").status == 0
    weights = {
        name: model_file.read_card(tmp_path / name).weights_sha256 for name in ("run", "again")
    }
    assert weights["run"] == weights["again"]


def test_labels_of_a_folder_of_splits_are_the_classes(aectl, dense, splits):
    done = aectl("encode", dense, "set", "--label-from-folder", "--exclude", "masks")
    assert {line.split(",")[1] for line in done.out.splitlines()[1:]} == {"even", "odd"}


BESIDE = {
    "nothing": [],
    "annotations": ["labels/train/000.txt", "labels/val/000.txt", "README.md", ".DS_Store"],
    "excluded images": ["old/000.png"],
    "pictures of aectl": ["figures/a.png", "grid.png"],
    "a run of aectl": ["runs/one/model.safetensors", "runs/one/config.toml", "runs/one/grid.png"],
}


@pytest.mark.parametrize(
    ("below", "beside"), [("a/b", "nothing"), *(("images", name) for name in BESIDE)]
)
def test_splits_below_another_folder_are_splits_for_every_command(
    aectl, splits, tmp_path, below, beside
):
    splits.rename(tmp_path / "splits")
    (tmp_path / "set" / below).parent.mkdir(parents=True)
    (tmp_path / "splits").rename(tmp_path / "set" / below)
    for name in BESIDE[beside]:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scan = tmp_path / "set" / below / "train" / "odd" / "001.png"
        if beside == "pictures of aectl":
            save_png(path, Image.open(scan))
        else:
            path.write_bytes(scan.read_bytes())
    done = aectl(*TRAIN, "set", "--model", "classifier", "--exclude", "old")
    assert done.status == 0, done.err
    assert f"set/{below}/train: 6 images of 2 classes (even 3, odd 3)" in done.err
    assert f"set/{below}/val, held out: 4 images" in done.err
    card = model_file.read_card(tmp_path / "run")
    assert (card.classes, card.training["images"]) == (("even", "odd"), 6)
    done = aectl("eval", "run", "--json")
    assert measured(done)["n"] == 3
    assert f"measured on set/{below}/test" in done.err
    chosen = ("--exclude", "masks", "--exclude", "old")
    done = aectl("eval", "run", "--json", "--dataset", "set", *chosen)
    assert done.status == 0, done.err
    assert measured(done)["n"] == 13
    done = aectl("classify", "run", "set", "--label-from-folder", *chosen)
    assert {line.split(",")[1] for line in done.out.splitlines()[1:]} == {"even", "odd"}


def test_images_beside_the_folder_of_the_splits_are_not_lost(aectl, splits, scans, tmp_path):
    (tmp_path / "photos").mkdir()
    splits.rename(tmp_path / "photos" / "images")
    (tmp_path / "photos" / "cover.png").write_bytes((scans / "300.png").read_bytes())
    done = aectl(*TRAIN, "photos")
    assert done.status == 0, done.err
    assert model_file.read_card(tmp_path / "run").training["images"] == 6 + 4 + 3 + 5 + 1


def test_a_training_set_alone_stays_one_after_training(aectl, splits, tmp_path, monkeypatch):
    for name in ("val", "test", "masks"):
        (splits / name).rename(tmp_path / name)
    monkeypatch.chdir(splits)
    for _ in range(2):
        done = aectl("train", "--epochs", "1", "--dataset", ".", "--model", "classifier")
        assert done.status == 0, done.err
        assert "./train: 6 images of 2 classes (even 3, odd 3)" in done.err


def test_texts_in_splits_below_another_folder_have_their_classes(aectl, tmp_path):
    for split in ("train", "test"):
        for name in ("good", "bad"):
            place = tmp_path / "reviews" / "texts" / split / name
            place.mkdir(parents=True)
            (place / "a.txt").write_text(f"a {name} film\n" * (6 if split == "train" else 2))
    tiny = ("--epochs", "1", "--vocabulary", "300")
    done = aectl("train", "-q", "--model", "text-autoencoder", "--hidden", "4,4", *tiny,
                 "--dataset", "reviews", "--out", "code")  # fmt: skip
    assert done.status == 0, done.err
    done = aectl("train", "--epochs", "1", "--encoder", "code", "--dataset", "reviews",
                 "--out", "run")  # fmt: skip
    assert done.status == 0, done.err
    assert model_file.read_card(tmp_path / "run").classes == ("bad", "good")
    done = aectl("eval", "run", "--json")
    assert (measured(done)["n"], "measured on reviews/texts/test" in done.err) == (4, True)
    done = aectl("eval", "run", "--json", "--dataset", "reviews")
    assert measured(done)["n"] == 16, done.err


def test_a_fraction_gives_way_to_the_folder_s_own_validation_set(aectl, splits, tmp_path):
    done = aectl(*TRAIN, "set", "--validation", "0.1")
    assert "--validation is ignored" in done.err
    assert model_file.read_card(tmp_path / "run").training["images"] == 6


def test_probes_and_pca_learn_from_the_training_set(aectl, splits):
    assert aectl(*TRAIN, "set").status == 0
    done = aectl("eval", "run", "--json", "--probe", "--pca")
    assert done.status == 0, done.err
    found = measured(done)
    assert "probe_error" in found
    train, test = (
        np.array([np.asarray(Image.open(path)).ravel() for path in (splits / split).glob("*/*")])
        for split in ("train", "test")
    )
    pca = PCA(4).fit(train / 255)
    error = pca.inverse_transform(pca.transform(test / 255)) - test / 255
    assert found["pca_mse"] == pytest.approx(np.mean(error**2), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--include", "masks/*"], 5),
        (["--include", "masks/odd/*", "--include", "000.PNG"], 3),
        (["--exclude", "masks", "--exclude", "odd"], 7),
        (["--include", "*.png", "--exclude", "masks"], 13),
    ],
)
def test_train_chooses_among_the_files_and_remembers_which(aectl, splits, tmp_path, options, count):
    (splits / "train").rename(splits / "learn")
    done = aectl(*TRAIN, "set", *options)
    assert done.status == 0, done.err
    card = model_file.read_card(tmp_path / "run")
    assert card.training["images"] == count
    assert all(option in card.training["command"] for option in options)
    assert measured(aectl("eval", "run", "--json"))["n"] == count
    assert aectl("train", "-q", "--config", "run/config.toml", "--out", "again").status == 0
    assert model_file.read_card(tmp_path / "again").weights_sha256 == card.weights_sha256


@pytest.mark.parametrize("written", ["IMG,.jpeg", "img jpeg"])
def test_train_takes_files_by_their_extensions_as_the_verbs_do(aectl, splits, tmp_path, written):
    """As PNGs under the names of no images, beside ones that are not asked for."""
    (splits / "train").rename(splits / "learn")
    for number, path in enumerate(sorted((splits / "learn").rglob("*.png"))):
        path.rename(path.with_suffix((".img", ".Jpeg", ".png")[number % 3]))
    done = aectl(*TRAIN, "set", "--ext", written)
    assert done.status == 0, done.err
    card = model_file.read_card(tmp_path / "run")
    assert card.training["images"] == 4
    assert measured(aectl("eval", "run", "--json", "--pca"))["n"] == 4
    encoded = aectl("encode", "run", "set", "--ext", written).out.splitlines()
    assert len(encoded) == 1 + 4
    assert aectl("train", "-q", "--config", "run/config.toml", "--out", "again").status == 0
    assert model_file.read_card(tmp_path / "again").weights_sha256 == card.weights_sha256
    done = aectl("train", "--epochs", "1", "--load", "run", "--out", "loaded")
    assert model_file.read_card(tmp_path / "loaded").training["images"] == 4, done.err


def test_texts_to_train_on_have_the_extensions_that_are_asked_for(aectl, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("one\ntwo\nthree\n")
    (tmp_path / "notes" / "a.txt").write_text("four\n")
    done = aectl("train", "--model", "text-autoencoder", "--hidden", "4,4", "--epochs", "1",
                 "--vocabulary", "300", "--dataset", "notes", "--ext", "md",
                 "--out", "run")  # fmt: skip
    assert done.status == 0, done.err
    assert model_file.read_card(tmp_path / "run").training["texts"] == 3
    assert measured(aectl("eval", "run", "--json"))["n"] == 3


@pytest.mark.parametrize("option", [("--include", "*.png"), ("--ext", "png")])
def test_patterns_mean_nothing_to_a_named_dataset(aectl, option):
    done = aectl("train", "--dataset", "digits", *option)
    assert (done.status, f"{option[0]} chooses among the files" in done.err) == (2, True)


@pytest.mark.skipif(not INSPECTION.is_dir(), reason="needs the inspection images")
def test_a_category_of_mvtec_learns_neither_from_its_masks_nor_from_its_test_images(
    aectl, tmp_path
):
    done = aectl(*TRAIN, INSPECTION, "--size", "8")
    good = len(list((INSPECTION / "train" / "good").iterdir()))
    assert f"train: {good} images, no classes" in done.err
    assert "not read: ground_truth" in done.err
    assert model_file.read_card(tmp_path / "run").training["images"] == good


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--epochs", "1", "--epochs=2"),
        ("train", "--out", "a", "-o", "b"),
        ("encode", "model", "--out", "a.csv", "--out", "b.csv"),
        ("eval", "model", "--device", "cpu", "--device", "cpu"),
    ],
    ids=" ".join,
)
def test_an_option_that_takes_one_value_is_refused_twice(aectl, tmp_path, arguments):
    done = aectl(*arguments)
    assert done.status == 2
    assert "takes one value, and is given several times" in done.err
    assert list(tmp_path.iterdir()) == []


def test_options_of_several_values_and_switches_may_be_given_again(aectl, dense, scans):
    done = aectl("encode", dense, scans, "--include", "00*", "--include", "01*", "-q", "-q")
    assert len(done.out.splitlines()) == 1 + 20


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (b"caf\xe9", "file:caf%E9"),
        (b"\xff\xfe", "file:%FF%FE"),
        (b"file:x", "file:x"),
        (b"=1+1", "=1+1"),
    ],
)
def test_a_class_of_any_bytes_has_one_name_from_training_to_tables(
    aectl, scans, tmp_path, name, label
):
    for place, files in ((name, "0[0-3]?.png"), (b"zoo", "0[4-7]?.png")):
        folder = tmp_path / "set" / os.fsdecode(place)
        folder.mkdir(parents=True)
        for path in scans.glob(files):
            (folder / path.name).write_bytes(path.read_bytes())
    done = aectl(*TRAIN, "set", "--model", "classifier")
    assert done.status == 0, done.err
    assert set(model_file.read_card(tmp_path / "run").classes) == {label, "zoo"}
    result = measured(aectl("eval", "run", "--dataset", "set", "--json"))
    assert (result["n"], set(result["classes"])) == (80, {label, "zoo"})
    done = aectl("classify", "run", "set", "--label-from-folder", "--out", "t.csv")
    assert done.status == 0, done.err
    rows = list(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8")))
    labels, said = ({row[column].lstrip("'") for row in rows} for column in ("label", "prediction"))
    assert labels == {label, "zoo"} and said <= labels
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert result["accuracy"] == pytest.approx(right / 80)


@pytest.mark.parametrize("names", ["{}2017", "{}_set", "seg_{0}/seg_{0}"])
def test_the_names_of_splits_may_have_more_in_them(aectl, splits, names):
    for split in ("train", "val", "test"):
        (splits / names.format(split)).parent.mkdir(exist_ok=True)
        (splits / split).rename(splits / names.format(split))
    done = aectl(*TRAIN, "set", "--model", "classifier")
    assert done.status == 0, done.err
    assert f"set/{names.format('train')}: 6 images of 2 classes (even 3, odd 3)" in done.err
    assert f"set/{names.format('val')}, held out: 4" in done.err
    done = aectl("eval", "run", "--json")
    assert measured(done)["n"] == 3
    assert f"measured on set/{names.format('test')}\n" in done.err


@pytest.mark.parametrize("below", [".", "set"])
@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_of_splits_is_not_taken_for_classes(aectl, splits, tmp_path, below, kind):
    packed = Path(shutil.make_archive("packed", kind, tmp_path if below == "set" else splits))
    done = aectl(*TRAIN, packed.name, "--exclude", "masks")
    assert (done.status, done.out) == (2, "")
    assert f"{packed.name} holds splits (train, val, test), which are used as such only" in done.err
    done = aectl(*TRAIN, packed.name, "--include", "*train/*")
    assert done.status == 0, done.err
    assert model_file.read_card(tmp_path / "run").training["images"] == 6


def test_classes_of_the_validation_set_alone_are_told(aectl, splits):
    (splits / "val" / "odd").rename(splits / "val" / "prime")
    done = aectl(*TRAIN, "set", "--model", "classifier", "-q")
    assert done.status == 0
    told = "warning: no training images of classes that the validation set has: prime\n"
    assert done.err == told


WHY_NONE = {
    "one stray image": ("set/cover.png", "7 images, no classes (1 image is in no sub-folder: "),
    "one class": ("set/even/more.png", "4 images, no classes (all are in even)"),
    "a flat validation set": (
        "other/val/a.png", "other/train: 6 images, no classes (1 image is in no sub-folder: "
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WHY_NONE)
def test_why_images_in_sub_folders_have_no_classes_is_told(aectl, splits, tmp_path, case):
    name, told = WHY_NONE[case]
    (tmp_path / "other").mkdir()
    splits.rename(tmp_path / "all")
    (tmp_path / "all" / "train").rename(tmp_path / ("other/train" if "other" in name else "set"))
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(next((tmp_path / "all").rglob("*.png")), path)
    words = ("--exclude", "odd") if case == "one class" else ()
    done = aectl(*TRAIN, name.partition("/")[0], *words)
    assert done.status == 0, done.err
    assert told + (f"{name})" if told.endswith(" ") else "") in done.err


def test_texts_are_measured_on_their_own_validation_set(aectl, tmp_path):
    for split, count in (("train", 6), ("val", 4), ("test", 2)):
        for name in ("good", "bad"):
            place = tmp_path / "reviews" / split / name
            place.mkdir(parents=True)
            (place / "a.txt").write_text("".join(f"a {name} {split} {n}\n" for n in range(count)))
    train = ("train", "--model", "text-autoencoder", "--hidden", "4,4", "--epochs", "2",
             "--vocabulary", "300")  # fmt: skip
    done = aectl(*train, "--dataset", "reviews", "--keep", "best", "--out", "run")
    assert done.status == 0, done.err
    assert (
        "reviews/train: 12 texts of 2 classes (bad 6, good 6); reviews/val, held out: 8 texts of 2"
        " classes (bad 4, good 4); reviews/test is kept for tests\n"
    ) in done.err
    assert model_file.read_card(tmp_path / "run").training["texts"] == 12
    assert aectl(*train, "-q", "--dataset", "reviews/train", "--out", "alone").status == 0
    cards = [model_file.read_card(tmp_path / name) for name in ("run", "alone")]
    assert cards[0].vocabulary == cards[1].vocabulary
    written = (tmp_path / "run" / "metrics.csv").read_text()
    assert "validation_token_accuracy" in written
    again = aectl("train", "-q", "--config", "run/config.toml", "--out", "again")
    assert again.status == 0
    assert model_file.read_card(tmp_path / "again").weights_sha256 == cards[0].weights_sha256


@pytest.mark.parametrize("held_out", ["validate", "eval"])
def test_more_names_of_splits_are_no_classes(aectl, splits, held_out):
    (splits / "val").rename(splits / held_out)
    done = aectl(*TRAIN, "set", "--model", "classifier")
    assert done.status == 0, done.err
    assert "set/train: 6 images of 2 classes (even 3, odd 3)" in done.err


def test_a_training_set_alone_has_its_own_classes(aectl, splits, tmp_path):
    for name in ("val", "test", "masks"):
        (splits / name).rename(tmp_path / name)
    done = aectl(*TRAIN, "set", "--model", "classifier")
    assert done.status == 0, done.err
    assert model_file.read_card(tmp_path / "run").classes == ("even", "odd")


@pytest.mark.parametrize("below", ["", "/images"])
def test_splits_without_a_training_set_are_no_classes(aectl, splits, tmp_path, below):
    for name in ("train", "masks"):
        (splits / name).rename(tmp_path / name)
    if below:
        splits.rename(tmp_path / "images")
        splits.mkdir()
        (tmp_path / "images").rename(splits / "images")
    done = aectl(*TRAIN, "set")
    assert (done.status, done.out) == (2, "")
    assert f"set{below} holds test and val, and no train: name the folder to train on" in done.err
