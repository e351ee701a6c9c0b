"""One call of a verb: tables that another version began, and messages about several models."""

import csv
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[1] / "formats" / "3-dense.safetensors"
TABLE = """\
path,label,f0,f1,f2,f3
digits:test/0,2,0.0,0.0,0.0,0.0
digits:test/1,3,0.0,0.21833912,0.0,0.0
"""
RECORD = (
    '{"key": {"aectl": "0.1.0", "verb": "encode", "model":'
    ' "3855f6ab0683f7ff0454574129b2bfb3b252c88558bb3eea3c20967a68fa5553", "device": "auto",'
    ' "threads": null, "max_pixels": 89478485, "truncated": "refuse", "layer": null,'
    ' "normalize": "none", "dtype": "float32", "labelled": true, "batch_size": 256, "layout":'
    ' "columns"}, "kept": {"rows": 2, "size": 94, "crc": 171213449, "position": [2,'
    ' "6c9c8599971357bf782d6c19af9a7142"], "bad": [], "sum": 232044867}}'
)
"""A table and its record, as aectl 0.1.0 wrote them."""


def test_a_table_of_version_0_1_0_is_continued(aectl, tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / ".t.csv.aectl.json").write_text(RECORD)
    inputs = [f"digits:test/{number}" for number in range(3)]
    done = aectl("encode", MODEL, *inputs, "--out", "t.csv", "--resume")
    assert (done.status, done.err) == (0, "")
    assert aectl("encode", MODEL, *inputs, "--out", "whole.csv").status == 0
    assert (tmp_path / "t.csv").read_text().startswith(TABLE)
    continued, whole = (
        list(csv.reader((tmp_path / name).read_text().splitlines()))
        for name in ("t.csv", "whole.csv")
    )
    assert [row[:2] for row in continued] == [row[:2] for row in whole]
    assert continued[3] == whole[3]
    # the rows before it are of another machine, whose processor may round differently
    for row, same in zip(continued[1:3], whole[1:3], strict=True):
        assert [float(value) for value in row[2:]] == pytest.approx(
            [float(value) for value in same[2:]], abs=1e-6
        )


def test_a_warning_about_the_inputs_of_several_models_is_printed_once(aectl, trained, scans):
    """They are each trained on the folder that they are measured on."""
    words = ("--dataset", str(scans), "--validation", "0", "--epochs", "1")
    models = [trained(*words, "--hidden", n) for n in "23"]
    done = aectl("eval", *models)
    assert done.status == 0
    assert done.err == f"warning: measured on {scans}, the data that it was trained on\n"
