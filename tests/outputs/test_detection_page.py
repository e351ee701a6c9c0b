"""The section of the web page about a detector: what stands in it, and how it looks in Chromium."""

import csv

import numpy as np
import pytest
import test_page
from sklearn.metrics import roc_auc_score
from test_page import browser_needed, data_of, drawn_marks, opened

browser = test_page.browser

HOW = ("--normal", "normal", "--score", "unusual-region", "--alarm-rate", 0.05)


@pytest.fixture
def page(aectl, inspected):
    words = ("--detect", *HOW, "--report", "page.html", "--overwrite")
    assert aectl("eval", inspected / "model", "--dataset", "test", *words).status == 0
    return inspected / "page.html"


def test_the_section_has_the_scores_and_the_inputs_that_the_table_has(aectl, inspected, page):
    (model,) = data_of(page)["models"]
    found = model["detection"]
    done = aectl("detect", inspected / "model", "test", *HOW, "--label-from-folder")
    rows = list(csv.DictReader(done.out.splitlines()))
    highest = sorted(rows, key=lambda row: -float(row["score"]))[:12]
    assert [one[1] for one in found["suspects"]] == [
        str(inspected / row["path"]) for row in highest
    ]
    assert [one[2] for one in found["suspects"]] == [row["label"] for row in highest]
    for name, kinds in (("normal", {"good"}), ("anomalous", {"scratch", "spot"})):
        scores = [float(row["score"]) for row in rows if row["label"] in kinds]
        assert found["scores"][name] == pytest.approx(sorted(scores), rel=1e-3)
    assert len(found["scores"]["normal, for calibration"]) == found["calibrating"] == 49
    flagged = [float(row["score"]) for row in rows if row["anomaly"] == "yes"]
    others = [float(row["score"]) for row in rows if row["anomaly"] == "no"]
    assert max(others) < found["threshold"] * 1.001 < min(flagged) * 1.002
    x, y = found["roc"]
    anomalous = [row["label"] != "good" for row in rows]
    area = roc_auc_score(anomalous, [float(row["score"]) for row in rows])
    assert np.trapezoid(y, x) == pytest.approx(area, abs=1e-3)
    assert model["results"]["auroc"] == pytest.approx(area)
    assert found["maps"]["count"] == 12


@browser_needed
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (400, "dark")])
def test_the_section_is_drawn(browser, page, width, scheme):
    with opened(browser, page, width, scheme) as shown:
        section = shown.locator("#detection")
        assert "calibrated on 49 normal images" in section.inner_text()
        assert section.locator(".suspect").count() == 12
        plots = section.locator(".plot")
        assert [drawn_marks(plots.nth(place)) > 0 for place in range(3)] == [True] * 3
        assert "threshold" in plots.nth(0).inner_text()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


@browser_needed
def test_vectors_have_a_table_and_rates_that_are_not_supported_are_told(browser, aectl, tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "train.npy", random.normal(size=(60, 4)).astype(np.float32))
    np.save(tmp_path / "normal.npy", random.normal(size=(30, 4)).astype(np.float32))
    lines = ["label,a,b,c,d"]
    for label in ["good", "<b>odd</b>"] * 10:
        lines.append(",".join([label, *map(str, random.normal(size=4))]))
    (tmp_path / "test.csv").write_text("\n".join(lines))
    words = ("--dataset", "train.npy", "--hidden", 2, "--epochs", 2, "--out", "run")
    assert aectl("train", *words).status == 0
    words = ("--dataset", "test.csv", "--label-column", "label", "--detect", "--normal",
             "normal.npy", "--report", "page.html")  # fmt: skip
    assert aectl("eval", "run", *words).status == 0
    with opened(browser, tmp_path / "page.html") as shown:
        section = shown.locator("#detection")
        assert "too few for an alarm rate of 0.01" in section.inner_text()
        assert section.locator("tbody tr").count() == 12
        assert "<b>odd</b>" in section.locator("tbody").inner_text()


def test_a_page_without_detection_has_no_section(aectl, inspected):
    assert aectl("eval", inspected / "model", "--dataset", "test", "--report", "q.html").status == 0
    (model,) = data_of(inspected / "q.html")["models"]
    assert model["detection"] is None
