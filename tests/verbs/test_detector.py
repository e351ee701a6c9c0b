"""`eval --detect`: a model as a detector of anomalies, against scikit-learn and the tables."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import aectl as package
from aectl.inference import detection_quality

HOW = ("--score", "unusual-region", "--alarm-rate", 0.05)


def test_metrics_are_those_of_the_table_and_of_the_raw_maps(aectl, inspected, tmp_path):
    measured = aectl("eval", inspected / "model", "--dataset", "test", "--detect", "--normal",
                     "normal", *HOW, "--json")  # fmt: skip
    (found,) = json.loads(measured.out)
    done = aectl("detect", inspected / "model", "test", "--normal", "normal", *HOW, "--maps",
                 tmp_path / "maps", "--label-from-folder")  # fmt: skip
    rows = list(csv.DictReader(done.out.splitlines()))
    anomalous = np.array([row["label"] != "good" for row in rows])
    scores = np.array([float(row["score"]) for row in rows])
    flagged = np.array([row["anomaly"] == "yes" for row in rows])
    assert found["auroc"] == pytest.approx(roc_auc_score(anomalous, scores))
    assert found["average_precision"] == pytest.approx(average_precision_score(anomalous, scores))
    assert found["false_alarms"] == flagged[~anomalous].mean()
    assert found["detected"] == flagged[anomalous].mean()
    masks, maps = [], []
    for row in rows:
        name = row["path"].replace("test/", "ground_truth/").replace(".png", "_mask.png")
        defective = row["label"] != "good"
        masks.append(np.asarray(Image.open(name)) > 127 if defective else np.zeros((32, 32), bool))
        maps.append(np.asarray(Image.open(tmp_path / "maps" / "raw" / row["path"])))
    rough = roc_auc_score(np.ravel(masks), np.ravel(maps))
    assert found["pixel_auroc"] == pytest.approx(rough, abs=0.01), "raw maps are cut at 0"
    assert found["pixel_auroc"] > 0.9
    assert 0.8 < found["pro"] <= 1
    assert found["n"] == 100


def test_the_function_gives_the_metrics_of_the_command_and_of_a_calibrated_model(
    aectl, inspected, tmp_path
):
    model = tmp_path / "calibrated.safetensors"
    words = ("--calibrate", "normal", *HOW, "--out", model)
    assert aectl("detect", inspected / "model", *words).status == 0
    first = package.evaluate(model, "test", detect=True)
    second = package.evaluate(inspected / "model", "test", detect=True, normal="normal",
                              score="unusual-region", alarm_rate=0.05)  # fmt: skip
    assert {**first, "model": ""} == {**second, "model": ""}
    table = aectl("eval", model, inspected / "model", "--dataset", "test", "--detect", "--normal",
                  "normal", *HOW)  # fmt: skip
    assert "average_precision" in table.out
    assert "pro " in table.out


def test_other_names_of_paths_find_the_same_masks(inspected, monkeypatch):
    how = {"detect": True, "normal": "../normal", "alarm_rate": 0.05}
    monkeypatch.chdir(inspected / "test")
    whole = package.evaluate(inspected / "model", ".", **how)
    for naming in ({"absolute": True}, {"relative_to": "spot"}):
        assert package.evaluate(inspected / "model", ".", **how, **naming) == whole


def test_a_rate_that_the_normal_inputs_do_not_support_leaves_out_what_is_of_it(inspected):
    found = package.evaluate(
        inspected / "model", "test", detect=True, normal="normal", alarm_rate=1e-3
    )
    assert "false_alarms" not in found
    assert "detected" not in found
    assert 0.5 < found["auroc"] <= 1


def test_defects_without_masks_are_told_and_have_no_pixel_metrics(aectl, inspected, tmp_path):
    for kind in ("good", "spot"):
        (tmp_path / "more").mkdir(exist_ok=True)
        (tmp_path / "more" / kind).symlink_to(inspected / "test" / kind)
    done = aectl("eval", inspected / "model", "--dataset", tmp_path / "more", "--detect",
                 "--normal", "normal", "--json", *HOW)  # fmt: skip
    assert "images without a mask of their defect: 20" in done.err
    (found,) = json.loads(done.out)
    assert "auroc" in found
    assert "pixel_auroc" not in found


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A folder with a model of vectors, 50 other normal ones, and 50 of each of two labels."""
    folder = tmp_path_factory.mktemp("vectors")
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 3)) @ random.normal(size=(3, 6))
    rows[300:350] += 5 * random.normal(size=(50, 6))
    np.save(folder / "train.npy", rows[:200].astype(np.float32))
    np.save(folder / "normal.npy", rows[200:250].astype(np.float32))
    labels = ["good"] * 50 + ["odd"] * 50
    lines = [
        ",".join([name, *map(str, row)]) for name, row in zip(labels, rows[250:350], strict=True)
    ]
    (folder / "test.csv").write_text("\n".join(["label,a,b,c,d,e,f", *lines]))
    package.train(folder / "run", dataset=str(folder / "train.npy"), hidden=[3], epochs=40)
    return folder


def test_more_pixels_than_fit_into_memory_have_no_metrics(aectl, inspected, tmp_path, monkeypatch):
    words = ("--detect", "--normal", "normal", "--json", *HOW)
    whole = aectl("eval", inspected / "model", "--dataset", "test", *words)
    wanted = json.loads(whole.out)[0]
    assert "left out" not in whole.err
    monkeypatch.setattr(detection_quality, "MOST_PIXELS", 99 * 32 * 32)
    done = aectl("eval", inspected / "model", "--dataset", "test", *words)
    assert "pixel_auroc and pro are left out: the images have 102,400 pixels" in done.err
    of_inputs = {name: one for name, one in wanted.items() if name not in ("pixel_auroc", "pro")}
    assert json.loads(done.out)[0] == of_inputs
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "test").symlink_to(inspected / "test")
    bare = aectl("eval", inspected / "model", "--dataset", tmp_path / "bare" / "test", *words)
    assert "images without a mask of their defect: 40" in bare.err
    assert "left out" not in bare.err


def test_vectors_are_measured_by_their_labels(aectl, vectors):
    done = aectl("eval", vectors / "run", "--dataset", vectors / "test.csv", "--label-column",
                 "label", "--detect", "--normal", vectors / "normal.npy", "--alarm-rate", 0.1,
                 "--json")  # fmt: skip
    (found,) = json.loads(done.out)
    assert found["auroc"] > 0.9
    assert found["detected"] > 0.5
    assert "pixel_auroc" not in found


def test_inputs_without_a_label_are_neither_normal_nor_anomalies(aectl, vectors, tmp_path):
    rows = np.load(vectors / "normal.npy")
    lines = [",".join([label, *map(str, row)]) for label, row in zip(
        ["good"] * 20 + ["odd"] * 10 + [""] * 20, rows, strict=True
    )]  # fmt: skip
    (tmp_path / "test.csv").write_text("\n".join(["label,a,b,c,d,e,f", *lines]))
    how = ("--detect", "--normal", vectors / "normal.npy", "--alarm-rate", 0.1, "--json")
    done = aectl("eval", vectors / "run", "--dataset", "test.csv", "--label-column", "label", *how)
    assert (done.status, done.out) == (2, "")
    assert "has no label: a detector is measured on inputs in folders named good" in done.err
    bare = aectl("eval", vectors / "run", "--dataset", vectors / "normal.npy", *how)
    assert "has no label: a detector is measured on inputs in folders named good" in bare.err


def test_normal_images_in_folders_below_good_have_no_anomalous_pixel(aectl, inspected, tmp_path):
    (tmp_path / "few" / "good").mkdir(parents=True)
    (tmp_path / "few" / "good" / "monday").symlink_to(inspected / "test" / "good")
    (tmp_path / "few" / "spot").symlink_to(inspected / "test" / "spot")
    (tmp_path / "ground_truth").symlink_to(inspected / "ground_truth")
    done = aectl("eval", inspected / "model", "--dataset", tmp_path / "few", "--detect", "--normal",
                 "normal", "--json", *HOW)  # fmt: skip
    assert "without a mask" not in done.err
    (found,) = json.loads(done.out)
    assert found["n"] == 80
    assert found["pixel_auroc"] > 0.9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--dataset", "test/good", "--detect"), "and in others; these are in good"),
        (("--dataset", "test/spot", "--detect"), "named good, or labelled so, which are normal, and"
         " in others; these are in spot"),
        (("--dataset", "test", "--score", "error"), "and --alarm-rate need --detect"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_in_a_line(aectl, inspected, words, said):
    done = aectl("eval", inspected / "model", *words, "--normal", "normal")
    assert (done.status, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("named", [("--normal", "-"), ("--normal", "normal", "--fit-to", "-")])
def test_names_of_normal_inputs_on_stdin_are_read_by_one_model_alone(aectl, inspected, named):
    words = ("--dataset", "test", "--detect", *named, *HOW)
    names = "\n".join(map(str, sorted((inspected / "train").iterdir()))).encode()
    done = aectl("eval", inspected / "model", inspected / "model", *words, stdin=names)
    assert (done.status, done.out) == (2, "")
    assert "each model reads those of --normal and --fit-to again" in done.err
    assert aectl("eval", inspected / "model", *words, stdin=names).status == 0


def test_a_model_that_is_not_calibrated_and_a_classifier_are_refused(
    aectl, inspected, dense, classifier
):
    done = aectl("eval", dense, "--dataset", "test", "--detect")
    assert "is not calibrated: name normal inputs" in done.err
    done = aectl("eval", classifier, "--dataset", "digits:test", "--detect")
    assert "is a classifier, which detects no anomalies" in done.err
