"""The web page of a text autoencoder: what stands in it, and how it looks in Chromium."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import test_page
import torch
from conftest import LINES
from test_page import browser_needed, data_of, opened, point_at

from aectl.config.spelling import spelt_out
from aectl.models import model_file
from aectl.models.language import lengths_of

browser = test_page.browser

OLDER = Path(__file__).parents[1] / "formats" / "3-shorter-text.safetensors"
"""A model whose code is a shorter text of any tokens, as aectl 0.2.0 trained it."""

HOSTILE = [
    "<script>alert(1)</script> & <b>bold</b> \"quoted' </title>",
    "\x01 first \x1b[31m red \x07 bell",
    "x" * 5000,
    "word " * 3000,
    "\u202eright to left override, and no end of it",
    "שלום עולם, this is Hebrew and English",
    "<!--<script>",
    "\U0001f469‍\U0001f4bb \ud7ff \ufeff odd",
    "   three  spaces   ",
    "]]> {{ }} ${1} `tick` \\u003c",
]


@pytest.fixture
def made(trained, corpus):
    """Trains a small model of text; the same options train only once."""

    def train(*options):
        usual = ("--length", "12", "--vocabulary", "400", "--lr", "0.02", "--seed", "1")
        epochs = () if "--epochs" in options else ("--epochs", "4")
        data = ("--model", "text-autoencoder", "--dataset", str(corpus))
        return trained(*data, *usual, *epochs, *options)

    return train


@pytest.fixture
def sparse(made):
    return made("--hidden", "24,30", "--sparsity", "topk", "--k", "6")


@pytest.fixture
def words(made):
    return made("--bottleneck", "words", "--hidden", "24", "--lm-epochs", "1")


def section_of(folder):
    (model,) = data_of(folder / "report.html")["models"]
    return model


def rows_of(aectl, *words):
    done = aectl(*words)
    assert done.status == 0
    return list(csv.DictReader(io.StringIO(done.out)))


def test_originals_stand_beside_what_reconstruct_makes_of_them(aectl, sparse, corpus):
    made = {
        row["original"]: row["reconstruction"]
        for row in rows_of(aectl, "reconstruct", sparse, corpus, "--count", "100")
    }
    examples = section_of(sparse)["examples"]
    assert [len(found) for found in examples.values()] == [20, 20]
    for example in [one for found in examples.values() for one in found]:
        written = made[" ".join(example["original"])]
        assert spelt_out(written) == " ".join(example["reconstruction"])


def test_words_that_are_not_marked_are_the_same_in_both(sparse):
    for found in section_of(sparse)["examples"].values():
        for example in found:
            both = [
                [word for place, word in enumerate(example[of]) if place not in example[marks]]
                for of, marks in (("original", "lost"), ("reconstruction", "wrong"))
            ]
            assert both[0] == both[1]
            assert (example["accuracy"] == 1) <= (example["wrong"] == [])


def test_the_worst_are_those_of_the_lowest_token_accuracy(aectl, sparse, corpus):
    assert aectl("eval", sparse, "--dataset", corpus, "--per-image", "all.csv").status == 0
    with open("all.csv") as file:
        found = sorted(float(row["token_accuracy"]) for row in csv.DictReader(file))
    shown = [example["accuracy"] for example in section_of(sparse)["examples"]["worst"]]
    assert shown == pytest.approx(found[:20], abs=1e-4)


def test_equal_texts_are_shown_once_among_the_worst(aectl, sparse, tmp_path):
    (tmp_path / "same.txt").write_text("zebra quay .\n" * 40 + "\n".join(LINES))
    done = aectl("eval", sparse, "--dataset", "same.txt", "--report", "page.html")
    assert done.status == 0
    (model,) = data_of(tmp_path / "page.html")["models"]
    worst = [" ".join(example["original"]) for example in model["examples"]["worst"]]
    assert len(worst) == len(set(worst)) == 20


def test_the_marked_words_are_the_code(aectl, words, corpus):
    code = {row["path"]: row["bottleneck"] for row in rows_of(aectl, "encode", words, corpus)}
    for found in section_of(words)["examples"].values():
        for example in found:
            kept = [example["original"][place] for place in example["kept"]]
            assert " ".join(kept) == code[example["path"]]


def test_a_shorter_text_stands_between_a_text_and_its_reconstruction(aectl, corpus, tmp_path):
    assert aectl("encode", OLDER, corpus, "--out", "codes.jsonl").status == 0
    rows = map(json.loads, (tmp_path / "codes.jsonl").read_text().splitlines())
    code = {row["path"]: row["bottleneck"] for row in rows}
    assert aectl("eval", OLDER, "--dataset", corpus, "--report", "page.html").status == 0
    (model,) = data_of(tmp_path / "page.html")["models"]
    for example in model["examples"]["evenly spaced"]:
        assert " ".join(example["shorter"]) == spelt_out(code[example["path"]])


def codes_of(aectl, folder, corpus):
    rows = rows_of(aectl, "encode", folder, corpus)
    return [row["path"] for row in rows], np.array([list(row.values())[1:] for row in rows], float)


def test_each_unit_has_the_texts_of_its_largest_activations(aectl, sparse, corpus):
    paths, codes = codes_of(aectl, sparse, corpus)
    model = section_of(sparse)
    units, sample = model["units"], model["sample"]
    for place, unit in enumerate(units["numbers"]):
        strong = [at for at in units["strongest"][place] if at >= 0]
        values = [codes[paths.index(sample["paths"][at]), unit] for at in strong]
        assert values == pytest.approx(units["values"][place][: len(strong)], rel=1e-3)
        largest = np.sort(codes[:, unit])[::-1][:8]
        assert values == pytest.approx(largest[largest > 0].tolist(), rel=1e-3)


def test_units_that_are_active_for_most_texts_come_first(aectl, sparse, corpus):
    _, codes = codes_of(aectl, sparse, corpus)
    numbers = section_of(sparse)["units"]["numbers"]
    active = (codes > 0).mean(0)[numbers]
    assert sorted(numbers) == list(range(30))
    assert (np.diff(active) <= 0).all()


def test_of_a_wide_code_a_bounded_number_of_units_is_shown(made):
    units = section_of(made("--hidden", "8,130", "--epochs", "1"))["units"]
    assert (units["total"], len(units["numbers"]), len(units["counts"])) == (130, 100, 100)


def test_the_marked_word_adds_most_to_the_unit(sparse):
    network, card = model_file.load(sparse)
    model = section_of(sparse)
    units, sample = model["units"], model["sample"]
    encoder, vocabulary = network.encoder, card.vocabulary
    for place, unit in enumerate(units["numbers"]):
        at = units["strongest"][place][0]
        if at < 0:
            continue
        words = sample["words"][at]
        pieces = [next(vocabulary.encode([word])) for word in words]
        tokens = torch.tensor([[piece for word in pieces for piece in word]])
        states = encoder.reader(encoder.embedding(tokens), lengths_of(tokens))[0][0]
        added = (states @ encoder.to_code.weight[unit]) * encoder.places[: tokens.shape[1], unit]
        of_words = [part.sum().item() for part in added.split([len(one) for one in pieces])]
        assert units["peaks"][place][0] == int(np.argmax(of_words))


def test_texts_that_are_equal_stand_once_under_a_unit(aectl, sparse, tmp_path):
    (tmp_path / "same.txt").write_text(f"{LINES[0]}\n" * 30 + "\n".join(LINES))
    assert aectl("eval", sparse, "--dataset", "same.txt", "--report", "page.html").status == 0
    (model,) = data_of(tmp_path / "page.html")["models"]
    for strongest in model["units"]["strongest"]:
        shown = [" ".join(model["sample"]["words"][at]) for at in strongest if at >= 0]
        assert len(shown) == len(set(shown))


def test_a_page_of_a_run_is_of_lines_that_it_was_not_trained_on(made, corpus):
    assert section_of(made("--hidden", "8,9", "--epochs", "1"))["measuredOn"] == (
        f"measured on 100 texts of {corpus}, on which it was trained"
    )
    held_out = made("--hidden", "8,9", "--epochs", "1", "--validation", "0.1")
    assert section_of(held_out)["measuredOn"] == (
        f"measured on 10 texts of {corpus}, held out from training"
    )


@browser_needed
def test_every_plot_of_a_sparse_code_is_drawn_and_a_point_shows_its_text(browser, sparse):
    with opened(browser, sparse / "report.html") as page:
        for plot in page.locator(".plot").all():
            assert plot.locator(".main-svg .trace, .main-svg .points .point").count() > 0
        assert page.locator("#examples tbody tr").count() == 40
        assert page.locator("#units .grid button").count() == 30
        assert page.locator("#map .point").count() == 100
        point_at(page, page.locator("#map .point").nth(7))
        shown, path = page.locator("#tip > div").all_inner_texts()
        assert shown == LINES[int(path.rpartition(":")[2]) - 1]


@browser_needed
def test_a_unit_that_is_clicked_shows_its_texts(browser, sparse):
    units = section_of(sparse)["units"]
    with opened(browser, sparse / "report.html") as page:
        assert page.locator(".detail h2").inner_text() == f"unit {units['numbers'][0]}"
        page.locator("#units .grid button").nth(2).click()
        assert page.locator(".detail h2").inner_text() == f"unit {units['numbers'][2]}"
        shown = [place for place in units["strongest"][2] if place >= 0]
        assert page.locator(".detail .activating").count() == len(shown)
        assert page.locator(".detail .kept").count() == len(shown)


@browser_needed
def test_models_of_all_bottlenecks_stand_side_by_side(
    browser, aectl, sparse, words, corpus, tmp_path
):
    models = [sparse, words, OLDER]
    assert aectl("eval", *models, "--dataset", corpus, "--report", "page.html").status == 0
    with opened(browser, tmp_path / "page.html") as page:
        for number, columns in enumerate((3, 3, 4)):
            page.locator("nav button").nth(number).click()
            assert page.locator("#examples thead").first.locator("th").count() == columns
            assert page.locator("#map .point").count() == (0 if number else 100)
        page.locator("nav button").nth(1).click()
        assert page.locator("#examples tbody tr").first.locator(".kept").count() > 0


@browser_needed
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_hostile_lines_stand_as_they_are_and_nothing_overflows(
    browser, aectl, sparse, tmp_path, width, scheme
):
    (tmp_path / "<b>hostile.txt").write_text("\n".join(HOSTILE) + "\n", encoding="utf-8")
    done = aectl("eval", sparse, "--dataset", "<b>hostile.txt", "--report", "page.html")
    assert done.status == 0
    with opened(browser, tmp_path / "page.html", width, scheme) as page:
        originals = page.locator("#examples tbody tr td:first-child").all_inner_texts()
        assert originals[0].startswith("<script>al")
        assert originals[1].startswith(r"\x01 first")
        assert any(line.startswith(r"\u202e") for line in originals)
        assert page.locator("main script, main b:not(.result b), main img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for box in page.locator("main > section").all():
            assert box.evaluate("section => section.scrollWidth <= section.clientWidth")


def test_a_page_of_long_lines_stays_small(aectl, tmp_path):
    (tmp_path / "long.txt").write_text("".join(f"{n} {'xyz' * 3000}\n" for n in range(8)))
    options = ("--hidden", "4,4", "--length", "1000", "--vocabulary", "300", "--epochs", "1")
    data = ("--model", "text-autoencoder", "--dataset", "long.txt")
    assert aectl("train", "-q", *data, *options, "--out", "run").status == 0
    sample = section_of(tmp_path / "run")["sample"]["words"]
    assert max(sum(map(len, words)) for words in sample) < 310


def test_a_classifier_of_text_has_no_page(aectl, sparse, tmp_path):
    rows = [f"{'short' if len(line) < 18 else 'long'}\t{line}" for line in LINES]
    (tmp_path / "rows.tsv").write_text("\n".join(rows) + "\n")
    options = ("--dataset", "rows.tsv", "--epochs", "1", "--hidden", "4", "--out", "judge")
    assert aectl("train", "-q", "--encoder", sparse, *options).status == 0
    done = aectl("eval", "judge", "--dataset", "rows.tsv", "--report", "page.html")
    assert done.status == 2
    assert "--report has no effect with a classifier of text" in done.err
