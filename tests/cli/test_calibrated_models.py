"""Models that keep a calibration: by training, and by `aectl detect --calibrate`."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import LINES
from PIL import Image
from safetensors.numpy import load_file

import aectl as package
from aectl.modalities import images
from aectl.models import model_file


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


@pytest.mark.parametrize("score", ["error", "ssim", "unusual-region", "mahalanobis", "fisher"])
def test_a_calibrated_model_gives_the_rows_that_normal_inputs_give(
    aectl, dense, scans, score, tmp_path
):
    how = ("--score", score, "--alarm-rate", "0.05")
    done = aectl("detect", dense, "--calibrate", "digits:test", *how, "--out", "m.safetensors")
    assert (done.status, done.out) == (0, "m.safetensors\n")
    wanted = aectl("detect", dense, scans, "--normal", "digits:test", *how)
    found = aectl("detect", "m.safetensors", scans)
    assert (found.status, found.out) == (0, wanted.out)
    encoded = [aectl("encode", model, scans).out for model in (dense, "m.safetensors")]
    assert encoded[0] == encoded[1], "other commands are not changed"
    assert aectl("info", "m.safetensors", "--verify").status == 0


def test_info_shows_the_calibration_beside_the_weights(aectl, dense):
    how = ("--score", "error", "--out", "m.safetensors")
    aectl("detect", dense, "--calibrate", "digits:test", *how)
    told = json.loads(aectl("info", "m.safetensors", "--json").out)
    assert told["calibration"] == {
        "score": "error", "alarm_rate": 0.01, "n": 360, "fitted_to": 0, "on": ["digits:test"],
        "size": {"shape": [1, 8, 8]},
    }  # fmt: skip
    assert told["weights"] == json.loads(aectl("info", dense, "--json").out)["weights"]
    assert told["tensors"]["calibration.scores"] == [360]
    assert "calibration.n " in aectl("info", "m.safetensors").out
    assert "calibration" not in json.loads(aectl("info", dense, "--json").out)


@pytest.mark.parametrize(
    ("words", "score"),
    [
        (("--dataset", "digits", "--hidden", "16"), "unusual-region"),
        (("--dataset", "digits", "--model", "patch-autoencoder", "--patch-size", "3", "--hidden",
          "8"), "neighbours"),
        (("--dataset", "rows.npy", "--hidden", "4"), "code-and-error"),
        (("--dataset", "rows.npy", "--hidden", "5", "--sparsity", "topk", "--k", "2"), "error"),
    ],
)  # fmt: skip
def test_the_usual_score_is_that_of_the_kind_of_model(aectl, tmp_path, words, score):
    rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    how = ("--epochs", 1, "--validation", 0.4, "--out", "run")
    assert aectl("train", *words, *how).status == 0
    kept = json.loads(aectl("info", "run", "--json").out)["calibration"]
    assert kept["score"] == score
    assert (kept["fitted_to"] > 0) == (score != "error")
    assert aectl("detect", "run", "rows.npy" if "rows.npy" in words else "digits:test").status == 0


@pytest.mark.parametrize("kind", ["autoencoder", "conv-autoencoder"])
def test_training_calibrates_on_the_images_that_it_held_out(aectl, scans, tmp_path, kind):
    hidden = "16" if kind == "autoencoder" else "4,3"
    done = aectl("train", "--dataset", scans, "--model", kind, "--hidden", hidden, "--epochs", 2,
                 "--validation", 0.3, "--out", "run")  # fmt: skip
    assert done.status == 0
    told = json.loads(aectl("info", "run", "--json").out)["calibration"]
    assert (told["n"], told["score"], told["on"]) == (108, "unusual-region", [f"{scans}, held out"])
    assert told["fitted_to"] == 252
    kept = load_file(tmp_path / "run" / "model.safetensors")["calibration.scores"]
    by_hand = rows_of(aectl("detect", "run", scans).out)
    known = set(json.loads(aectl("info", "run", "--json").out)["training"]["held_out"])
    assert len(known) == 108
    scores = column(by_hand, "score")
    assert np.isin(kept, np.float32(scores)).all()
    counts = [(1 + (kept >= np.float32(score)).sum()) / 109 for score in scores]
    assert column(by_hand, "p_value").tolist() == counts
    fitted = aectl("detect", "run", scans, "--normal", scans, "--fit-to", scans)
    assert rows_of(fitted.out) == by_hand


def test_training_calibrates_on_vectors_and_text_that_it_held_out(aectl, corpus, tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    words = ("--validation", 0.4, "--epochs", 2, "-q", "--out")
    assert aectl("train", "--dataset", "rows.npy", "--hidden", 2, *words, "v").status == 0
    text = ("--model", "text-autoencoder", "--hidden", "8,4", "--dataset", corpus)
    for part in ("a", "b"):
        (tmp_path / "texts" / part).mkdir(parents=True)
        (tmp_path / "texts" / part / "t.txt").write_text("\n".join(LINES) + "\n")
    text = ("--model", "text-autoencoder", "--hidden", "8,4", "--dataset", "texts")
    assert aectl("train", *text, "--validation", 0.5, *words[2:], "t").status == 0
    counts = {}
    for model in "vt":
        counts[model] = json.loads(aectl("info", model, "--json").out)["calibration"]["n"]
    assert counts == {"v": 120, "t": 100}
    found = rows_of(aectl("detect", "v", "rows.npy").out)
    kept = load_file(tmp_path / "v" / "model.safetensors")["calibration.scores"]
    assert np.isin(kept, np.float32(column(found, "score"))).all()
    assert aectl("detect", "t", "texts", "--alarm-rate", 0.1).status == 0
    learnt = aectl("detect", "v", "rows.npy", "--normal", "rows.npy")
    assert learnt.status == 2
    assert learnt.err.endswith("or on what it held out, without --normal\n")


def test_training_does_not_calibrate_on_what_the_model_before_may_have_learnt(aectl, scans):
    words = ("train", "--dataset", scans, "--epochs", 1, "--hidden", 16)
    assert aectl(*words, "--validation", 0, "--out", "a").status == 0
    done = aectl(*words, "--load", "a", "--validation", 0.3, "--out", "b")
    assert done.status == 0
    assert "not calibrated: a may have learnt from what was held out; aectl detect" in done.err
    assert "calibration" not in json.loads(aectl("info", "b", "--json").out)
    assert aectl("detect", "b", scans).status == 2
    done = aectl(*words, "--load", "a", "--validation", 0, "--out", "c")
    assert "not calibrated" not in done.err


def test_training_calibrates_on_large_images(aectl, tmp_path):
    (tmp_path / "large").mkdir()
    rows = np.linspace(0, 200, 1200)
    for place in range(12):
        grey = (rows[:, None, None] + np.array([place, 20, 40])).astype(np.uint8)
        image = Image.fromarray(np.repeat(grey, 1200, 1))
        image.save(tmp_path / "large" / f"{place}.png", compress_level=1)
    done = aectl("train", "--dataset", "large", "--size", "1200", "--model", "conv-autoencoder",
                 "--hidden", "1,1", "--epochs", 1, "--validation", 0.2, "--out", "run")  # fmt: skip
    assert done.status == 0, done.err
    assert "not calibrated" not in done.err
    told = json.loads(aectl("info", "run", "--json").out)
    assert told["calibration"]["size"] == {"shape": [3, 1200, 1200]}
    assert (told["calibration"]["fitted_to"], told["calibration"]["n"]) == (10, 2)


def test_training_calibrates_on_as_many_as_the_usual_rate_needs_of_images_too_large_for_more(
    aectl, scans, monkeypatch
):
    monkeypatch.setattr(images, "MAP_NUMBERS", 1)
    monkeypatch.setattr(images, "HELD_OUT_VALUES", 1)
    done = aectl("train", "--dataset", scans, "--model", "autoencoder", "--hidden", 4, "--epochs",
                 1, "--validation", 0.3, "--out", "run")  # fmt: skip
    assert done.status == 0
    told = json.loads(aectl("info", "run", "--json").out)["calibration"]
    assert (told["fitted_to"], told["n"]) == (2, 99)
    assert aectl("detect", "run", scans).status == 0


def test_a_notice_tells_why_training_could_not_calibrate(aectl, scans, tmp_path):
    (tmp_path / "few").mkdir()
    for name in ("000.png", "001.png"):
        (tmp_path / "few" / name).write_bytes((scans / name).read_bytes())
    done = aectl("train", "--dataset", "few", "--model", "autoencoder", "--hidden", 2, "--epochs",
                 2, "--validation", 0.5, "--out", "run")  # fmt: skip
    assert done.status == 0
    told = "not calibrated: there are too few normal inputs to fit the score to; aectl detect"
    assert done.err.count(told) == 1
    assert "calibration" not in json.loads(aectl("info", "run", "--json").out)


def test_training_that_holds_out_nothing_or_classifies_keeps_no_calibration(dense, classifier):
    for model in (dense, classifier):
        assert not [n for n in load_file(model / "model.safetensors") if "calibration" in n]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "m.safetensors is not calibrated: name normal inputs that it did not learn from"),
        (("--calibrate", "digits:test"), "--calibrate writes a model: name its file with --out"),
        (("--calibrate", "digits:test", "--out", "m.csv"), "the name of a model ends with .safe"),
        (("--calibrate", "digits:test", "--out", "m.safetensors"), "--overwrite replaces it"),
        (("x", "--calibrate", "digits:test"), "--calibrate reads normal inputs alone"),
        (("--calibrate", "digits:test", "--resume"), "--calibrate detects nothing"),
        (("--calibrate", "few", "--out", "n.safetensors"), "too few normal inputs to fit"),
        (("--calibrate", "few", "--score", "error", "--out", "n.safetensors"), "rates from 0.5"),
    ],
)
def test_what_does_not_calibrate_is_refused_in_a_line(aectl, dense, scans, tmp_path, words, said):
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "0.png").write_bytes((scans / "000.png").read_bytes())
    (tmp_path / "m.safetensors").write_bytes((dense / "model.safetensors").read_bytes())
    done = aectl("detect", "m.safetensors", *words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "n.safetensors").exists()


def test_a_calibrated_model_takes_other_rates_and_other_normal_inputs(aectl, dense, scans):
    aectl("detect", dense, "--calibrate", "digits:test", "--alarm-rate", 0.05, "--score", "error",
          "--out", "m.safetensors")  # fmt: skip
    assert "(alarm rate 0.05, 360 normal images)" in aectl("detect", "m.safetensors", scans).err
    lower = aectl("detect", "m.safetensors", scans, "--alarm-rate", 0.001)
    assert "these support rates from 0.00278" in lower.err
    other = aectl("detect", "m.safetensors", scans, "--score", "neighbours")
    assert "is calibrated for --score error: --score neighbours needs --normal" in other.err
    words = ("--normal", scans, "--score", "neighbours")
    again = aectl("detect", "m.safetensors", scans, *words)
    assert "(alarm rate 0.05, 180 normal images)" in again.err


def test_a_calibration_of_another_size_is_refused_where_it_is_used(aectl, dense, scans, tmp_path):
    network, card = model_file.load(dense)
    words = ("detect", dense, "--calibrate", "digits:test", "--score", "error", "--out")
    assert aectl(*words, "m.safetensors").status == 0
    calibration = model_file.read_card(tmp_path / "m.safetensors").calibration
    other = dataclasses.replace(calibration, size={"shape": [1, 28, 28]})
    card = dataclasses.replace(card, calibration=other)
    scores = {"scores": torch.ones(360)}
    model_file.save(tmp_path / "m.safetensors", network, card, calibrated=scores)
    done = aectl("detect", "m.safetensors", scans)
    assert (done.status, done.out) == (2, "")
    assert "it is calibrated on inputs with shape: [1, 28, 28], and takes those with" in done.err
    assert aectl("encode", "m.safetensors", scans).status == 0
    assert aectl("detect", "m.safetensors", scans, "--normal", "digits:test").status == 0


def test_the_function_saves_a_calibrated_model(dense, scans, tmp_path):
    saved = package.detect(dense, normal="digits:test").save(tmp_path / "m.safetensors")
    found = package.detect(saved, str(scans))
    assert sum(len(result.anomaly) for result in found) == found.count == 360
