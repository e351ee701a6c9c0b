"""`aectl detect --maps` and `--boxes`, on planted defects of known place."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from scipy.stats import betabinom
from sklearn.metrics import roc_auc_score

import aectl as package
from aectl.errors import ConfigError
from aectl.inference import calibrating
from aectl.models import model_file

RATE = 0.05
WORDS = ("--normal", "normal", "--alarm-rate", RATE, "--label-from-folder")
CYAN = (0, 229, 255)


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def masks(folder, rows):
    """The pixels of the defect of each row."""
    for row in rows:
        name = folder / row["path"].replace("test/", "ground_truth/").replace(".png", "_mask.png")
        yield np.asarray(Image.open(name)) > 127 if name.exists() else np.zeros((32, 32), bool)


def test_raw_maps_find_the_planted_defects(aectl, inspected, tmp_path):
    done = aectl("detect", inspected / "model", "test", *WORDS, "--maps", tmp_path / "maps")
    assert done.status == 0
    rows = rows_of(done.out)
    assert list(rows[0]) == ["path", "label", "score", "p_value", "anomaly"]
    raw = [np.asarray(Image.open(tmp_path / "maps" / "raw" / row["path"])) for row in rows]
    assert raw[0].dtype == np.uint16
    truth = np.array(list(masks(inspected, rows)))
    assert truth.any((1, 2)).sum() == 40
    assert roc_auc_score(truth.ravel(), np.array(raw).ravel()) > 0.9


def test_of_normal_images_at_most_the_alarm_rate_has_a_marked_pixel(aectl, inspected):
    """Those that calibrate are 49: of 60 others, the number is beta-binomial."""
    done = aectl("detect", inspected / "model", "test", *WORDS, "--boxes")
    rows = rows_of(done.out)
    marked = {kind: [row for row in rows if row["label"] == kind and row["regions"] != "0"]
              for kind in ("good", "scratch", "spot")}  # fmt: skip
    assert len(marked["good"]) <= betabinom(60, 2, 48).ppf(1 - 1e-4)
    assert len(marked["scratch"]) + len(marked["spot"]) >= 30, done.err


def test_boxes_are_fractions_of_the_image_the_highest_first(aectl, inspected):
    done = aectl("detect", inspected / "model", "test", *WORDS, "--boxes")
    rows = [row for row in rows_of(done.out) if row["label"] != "good" and row["regions"] != "0"]
    found = 0
    for row, mask in zip(rows, masks(inspected, rows), strict=True):
        boxes = json.loads(row["boxes"])
        assert len(boxes) == int(row["regions"])
        left, top, right, bottom = np.array(boxes[0]) * 32
        assert 0 <= left < right <= 32
        assert 0 <= top < bottom <= 32
        found += mask[round(top) : round(bottom), round(left) : round(right)].any()
    assert found >= 0.9 * len(rows)


def test_a_picture_shows_the_image_and_its_marked_regions(aectl, inspected, tmp_path):
    done = aectl("detect", inspected / "model", "test/spot", "normal/000.png", *WORDS, "--boxes",
                 "--maps", tmp_path / "maps")  # fmt: skip
    for row in rows_of(done.out):
        shown = np.asarray(Image.open(tmp_path / "maps" / "shown" / row["path"]))
        assert shown.shape == (384, 2 * 384 + 6, 3)
        assert np.array_equal(shown[:384:12, :384:12], np.asarray(Image.open(row["path"])))
        assert (shown == CYAN).all(2).any() == (row["regions"] != "0")


def test_maps_in_python_are_those_of_the_boxes(aectl, inspected):
    rows = rows_of(aectl("detect", inspected / "model", "test", *WORDS, "--boxes").out)
    found = package.detect(inspected / "model", "test", normal="normal", alarm_rate=RATE, maps=True)
    counts = []
    for result in found:
        assert result.marked.maps.shape == (len(result.paths), 32, 32)
        for one, regions in zip(result.marked.maps, result.marked.regions, strict=True):
            assert [region.highest for region in regions] == sorted(
                [region.highest for region in regions], reverse=True
            )
            assert (one > result.marked.threshold).sum() == sum(r.pixels for r in regions)
            counts.append(len(regions))
    assert counts == [int(row["regions"]) for row in rows]


def test_a_calibrated_model_marks_the_same_pixels(aectl, inspected, tmp_path):
    model = tmp_path / "calibrated.safetensors"
    how = ("--alarm-rate", RATE, "--score", "error", "--out", model)
    assert aectl("detect", inspected / "model", "--calibrate", "normal", *how).status == 0
    wanted = aectl("detect", inspected / "model", "test", *WORDS, "--score", "error", "--boxes").out
    label = "--label-from-folder"
    assert aectl("detect", model, "test", label, "--boxes").out == wanted
    assert aectl("info", model, "--verify").status == 0
    refused = aectl("detect", model, "test", "--boxes", "--alarm-rate", 0.015)
    assert "needs 66 normal inputs to calibrate on, and there are 49" in refused.err
    assert aectl("detect", model, "test", "--alarm-rate", 0.015).status == 0


def test_reference_images_fit_the_calibration_of_pixels_alone(aectl, inspected, tmp_path):
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    words = ("detect", inspected / "model", "--calibrate", "normal", "--alarm-rate", RATE,
             "--score", "error")  # fmt: skip
    assert aectl(*words, "--out", files[0]).status == 0
    done = aectl(*words, "--fit-to", "train", "--out", files[1])
    assert (done.status, done.out) == (0, f"{files[1]}\n")
    alone, fitted = map(load_file, files)
    assert np.array_equal(alone["calibration.scores"], fitted["calibration.scores"])
    counts = [len(one["calibration.pixels.scores"]) for one in (alone, fitted)]
    assert counts == [49, 98]


@pytest.mark.parametrize("before", ["maps", "no maps", "no maps, after a detection"])
def test_the_function_saves_the_calibration_of_pixels_that_the_command_saves(
    aectl, inspected, tmp_path, before
):
    words = ("--calibrate", "normal", "--alarm-rate", RATE, "--out", tmp_path / "a.safetensors")
    assert aectl("detect", inspected / "model", *words).status == 0
    found = package.detect(inspected / "model", "test/spot", normal="normal", alarm_rate=RATE,
                           maps=before == "maps")  # fmt: skip
    if "after" in before:
        assert all(result.marked is None for result in found)
    wanted = load_file(tmp_path / "a.safetensors")
    saved = load_file(found.save(tmp_path / "b.safetensors"))
    assert "calibration.pixels.scores" in wanted
    assert wanted.keys() == saved.keys()
    assert all(np.array_equal(wanted[name], saved[name]) for name in wanted)


def test_names_on_stdin_are_read_once_and_give_no_calibration_of_pixels_afterwards(
    inspected, tmp_path
):
    names = "\n".join(map(str, sorted((inspected / "normal").iterdir()))).encode()
    out = tmp_path / "m.safetensors"
    for maps in (True, False):
        found = package.detect(inspected / "model", "test/spot", normal="-",
                               stdin=io.BytesIO(names), alarm_rate=RATE, maps=maps)  # fmt: skip
        assert sum(len(result.paths) for result in found) == 20
        if maps:
            assert "calibration.pixels.scores" in load_file(found.save(out))
        else:
            with pytest.raises(ConfigError, match="on stdin are read once: detect with maps"):
                found.save(out, overwrite=True)


def test_maps_take_no_memory_from_the_score(aectl, inspected, monkeypatch):
    """There is memory for 60 of the 98 maps, and for all codes."""
    monkeypatch.setattr(calibrating, "MOST_NUMBERS", 60 * 32 * 32)
    words = ("detect", inspected / "model", "test", *WORDS, "--score", "cosine")
    alone, with_maps = aectl(*words), aectl(*words, "--boxes")
    verdicts = [[list(row.values())[:5] for row in rows_of(one.out)] for one in (alone, with_maps)]
    assert verdicts[0] == verdicts[1]
    assert "(alarm rate 0.05, 49 normal images)" in with_maps.err
    assert "for want of memory" not in alone.err
    assert "normal inputs left out of maps, at random, for want of memory: 38\n" in with_maps.err


def test_maps_of_a_model_that_is_calibrated_without_them_are_refused(aectl, inspected, scans):
    train = ("train", "--dataset", scans, "--hidden", 8, "--epochs", 1, "--validation", 0.5)
    assert aectl(*train, "--out", inspected / "run").status == 0
    done = aectl("detect", inspected / "run", scans, "--boxes")
    assert done.status == 2
    assert "maps need normal images, or more: name them with --normal" in done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixels.scores": None}, "its calibration has no scores of normal inputs"),
        ({"pixels.mean": torch.ones(3, 5, 5)}, "do not fit each other"),
        ({"pixels.other": torch.ones(3)}, "has one too many"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(aectl, inspected, tmp_path, change, said):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    how = ("--alarm-rate", RATE, "--out", first)
    assert aectl("detect", inspected / "model", "--calibrate", "normal", *how).status == 0
    network, card = model_file.load(first)
    kept = {**model_file.load_calibration(first), **change}
    model_file.save(
        second, network, card, calibrated={k: one for k, one in kept.items() if one is not None}
    )
    done = aectl("detect", second, "test", "--boxes")
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_a_table_with_boxes_resumes_with_them_alone(aectl, inspected, tmp_path):
    words = ("detect", inspected / "model", *WORDS, "--batch-size", 32, "--out", tmp_path / "t.csv")
    (tmp_path / "no.png").write_bytes(b"no picture")
    assert aectl(*words, "test", tmp_path / "no.png", "--boxes", "--strict").status == 2
    assert "was started with boxes True, not False" in aectl(*words, "test", "--resume").err
    other = aectl(*words, "test", "--boxes", "--fit-to", "train", "--resume")
    assert "was started with calibration " in other.err
    maps = ("--maps", tmp_path / "maps")
    assert aectl(*words, "test", "normal", "--boxes", *maps, "--resume").status == 0
    assert (tmp_path / "maps" / "raw" / "normal" / "000.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--alarm-rate", 0.015), "needs 66 normal inputs to calibrate on, and there are 49"),
        (
            ("--alarm-rate", RATE, "--maps", "normal"),
            "normal is not empty; --overwrite writes into it",
        ),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_a_line(aectl, inspected, tmp_path, words, said):
    done = aectl("detect", inspected / "model", "test", "--normal", "normal", "--boxes", *words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_text_has_no_maps(aectl, corpus, trained):
    model = trained("--model", "text-autoencoder", "--dataset", str(corpus), "--epochs", "1")
    done = aectl("detect", model, corpus, "--normal", corpus, "--boxes")
    assert done.status == 2
    assert "maps need reconstructed images, which " in done.err
