"""The web page of an autoencoder of vectors: what stands in it, and how it looks in Chromium."""

import csv
import io

import numpy as np
import pytest
import test_page
from sklearn.datasets import load_wine
from test_page import browser_needed, data_of, drawn_marks, opened

from aectl.models import model_file

browser = test_page.browser

WINE = load_wine()
NAMES = ["<b>first</b>", *WINE.feature_names[1:]]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "wine.csv"
    rows = zip(WINE.data.tolist(), WINE.target_names[WINE.target], strict=True)
    lines = [",".join([*NAMES, "target"]), *(",".join([*map(str, x), y]) for x, y in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def sparse(trained, table):
    options = ("--scale", "standard", "--hidden", "20", "--sparsity", "topk", "--k", "3")
    return trained("--dataset", str(table), *options, "--epochs", "40", "--validation", "0.2")


@pytest.fixture
def model(aectl, sparse, table, tmp_path):
    assert aectl("eval", sparse, "--dataset", table, "--report", "page.html").status == 0
    (found,) = data_of(tmp_path / "page.html")["models"]
    return found


@pytest.fixture
def codes(aectl, sparse, table):
    rows = list(csv.reader(io.StringIO(aectl("encode", sparse, table, "-q").out)))[1:]
    return [row[0] for row in rows], np.array([row[2:] for row in rows], float)


def test_each_unit_has_the_vectors_of_its_largest_activations(model, codes):
    paths, values = codes
    units = model["units"]
    assert set(units["numbers"]) == set(np.flatnonzero((values > 0).any(0)).tolist())
    for place, unit in enumerate(units["numbers"]):
        strong = [at for at in units["strongest"][place] if at >= 0]
        named = [units["inputs"]["paths"][at] for at in strong]
        largest = np.sort(values[:, unit])[::-1][:8]
        assert len(strong) == (largest > 0).sum()
        assert units["values"][place][: len(strong)] == pytest.approx(largest[largest > 0], 1e-3)
        found = [values[paths.index(name), unit] for name in named]
        assert found == pytest.approx(largest[largest > 0], 1e-6)


def test_units_come_in_the_order_of_what_they_add_with_their_nearest_ones(model, codes, sparse):
    _, values = codes
    network, _ = model_file.load(sparse)
    columns = network.decoder.directions.detach().double().numpy().T
    units = model["units"]
    added = (np.square(values).mean(0) * np.square(columns).sum(1))[units["numbers"]]
    assert (np.diff(added) <= 1e-6).all()
    directions = columns / np.linalg.norm(columns, axis=1, keepdims=True)
    for place, unit in enumerate(units["numbers"]):
        cosines = directions @ directions[unit]
        cosines[unit] = -1
        assert units["cosines"][place] == pytest.approx(np.sort(cosines)[::-1][:6], abs=1e-3)
        assert cosines[units["nearest"][place]] == pytest.approx(units["cosines"][place], abs=1e-3)
        largest = np.argsort(-np.abs(columns[unit]))[:6]
        assert units["features"][place] == [NAMES[at] for at in largest]


def test_the_page_has_the_density_the_activations_and_the_errors(
    aectl, model, codes, sparse, table
):
    paths, values = codes
    assert model["code"]["active"] == pytest.approx((values > 0).mean(0), rel=1e-3)
    assert sum(model["activations"]["counts"]) == (values != 0).sum()
    edges = model["activations"]["edges"]
    magnitudes = np.log10(values[values > 0])
    assert (edges[0], edges[-1]) == pytest.approx((magnitudes.min(), magnitudes.max()), rel=1e-3)
    tables = ("--per-row", "rows.csv", "--per-column", "columns.csv", "--sort")
    assert aectl("eval", sparse, "--dataset", table, *tables).status == 0
    with open("rows.csv") as file:
        rows = list(csv.DictReader(file))[:20]
    assert model["worst"]["paths"] == [row["path"] for row in rows]
    assert model["worst"]["labels"] == [row["label"] for row in rows]
    with open("columns.csv") as file:
        explained = {
            row["column"]: float(row["explained_variance"]) for row in csv.DictReader(file)
        }
    assert model["columns"]["names"] == sorted(NAMES, key=explained.get)
    assert set(paths) == set(model["sample"]["paths"])


def test_the_page_of_a_run_is_of_rows_that_are_held_out(sparse, codes):
    (model,) = data_of(sparse / "report.html")["models"]
    assert model["count"] == 36
    assert set(model["sample"]["paths"]) < set(codes[0])
    assert set(model["sample"]["labels"]) == set(WINE.target_names)
    assert "held out from training; mse" in model["measuredOn"]


def test_of_a_wide_code_a_bounded_number_of_units_is_shown(aectl, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((600, 6)).astype("f4"))
    options = ("--hidden", "3000", "--code-activation", "linear", "--epochs", "1", "--out", "wide")
    assert aectl("train", "-q", "--dataset", "x.npy", *options).status == 0
    (model,) = data_of(tmp_path / "wide" / "report.html")["models"]
    units = model["units"]
    assert (units["total"], len(units["numbers"]), len(model["directions"]["units"])) == (
        3000, 200, 2000,
    )  # fmt: skip
    assert (tmp_path / "wide" / "report.html").stat().st_size < 4_000_000
    assert units["features"] is None
    assert model["columns"] is None
    assert model["sample"]["paths"][:2] == ["x.npy:0", "x.npy:1"]


def test_a_deep_decoder_has_no_directions_and_a_classifier_no_page(aectl, table, tmp_path):
    options = ("--dataset", table, "--scale", "standard", "--epochs", "2")
    assert aectl("train", "-q", *options, "--hidden", "8,4", "--out", "deep").status == 0
    (model,) = data_of(tmp_path / "deep" / "report.html")["models"]
    assert model["directions"] is model["units"]["nearest"] is None
    assert aectl("train", "-q", *options, "--model", "classifier", "--out", "judge").status == 0
    done = aectl("eval", "judge", "--dataset", table, "--report", "page.html")
    assert done.status == 2
    assert "--report has no effect with a classifier of vectors" in done.err


@browser_needed
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_every_plot_is_drawn_and_nothing_overflows(browser, sparse, width, scheme):
    with opened(browser, sparse / "report.html", width, scheme) as page:
        plots = page.locator(".plot").all()
        assert len(plots) == 4 + 1 + 1 + 4 + 1 + 1  # curves, columns, a unit, the code, both maps
        for plot in plots:
            assert drawn_marks(plot) > 0
        assert page.locator("#map .point").count() == 36
        assert page.locator("#worst tbody tr").count() == 20
        assert page.locator("#columns b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == width


@browser_needed
def test_a_near_unit_that_is_clicked_is_shown(browser, sparse):
    with opened(browser, sparse / "report.html") as page:
        near = page.locator(".near button:not([disabled])").first
        unit = near.inner_text().partition(":")[0]
        near.click()
        assert page.locator(".detail h2").inner_text() == f"unit {unit}"
