"""`encode`, `reconstruct`, `classify` and `info` on every kind of input."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

import aectl as package


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def features(rows):
    names = [name for name in rows[0] if name[0] == "f"]
    return np.array([[np.float32(row[name]) for name in names] for row in rows], np.float32)


def test_codes_are_what_numpy_computes_from_the_weights(aectl, dense):
    weights = load_file(dense / "model.safetensors")
    pixels = np.round(load_digits().images[-360:] * (255 / 16)).reshape(360, 64) / 255
    pixels = pixels - weights["encoder.center"]
    wanted = pixels @ weights["encoder.layers.0.weight"].T + weights["encoder.layers.0.bias"]
    rows = rows_of(aectl("encode", dense).out)
    assert list(rows[0])[:3] == ["path", "label", "f0"]
    assert rows[17]["path"] == "digits:test/17"
    assert [row["label"] for row in rows] == [str(label) for label in load_digits().target[-360:]]
    np.testing.assert_allclose(features(rows), np.maximum(wanted, 0), atol=1e-5)


def test_a_csv_of_codes_reads_back_bit_for_bit(aectl, dense, tmp_path):
    assert aectl("encode", dense, "--out", "codes.csv").status == 0
    assert aectl("encode", dense, "--out", "codes.npz").status == 0
    read = features(rows_of((tmp_path / "codes.csv").read_text()))
    held = np.load(tmp_path / "codes.npz")["features"]
    np.testing.assert_array_equal(read.view(np.uint32), held.view(np.uint32))


@pytest.mark.parametrize("size", [1, 7, 360])
def test_codes_do_not_depend_on_the_batch_size(aectl, dense, size):
    usual = features(rows_of(aectl("encode", dense).out))
    other = features(rows_of(aectl("encode", dense, "--batch-size", size).out))
    np.testing.assert_allclose(other, usual, atol=1e-5)


def test_files_folders_datasets_and_stdin_give_the_same_codes(aectl, dense, scans):
    files = sorted(scans.iterdir())
    by_name = features(rows_of(aectl("encode", dense, "digits:test").out))
    by_folder = rows_of(aectl("encode", dense, scans).out)
    by_file = rows_of(aectl("encode", dense, *files).out)
    by_stdin = rows_of(aectl("encode", dense, "-", stdin="\n".join(map(str, files)).encode()).out)
    by_null = aectl("encode", dense, "-", "-0", stdin="\0".join(map(str, files)).encode())
    assert [row["path"] for row in by_folder] == [str(path) for path in files]
    assert by_folder == by_file == by_stdin == rows_of(by_null.out)
    assert "label" not in by_folder[0]
    np.testing.assert_allclose(features(by_folder), by_name, atol=1e-5)


def test_a_bad_file_is_named_and_its_neighbours_keep_their_rows(aectl, dense, scans, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    first, second = scans / "000.png", scans / "001.png"
    whole = aectl("encode", dense, first, second)
    done = aectl("encode", dense, first, bad, second, "--errors", "errors.csv")
    assert done.status == 1
    assert done.out == whole.out
    assert str(bad) in done.err
    errors = rows_of((tmp_path / "errors.csv").read_text())
    assert [row["path"] for row in errors] == [str(bad)]
    assert errors[0]["reason"]


def test_nothing_readable_is_status_two_and_writes_nothing(aectl, dense, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    done = aectl("encode", dense, "bad.png", "--out", "codes.csv")
    assert (done.status, done.out) == (2, "")
    assert not (tmp_path / "codes.csv").exists()


def test_classify_gives_the_same_labels_for_a_dataset_and_its_files(aectl, classifier, scans):
    by_name = rows_of(aectl("classify", classifier, "digits:test").out)
    by_file = rows_of(aectl("classify", classifier, scans).out)
    assert list(by_name[0]) == ["path", "label", "prediction", "probability"]
    assert [r["prediction"] for r in by_name] == [r["prediction"] for r in by_file]
    right = np.mean([row["label"] == row["prediction"] for row in by_name])
    measured = json.loads(aectl("eval", classifier, "--json").out)[0]
    assert measured["accuracy"] == pytest.approx(right)
    assert right > 0.7


def test_top_k_lists_further_classes_the_likeliest_first(aectl, classifier):
    rows = rows_of(aectl("classify", classifier, "--top-k", "10").out)
    for row in rows[:20]:
        classes = [row["prediction"], *(row[f"prediction_{k}"] for k in range(2, 11))]
        likely = [
            float(row["probability"]),
            *(float(row[f"probability_{k}"]) for k in range(2, 11)),
        ]
        assert sorted(classes) == list("0123456789")
        assert likely == sorted(likely, reverse=True)
        assert sum(likely) == pytest.approx(1, abs=1e-5)


FORMATS = Path(__file__).parents[1] / "formats"


def test_info_verifies_weights_and_description_when_asked(aectl, dense, tmp_path):
    for path, whole in ((dense, True), (FORMATS / "1-dense.safetensors", False)):
        said = json.loads(aectl("info", path, "--json", "--verify").out)
        assert (said["weights_verified"], said["description_verified"]) == (True, whole)
    content = bytearray((dense / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "m.safetensors").write_bytes(content)
    assert aectl("info", "m.safetensors").status == 0
    done = aectl("info", "m.safetensors", "--verify")
    assert (done.status, done.out) == (2, "")
    assert "not those that were saved" in done.err


def test_info_shows_what_the_file_holds(aectl, dense):
    described = json.loads(aectl("info", dense, "--json").out)
    tensors = load_file(dense / "model.safetensors")
    assert described["tensors"] == {k: list(v.shape) for k, v in sorted(tensors.items())}
    assert described["architecture"]["hidden"] == [32]
    assert described["training"]["options"]["dataset"] == "digits"
    assert described["weights"] == 2 * 64 * 32 + 32 + 64 + 64  # with biases and the center
    assert described["bytes"] == (dense / "model.safetensors").stat().st_size
    lines = aectl("info", dense).out.splitlines()
    assert ["weights", "4,256"] in [line.split() for line in lines]
    assert ["architecture.hidden", "32"] in [line.split() for line in lines]


def test_load_gives_a_module_for_notebooks(dense, scans):
    model = package.load(dense / "model.safetensors")
    image = model.image(scans / "000.png")
    assert image.shape == (1, 8, 8)
    assert 0 <= image.min() <= image.max() <= 1
    code = model.encode(image[None])
    torch.testing.assert_close(model.decode(code), model.reconstruct(image[None]))
    assert code.shape == (1, 32)


def test_load_of_a_classifier_names_its_classes(classifier, scans):
    model = package.load(classifier)
    likely = model.probabilities(model.image(scans / "000.png")[None])
    assert likely.sum().item() == pytest.approx(1, abs=1e-5)
    assert model.classes == tuple("0123456789")


def test_a_model_whose_folder_is_elsewhere_asks_for_an_input(aectl, scans, tmp_path):
    (tmp_path / "set").symlink_to(scans)
    assert aectl("train", "-q", "--dataset", "set", "--epochs", "1", "--out", "r").status == 0
    assert "measured on what was held out of set" in aectl("eval", "r").err
    (tmp_path / "set").unlink()
    done = aectl("eval", "r")
    assert done.status == 2
    assert "trained on set" in done.err
    assert "INPUT" in done.err
