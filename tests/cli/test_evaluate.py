"""`aectl eval`: one model, several side by side, and several seeds."""

import csv
import ctypes
import json
import signal
import statistics
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

import aectl as package


def digits(rows):
    return np.round(load_digits().images[rows] * (255 / 16)) / 255


TRAIN, TEST = slice(None, -360), slice(-360, None)


def test_figures_are_what_numpy_computes(aectl, dense):
    found = json.loads(aectl("eval", dense, "--json").out)[0]
    model = package.load(dense)
    x = digits(TEST)
    with torch.no_grad():
        code = model.encode(torch.tensor(x[:, None]).float())
        output = model.decode(code).double().numpy()[:, 0]
    squares = (x - output) ** 2
    wanted = {
        "model": str(dense),
        "dataset": "digits",
        "n": 360,
        "mse": squares.mean(),
        "sse": squares.sum() / 360,
        "psnr": 10 * np.log10(1 / squares.mean()),
        "explained_variance": 1 - squares.sum() / ((x - x.mean(0)) ** 2).sum(),
        "mean_activation": code.mean().item(),
        "l0": (code > 0).sum(1).float().mean().item(),
        "dead": ((code > 0).sum(0) == 0).float().mean().item(),
    }
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        approximate = value if isinstance(value, str) else pytest.approx(value, rel=1e-5)
        assert found[name] == approximate, name


def test_per_image_errors_average_to_the_mse_and_sort_worst_first(aectl, dense, tmp_path):
    done = aectl("eval", dense, "--json", "--per-image", "each.csv", "--sort")
    with (tmp_path / "each.csv").open() as file:
        rows = list(csv.DictReader(file))
    errors = [float(row["mse"]) for row in rows]
    assert len(rows) == 360
    assert errors == sorted(errors, reverse=True)
    assert np.mean(errors) == pytest.approx(json.loads(done.out)[0]["mse"], rel=1e-5)
    number = int(rows[0]["path"].removeprefix("digits:test/"))
    assert rows[0]["label"] == str(load_digits().target[-360 + number])


def test_pca_mse_is_scikit_learn_s_for_each_of_several_models(aectl, dense, trained):
    small = trained("--epochs", "2", "--hidden", "12")
    found = json.loads(aectl("eval", dense, small, dense, "--json", "--pca").out)
    train, test = (digits(rows).reshape(-1, 64) for rows in (TRAIN, TEST))
    for report, units in zip(found, (32, 12, 32), strict=True):
        pca = PCA(units, svd_solver="full").fit(train)
        error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean()
        assert report["pca_mse"] == pytest.approx(error, rel=1e-4)


def test_probe_error_is_near_that_of_a_linear_classifier_on_the_codes(aectl, dense):
    found = json.loads(aectl("eval", dense, "--json", "--probe").out)[0]
    model = package.load(dense)
    with torch.no_grad():
        codes = [
            model.encode(torch.tensor(digits(rows)[:, None]).float()).numpy()
            for rows in (TRAIN, TEST)
        ]
    labels = load_digits().target
    linear = LogisticRegression(max_iter=5000).fit(codes[0], labels[TRAIN])
    error = 100 * (1 - linear.score(codes[1], labels[TEST]))
    assert found["probe_error"] == pytest.approx(error, abs=2)


def test_several_models_stand_side_by_side_with_their_difference(aectl, trained, dense):
    wide = trained("--epochs", "20", "--hidden", "48")
    first, second = json.loads(aectl("eval", dense, wide, "--json").out)
    done = aectl("eval", dense, wide)
    line = next(line for line in done.out.splitlines() if line.startswith("mse"))
    shown = [float(word) for word in line.split()[1:]]
    wanted = [first["mse"], second["mse"], second["mse"] - first["mse"]]
    assert shown == pytest.approx(wanted, rel=1e-3)
    rows = list(csv.DictReader(aectl("eval", dense, wide, "--csv").out.splitlines()))
    assert [float(row["mse"]) for row in rows] == [first["mse"], second["mse"]]


def test_seeds_are_shown_as_mean_and_standard_deviation(aectl):
    options = ["--dataset", "digits", "--epochs", "2", "--seeds", "3", "--out", "r"]
    models = aectl("train", "-q", *options).out.split()
    errors = [result["mse"] for result in json.loads(aectl("eval", *models, "--json").out)]
    done = aectl("eval", *models)
    assert "r (3 seeds)" in done.out
    line = next(line for line in done.out.splitlines() if line.startswith("mse"))
    mean, _, deviation = line.split()[1:]
    assert float(mean) == pytest.approx(statistics.mean(errors), rel=1e-3)
    assert float(deviation) == pytest.approx(statistics.stdev(errors), rel=1e-3)


def test_a_classifier_s_report_counts_its_confusions(aectl, classifier):
    found = json.loads(aectl("eval", classifier, "--json").out)[0]
    confusion = np.array(found["confusion"])
    assert confusion.sum() == found["n"] == 360
    assert confusion.sum(1).tolist() == np.bincount(load_digits().target[TEST]).tolist()
    assert found["accuracy"] == pytest.approx(confusion.trace() / 360)
    assert found["error"] == pytest.approx(100 - 100 * found["accuracy"])
    assert found["classes"] == [str(digit) for digit in range(10)]
    assert found["recall"] == pytest.approx(confusion.diagonal() / confusion.sum(1))
    assert found["precision"] == pytest.approx(confusion.diagonal() / confusion.sum(0))
    row = next(csv.DictReader(aectl("eval", classifier, "--csv").out.splitlines()))
    assert json.loads(row["confusion"]) == found["confusion"]
    assert json.loads(row["precision"]) == found["precision"]


@pytest.mark.parametrize("value", [0, 26, 128, 255])
def test_the_report_of_images_that_are_all_alike_is_json(aectl, dense, tmp_path, value):
    (tmp_path / "flat").mkdir()
    for number in range(3):
        Image.new("L", (8, 8), value).save(tmp_path / "flat" / f"{number}.png")

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    done = aectl("eval", dense, "--dataset", "flat", "--json")
    found = json.loads(done.out, parse_constant=refuse)[0]
    assert found["explained_variance"] is None
    words = aectl("eval", dense, "--dataset", "flat").out.split()
    assert words[words.index("explained_variance") + 1] == "nan"


def test_a_folder_of_classes_measures_a_classifier(aectl, classifier, scans, tmp_path):
    labels = load_digits().target[TEST]
    for name, label in zip(sorted(path.name for path in scans.iterdir()), labels, strict=True):
        (tmp_path / "set" / str(label)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / str(label) / name).write_bytes((scans / name).read_bytes())
    by_name = json.loads(aectl("eval", classifier, "--json").out)[0]
    by_folder = json.loads(aectl("eval", classifier, "--dataset", "set", "--json").out)[0]
    assert by_folder["confusion"] == by_name["confusion"]


def test_inputs_without_labels_cannot_measure_a_classifier(aectl, classifier, scans):
    done = aectl("eval", classifier, "--dataset", scans)
    assert done.status == 2
    assert f"the label '{scans.name}' is not one of" in done.err


@pytest.fixture
def zoo(scans, tmp_path):
    """A folder of the classes 0 to 9 that the digits have, and of one more."""
    labels = [*load_digits().target[TEST][:40], *["owl"] * 7]
    for number, label in enumerate(labels):
        (tmp_path / "zoo" / str(label)).mkdir(parents=True, exist_ok=True)
        name = f"{number:03d}.png"
        (tmp_path / "zoo" / str(label) / name).write_bytes((scans / name).read_bytes())
    return labels


def test_classes_that_a_classifier_does_not_know_are_refused_or_left_out_and_counted(
    aectl, classifier, zoo, tmp_path
):
    refused = aectl("eval", classifier, "--dataset", "zoo")
    assert (refused.status, refused.out) == (2, "")
    assert "'owl' is not one of the model's 10 classes" in refused.err
    assert "--skip-unknown leaves" in refused.err
    done = aectl("eval", classifier, "--dataset", "zoo", "--skip-unknown", "--json",
                 "--report", "page.html")  # fmt: skip
    assert done.status == 0
    assert "left out, of classes that the model does not know: 7" in done.err
    page = (tmp_path / "page.html").read_text()
    assert "measured on 40 images of zoo; 7 of unknown classes left out" in page
    found = json.loads(done.out)[0]
    assert (found["n"], found["unknown"], np.sum(found["confusion"])) == (40, 7, 40)
    known = aectl("eval", classifier, "--dataset", "zoo", "--exclude", "owl", "--json")
    wanted = json.loads(known.out)[0]
    assert [found[name] for name in wanted] == list(wanted.values())


def test_of_a_folder_of_unknown_classes_alone_nothing_is_measured(aectl, classifier, zoo):
    done = aectl("eval", classifier, "--dataset", "zoo/owl", "--skip-unknown")
    assert (done.status, done.out) == (2, "")
    assert "the input has 7 labelled inputs, and the model knows none of" in done.err
    assert "their classes: owl; it knows 0, 1, 2" in done.err


def test_classes_whose_precision_or_recall_is_not_defined_are_named(aectl, classifier):
    done = aectl("eval", classifier, "--dataset", "digits:test/0", "--json")
    (result,) = json.loads(done.out)
    nothing = {
        name: [c for c, x in zip(result["classes"], result[name], strict=True) if x is None]
        for name in ("precision", "recall")
    }
    assert [len(classes) for classes in nothing.values()] == [9, 9]
    told = "precision is nan for classes that are never predicted: "
    assert told + ", ".join(nothing["precision"]) + "\n" in done.err
    told = "recall is nan for classes of which there are no inputs: "
    assert told + ", ".join(nothing["recall"]) + "\n" in done.err
    assert " is nan " not in aectl("eval", classifier).err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--pca"], "fitted on digits:train: PCA\n"),
        (["--pca", "--probe"], "fitted on digits:train: PCA and the probe\n"),
        ([], None),
    ],
)
def test_the_data_that_baselines_are_fitted_on_are_told_once(aectl, dense, options, told):
    done = aectl("eval", dense, dense, *options, "--dataset", "digits:test")
    assert done.status == 0, done.err
    assert done.err.count(told or "fitted on") == (told is not None)


def test_leaving_out_unknown_classes_has_no_meaning_for_an_autoencoder(aectl, dense):
    done = aectl("eval", dense, "--skip-unknown")
    assert done.status == 2
    assert "--skip-unknown has no effect without a classifier; leave it out" in done.err


def test_a_table_of_each_image_has_its_label_and_goes_to_stdout(aectl, dense, zoo, tmp_path):
    done = aectl("eval", dense, "--dataset", "zoo", "--per-image", "-", "--sort")
    rows = list(csv.DictReader(done.out.splitlines()))
    assert sorted(row["label"] for row in rows) == sorted(map(str, zoo))
    errors = [float(row["mse"]) for row in rows]
    assert errors == sorted(errors, reverse=True)
    assert "explained_variance" in done.err
    aectl("eval", dense, "--dataset", "zoo", "--per-image", "t.csv", "--sort")
    assert (tmp_path / "t.csv").read_text() == done.out
    for kind in ("--json", "--csv"):
        both = aectl("eval", dense, "--dataset", "zoo", "--per-image", "-", kind)
        assert (both.status, both.out) == (2, "")
        assert "--per-image -, --json and --csv all use stdout" in both.err


def test_a_table_of_each_text_has_its_label(aectl, tmp_path):
    (tmp_path / "t.tsv").write_text("".join(f"{'ab'[n % 2]}\tword {n}\n" for n in range(8)))
    options = ("--hidden", "8,8", "--epochs", "1", "--vocabulary", "300", "--out", "r")
    done = aectl("train", "-q", "--model", "text-autoencoder", "--dataset", "t.tsv", *options)
    assert done.status == 0
    rows = list(csv.DictReader(aectl("eval", "r", "--per-image", "-").out.splitlines()))
    assert [row["label"] for row in rows] == ["a", "b"] * 4
    assert rows[3]["text"] == "word 3"


def test_the_same_model_twice_is_no_further_seed(aectl, dense):
    done = aectl("eval", dense, dense / "model.safetensors")
    assert "seeds" not in done.out
    assert "difference" in done.out


def test_a_probe_needs_more_than_one_class(aectl, trained, scans, tmp_path):
    (tmp_path / "set" / "only").mkdir(parents=True)
    for name in ("000.png", "001.png"):
        (tmp_path / "set" / "only" / name).write_bytes((scans / name).read_bytes())
    assert aectl("train", "-q", "--dataset", "set", "--epochs", "1", "--out", "r").status == 0
    done = aectl("eval", "r", "--probe")
    assert done.status == 2
    assert "two classes" in done.err


LONG = {
    "sklearn.manifold.TSNE.fit_transform": ("--report", "page.html", "--map", "tsne"),
    "sklearn.linear_model.LogisticRegression.fit": ("--probe",),
    "torch.linalg.eigh": ("--pca",),
    "torch.pca_lowrank": ("--report", "page.html"),
}


@pytest.mark.parametrize("computation", LONG)
def test_ctrl_c_does_not_wait_for_the_end_of_a_long_computation(
    aectl, dense, tmp_path, monkeypatch, computation
):
    """In its place stands native code that returns late, and to which no signal is sent."""
    ended = []

    def asleep(*_, **__):
        threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
        try:
            ctypes.CDLL(None).usleep(2_000_000)
        finally:
            ended.append(computation)

    monkeypatch.setattr(computation, asleep)
    done = aectl("eval", dense, *LONG[computation])
    assert ended == []
    assert (done.status, done.out, list(tmp_path.iterdir())) == (130, "", [])
    assert "interrupted" in done.err


@pytest.mark.parametrize("kind", ["folder", "image", "dataset"])
def test_images_given_after_a_model_are_refused_with_the_option_for_them(aectl, dense, scans, kind):
    images = {"folder": scans, "image": min(scans.glob("*.png")), "dataset": "digits:test"}
    done = aectl("eval", dense, images[kind])
    assert done.status != 0
    assert str(images[kind]) in done.err
    assert done.err.endswith("; images to measure are given by --dataset\n")
