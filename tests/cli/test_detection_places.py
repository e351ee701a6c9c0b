"""`aectl detect --score places`: the code at each place of an image."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import aectl as package

OPTIONS = {
    "patch-autoencoder": ("--hidden", "8", "--patch-size", "3", "--grid", "3"),
    "conv-autoencoder": ("--hidden", "4,3"),
    "conv-wta-autoencoder": (
        "--hidden", "4", "--kernel-size", "3", "--filter-size", "3", "--grid", "2",
    ),
}  # fmt: skip
CHANNELS_FIRST = "conv-autoencoder"
"""The kind whose code is written channel by channel; those that are pooled are, cell by cell."""

HOW = ("--score", "places", "--alarm-rate", 0.05)


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


@pytest.fixture(params=OPTIONS)
def placed(request, trained):
    """A model of each kind that has places, and the number of the features of one."""
    kind = request.param
    features = {"patch-autoencoder": 16, "conv-autoencoder": 3, "conv-wta-autoencoder": 4}[kind]
    return kind, trained("--model", kind, "--epochs", "1", *OPTIONS[kind]), features


def codes_at_places(aectl, kind, model, words, features):
    """(images, places, features), from the table of codes."""
    rows = rows_of(aectl("encode", model, *words).out)
    codes = np.array([[float(row[name]) for name in row if name[0] == "f"] for row in rows])
    if kind == CHANNELS_FIRST:
        return codes.reshape(len(codes), features, -1).swapaxes(1, 2)
    return codes.reshape(len(codes), -1, features)


@pytest.fixture
def folders(scans, tmp_path, monkeypatch):
    """Folders where the test runs: images that the score is fitted to, `known`, others that
    calibrate it, `normal`, and `new` ones."""
    monkeypatch.chdir(tmp_path)
    for name, numbers in {
        "known": range(100),
        "normal": range(300, 340),
        "new": range(200, 220),
    }.items():
        (tmp_path / name).mkdir()
        for number in numbers:
            file = f"{number:03}.png"
            (tmp_path / name / file).write_bytes((scans / file).read_bytes())


FITTED = ("--normal", "normal", "--fit-to", "known")


def test_scores_are_distances_from_the_codes_at_places_of_normal_images(aectl, placed, folders):
    kind, model, features = placed
    done = aectl("detect", model, "new", *FITTED, *HOW)
    assert done.status == 0
    reference = codes_at_places(aectl, kind, model, ["known"], features).reshape(-1, features)
    new = codes_at_places(aectl, kind, model, ["new"], features)
    for row, codes in zip(rows_of(done.out), new, strict=True):
        nearest = [np.sort(np.linalg.norm(reference - one, axis=1))[:2].mean() for one in codes]
        assert float(row["score"]) == pytest.approx(max(nearest), rel=1e-4)


def test_scores_depend_neither_on_the_order_nor_on_the_size_of_batches(aectl, placed, folders):
    kind, model, _ = placed
    words = ("--normal", "normal", *HOW, "--maps")
    first = rows_of(aectl("detect", model, "new", *words, "a").out)
    files = [f"new/{number}.png" for number in range(219, 199, -1)]
    assert [dict(row, path="") for row in rows_of(aectl("detect", model, *files, *words, "b").out)][
        ::-1
    ] == [dict(row, path="") for row in first]
    third = rows_of(aectl("detect", model, "new", *words, "c", "--batch-size", 7).out)
    rtol = 1e-3 if kind == CHANNELS_FIRST else 0
    np.testing.assert_allclose(column(third, "score"), column(first, "score"), rtol=rtol)


def test_a_calibrated_model_gives_the_rows_and_boxes_that_normal_images_give(
    aectl, placed, folders
):
    _, model, _ = placed
    done = aectl("detect", model, "--calibrate", "normal", "--fit-to", "known", *HOW,
                 "--out", "m.safetensors")  # fmt: skip
    assert done.status == 0
    wanted = aectl("detect", model, "new", *FITTED, *HOW, "--boxes")
    found = aectl("detect", "m.safetensors", "new", "--boxes")
    assert (found.status, found.out) == (0, wanted.out)
    assert aectl("info", "m.safetensors", "--verify").status == 0


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--model", "conv-autoencoder", "--hidden", "4,3", "--bottleneck", "vector"),
        ("--model", "patch-autoencoder", *OPTIONS["patch-autoencoder"], "--mirror"),
    ],
    ids=["dense", "vector", "mirror"],
)
@pytest.mark.parametrize("more", [(), ("--boxes",)])
def test_a_code_without_places_is_refused(aectl, trained, options, more):
    model = trained("--epochs", "1", *options)
    done = aectl("detect", model, "digits:test", "--normal", "digits:test", *HOW, *more)
    assert (done.status, done.out) == (2, "")
    assert "--score places needs a code at each place of an image, which" in done.err


def test_a_stack_marks_places_though_it_reconstructs_no_images(aectl, trained, folders):
    first = trained("--model", "patch-autoencoder", "--epochs", "1", *OPTIONS["patch-autoencoder"])
    options = ("--hidden", 4, "--kernel-size", 3, "--filter-size", 3, "--grid", 2, "--epochs", 1)
    assert aectl("train", "--model", "conv-wta-autoencoder", "--encoder", first, *options,
                 "--out", "second").status == 0  # fmt: skip
    words = ("second", "new", *FITTED, "--alarm-rate", 0.05, "--maps", "maps")
    done = aectl("detect", *words, "--score", "places")
    assert done.status == 0
    assert np.asarray(Image.open("maps/raw/new/200.png")).shape == (8, 8)
    done = aectl("detect", *words, "--score", "neighbours")
    assert (done.status, done.out) == (2, "")
    assert "maps need reconstructed images" in done.err


def test_planted_defects_are_found_and_marked(aectl, inspected):
    options = ("--model", "patch-autoencoder", "--patch-size", 6, "--stride", 2, "--grid", 8,
               "--overlap", 1, "--pool", "max", "--patches", 2000, "--hidden", 16)  # fmt: skip
    assert aectl("train", "--dataset", "train", *options, "--epochs", 3, "--out", "p").status == 0
    words = ("--normal", "normal", "--fit-to", "train", *HOW)
    done = aectl("eval", "p", "--dataset", "test", "--detect", *words, "--json")
    (found,) = json.loads(done.out)
    assert found["auroc"] > 0.9
    assert found["pixel_auroc"] > 0.9
    rows = rows_of(aectl("detect", "p", "test", *words, "--maps", "maps").out)
    raw, truth = [], []
    for row in rows:
        mask = inspected / row["path"].replace("test/", "ground_truth/").replace(
            ".png", "_mask.png"
        )
        raw.append(np.asarray(Image.open(f"maps/raw/{row['path']}")))
        there = np.asarray(Image.open(mask)) > 127 if mask.exists() else np.zeros(raw[0].shape)
        truth.append(there.astype(bool))
    assert roc_auc_score(np.ravel(truth), np.ravel(raw)) > 0.9


def test_the_function_gives_the_maps_of_the_command(trained, folders):
    model = trained("--model", "patch-autoencoder", "--epochs", "1", *OPTIONS["patch-autoencoder"])
    found = package.detect(
        model, "new", normal="normal", fit_to="known", score="places", alarm_rate=0.05, maps=True
    )
    marked = [item.marked for item in found]
    assert np.concatenate([one.maps for one in marked]).shape == (20, 8, 8)
    assert all(one.maps.max() <= one.threshold or any(one.regions) for one in marked)
