"""The error report as JSON, CSV and a table to read."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest

from aectl.cli.metrics_view import to_table
from aectl.outputs.metrics_table import Group, grouped, to_csv, to_json

DENSE = {
    "model": "runs/dense", "dataset": "mnist:test", "n": 10000, "mse": 0.0123456789,
    "sse": 9.679012, "psnr": 19.0848, "explained_variance": 0.81, "dead": 0.0,
}  # fmt: skip
CLASSIFIER = {
    "model": "runs/classifier", "dataset": "pets", "n": 10, "accuracy": 0.7, "error": 30.0,
    "confusion": [[41, 2], [13, 44]],
}  # fmt: skip


def strict(text):
    """JSON as its standard has it: NaN and Infinity are no numbers."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def figures(text):
    """The cells of each line of a table, by the name in its first column."""
    cells = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]
    return {line[0]: line[1:] for line in cells}


def table(*groups, width=200, classes=(), colour=False):
    return to_table(groups, classes, width, colour)


def seeds(name, values):
    return Group(name, [DENSE | {"mse": value} for value in values])


def test_json_is_a_list_of_an_object_a_model():
    assert strict(to_json([DENSE, CLASSIFIER])) == [DENSE, CLASSIFIER]
    assert to_json([DENSE]).endswith("]\n")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_is_null_in_json(value):
    assert strict(to_json([DENSE | {"psnr": value}])) == [DENSE | {"psnr": None}]


def test_csv_has_a_row_a_model_and_a_column_a_figure():
    other = DENSE | {"model": "a,b", "pca_mse": 0.02}
    rows = list(csv.reader(io.StringIO(to_csv([DENSE, other]))))
    assert rows[0] == [*DENSE, "pca_mse"]
    assert rows[1] == [*map(str, DENSE.values()), ""]
    assert rows[2] == [*map(str, other.values())]
    assert float(rows[1][3]) == DENSE["mse"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_of_a_class_that_is_no_number_is_null_in_json(value):
    assert strict(to_json([{"recall": [value, 0.5]}])) == [{"recall": [None, 0.5]}]
    assert to_csv([{"recall": [value, 0.5]}]) == 'recall\n"[null, 0.5]"\n'


def test_csv_has_what_is_of_each_class_as_json():
    given = CLASSIFIER | {"classes": ["a,b", 'c"d']}
    rows = list(csv.DictReader(io.StringIO(to_csv([given, DENSE]))))
    assert strict(rows[0]["confusion"]) == CLASSIFIER["confusion"]
    assert strict(rows[0]["classes"]) == given["classes"]
    assert (rows[0]["accuracy"], rows[1]["confusion"]) == ("0.7", "")


def test_a_single_model_stands_without_differences():
    read = figures(table(Group("dense", [DENSE])))
    assert read["mse"] == ["0.01235"]
    assert read["n"] == ["10000"]
    assert read["dataset"] == ["mnist:test"]
    assert "model" not in read
    assert "difference" not in table(Group("dense", [DENSE]))


def test_several_seeds_stand_as_mean_and_sample_standard_deviation():
    values = [0.0123, 0.0131, 0.0119, 0.0127]
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    read = figures(table(seeds("dense", values)))
    assert read["mse"] == [f"{mean:.4g} ± {deviation:.4g}"]
    assert read["n"] == ["10000"]


def test_a_model_is_compared_with_the_first():
    first, second, third = (
        seeds(*group) for group in (("a", [0.02, 0.04]), ("b", [0.01, 0.03]), ("c", [0.07, 0.09]))
    )
    read = figures(table(first, second, third))
    means = [cell.split(" ± ")[0] for cell in read["mse"]]
    assert means == ["0.03", "0.02", "-0.01", "0.08", "+0.05"]
    assert read["sse"][2] == "0"


def test_a_figure_that_only_one_model_has_is_shown_without_a_difference():
    probed = Group("probed", [DENSE | {"probe_error": 2.5}])
    read = figures(table(Group("dense", [DENSE]), probed))
    assert read["mse"] == ["0.01235", "0.01235", "0"]
    assert read.get("probe_error") == ["2.5"]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((math.inf, math.inf), "inf"),
        ((math.inf, 20.0), "inf"),
        ((math.inf, -math.inf), "nan"),
        ((math.nan, 0.5), "nan"),
        ((1e308, 1e308), "1e+308 ± 0"),
    ],
)
def test_seeds_without_a_finite_figure_do_not_stop_the_report(values, shown):
    group = Group("dense", [DENSE | {"psnr": value} for value in values])
    read = figures(table(group, Group("other", [DENSE])))
    assert read["mse"][0].startswith("0.01235")
    assert read["psnr"][0] == shown


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_single_model_without_a_finite_figure_says_so(value):
    read = figures(table(Group("dense", [DENSE | {"psnr": value}])))
    assert read["psnr"] == [str(value)]


def test_the_confusion_of_a_classifier_has_a_row_a_true_class():
    shown = table(Group("classifier", [CLASSIFIER]), classes=("cat", "dog"))
    read = figures(shown)
    assert (read["cat"], read["dog"]) == (["41", "2"], ["13", "44"])
    assert re.search(r"^\s+cat\s+dog\s*$", shown, re.MULTILINE)
    assert "confusion" not in read


def test_precision_and_recall_stand_beside_the_confusion():
    given = CLASSIFIER | {"precision": [41 / 54, math.nan], "recall": [41 / 43, 44 / 57]}
    read = figures(table(Group("classifier", [given]), classes=("cat", "dog")))
    assert read["cat"] == ["41", "2", "0.7593", "0.9535"]
    assert read["dog"] == ["13", "44", "nan", "0.7719"]


def test_several_classifiers_stand_without_their_confusion():
    groups = [Group(name, [CLASSIFIER]) for name in "ab"]
    read = figures(table(*groups, classes=("cat", "dog")))
    assert read["error"] == ["30", "30", "0"]
    assert "cat" not in read
    assert "41" not in table(*groups, classes=("cat", "dog"))


def test_names_are_shown_as_they_are_written():
    shown = table(
        Group("runs/[bold]x[/bold]", [CLASSIFIER]), classes=("[red]cat[/red]", "dog:smile:")
    )
    for name in ("runs/[bold]x[/bold]", "[red]cat[/red]", "dog:smile:"):
        assert name in shown


def test_a_name_cannot_steer_the_terminal():
    groups = [Group("runs/\x1b[2Jx", [CLASSIFIER | {"dataset": "\x1b]0;y\x07"}])]
    shown = table(*groups, classes=("cat\x1b[31m", "d\udcffg"))
    assert not set(shown) & {"\x1b", "\x07", "\udcff"}
    assert r"runs/\x1b[2Jx" in shown


def test_a_table_without_colour_has_no_control_codes():
    group = Group("classifier", [CLASSIFIER])
    assert "\x1b" not in table(group, classes=("cat", "dog"))
    assert "\x1b" in table(group, classes=("cat", "dog"), colour=True)


@pytest.mark.parametrize("models", [1, 2, 3, 4])
def test_no_name_and_no_figure_is_cut_off_on_a_terminal_of_80_columns(models):
    groups = [seeds(f"runs/mnist-autoencoder-{n}", [0.0123, 0.0131]) for n in range(models)]
    shown = table(*groups, width=80)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_no_name_in_csv_is_a_formula():
    written = to_csv([{"model": "=m.safetensors", "dataset": "@set", "n": 1, "mse": -0.5}])
    assert written.splitlines()[1] == "'=m.safetensors,'@set,1,-0.5"


def test_groups_of_a_sweep_are_named_by_its_values():
    options = [{"k": k, "seed": seed} for k in (4, 16) for seed in (9, 10)]
    models = [f"sweep/k-{one['k']}-seed-{one['seed']}" for one in options]
    groups = grouped(options, [{"model": model, "mse": 0.5} for model in models])
    assert [group.name for group in groups] == ["sweep/k-4 (2 seeds)", "sweep/k-16 (2 seeds)"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([{"k": 1, "seed": 0}, {"seed": 1, "k": 1}], ["runs (2 seeds)"]),
        ([{"k": 1, "seed": 0}, {"k": 2, "seed": 0}], ["runs/0", "runs/1"]),
        ([{"seed": 0}, {"seed": 0}], ["runs/0", "runs/1"]),  # a repeated training, not a seed
        ([{"seed": 0}, {"seed": 0}, {"seed": 1}], ["runs (2 seeds)", "runs/1"]),
        ([{"k": 1, "seed": 0}, {"k": 2}, {"k": 1, "seed": 2}], ["runs (2 seeds)", "runs/1"]),
    ],
)
def test_models_that_differ_only_in_their_seed_are_a_group(options, names):
    results = [{"model": f"runs/{number}", "mse": 0.5} for number in range(len(options))]
    groups = grouped(options, results)
    assert [group.name for group in groups] == names
    assert sum(len(group.results) for group in groups) == len(options)
