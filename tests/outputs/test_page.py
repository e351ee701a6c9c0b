"""The web page of a report, opened in Chromium from disk."""

import json
import re
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch

import numpy as np
import pytest
from conftest import MNIST
from PIL import Image
from sklearn.datasets import load_digits

from aectl.models import model_file

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), "")
browser_needed = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")
MEGABYTE = 10**6
DEADLINE = 300_000.0
"""Milliseconds that a busy machine has for anything."""


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=DEADLINE
        )
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, path, width=1400, scheme="light"):
    """A page on the screen; whatever it complains of, and whatever it loads, fails the test."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    context.set_default_timeout(DEADLINE)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    yield page
    context.close()
    assert said == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


@pytest.fixture
def sparse(trained):
    return trained("--sparse", "--hidden", "20", "--epochs", "5") / "report.html"


@pytest.fixture(scope="module")
def shared(browser, trained):
    """The page of a sparse run on a large, light screen, for the tests that change it little."""
    path = trained("--sparse", "--hidden", "20", "--epochs", "5") / "report.html"
    with opened(browser, path) as page:
        yield page


@pytest.fixture
def page(shared):
    shared.mouse.move(0, 0)
    return shared


@pytest.fixture(scope="module")
def classifier_page(browser, trained):
    """The page of the classifier, for the tests that change it little."""
    folder = trained("--epochs", "20", "--model", "classifier", "--hidden", "64")
    with opened(browser, folder / "report.html") as page:
        yield page


def data_of(path):
    """What stands in a page as JSON."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    return json.loads(found[1])


def shade(page, what="body"):
    """How bright the background is: 0 to 255."""
    script = "what => getComputedStyle(document.querySelector(what)).backgroundColor"
    return np.mean([float(part) for part in re.findall(r"[\d.]+", page.evaluate(script, what))[:3]])


def point_at(page, mark):
    """Moves the pointer over a mark until the page shows its image."""
    mark.scroll_into_view_if_needed()
    until = time.monotonic() + DEADLINE / 1000
    while time.monotonic() < until:
        box = mark.bounding_box()
        page.mouse.move(box["x"], box["y"] + 200)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        if page.locator("#tip").is_visible():
            return
    raise AssertionError("no image is shown")


def drawn_marks(plot):
    return plot.locator(".main-svg .trace, .main-svg .points .point").count()


@browser_needed
def test_every_plot_of_a_sparse_run_is_drawn(page):
    plots = page.locator(".plot").all()
    assert len(plots) == 3 + 1 + 2 + 1  # curves, a unit's histogram, the code, the map
    for plot in plots:
        assert drawn_marks(plot) > 0
    assert page.locator("#map .point").count() == 360
    titles = "buttons => buttons.map(button => button.dataset.title)"
    assert "Share" not in " ".join(page.locator(".modebar-btn").evaluate_all(titles))
    assert page.locator("#galleries .pair").count() == 36
    assert page.locator("#units .grid .tile").count() == 20


@browser_needed
def test_reconstructions_stand_beside_images_that_are_shrunk_to_as_many_numbers(
    browser, trained, sparse
):
    path = trained("--hidden", "4", "--epochs", "5") / "report.html"
    rival = data_of(path)["models"][0]["rival"]
    pixels = np.round(load_digits().images[-360:] * (255 / 16)).astype(np.uint8)
    squares = []
    for image in pixels:
        small = Image.fromarray(image).resize((2, 2), Image.Resampling.BOX)
        again = np.asarray(small.resize((8, 8), Image.Resampling.LANCZOS))
        squares.append((again / 255 - image / 255) ** 2)
    assert (rival["numbers"], rival["small"], rival["images"]) == (4, [1, 2, 2], 360)
    assert rival["shrunkPsnr"] == pytest.approx(-10 * np.log10(np.mean(squares)), abs=0.01)
    results = data_of(path)["models"][0]["results"]
    assert rival["psnr"] == pytest.approx(results["psnr"], abs=0.01)
    with opened(browser, path) as page:
        assert page.locator("#rival .triple").count() == 12
        told = page.locator("#rival p").inner_text()
        assert "a code of 4 numbers, and the image shrunk to 1x2x2" in told
        assert f"{rival['psnr']:.1f} dB through the code" in told
    assert data_of(sparse)["models"][0]["rival"] is None  # 20 numbers for 64 pixels


@browser_needed
def test_a_click_on_a_unit_shows_the_images_that_activate_it(page, sparse):
    model = data_of(sparse)["models"][0]
    page.locator("[data-unit='7']").click()
    assert page.locator(".detail h2").inner_text() == "unit 7"
    tiles = page.locator(".detail .strongest .tile")
    assert tiles.count() == 12
    place, columns = model["units"]["strongest"][7][0], model["sample"]["columns"]
    position = tiles.first.evaluate("tile => tile.style.backgroundPosition")
    x, y = (float(part.rstrip("%")) for part in position.split())
    steps = columns - 1, model["sample"]["rows"] - 1
    assert (round(x / 100 * steps[0]), round(y / 100 * steps[1])) == (
        place % columns, place // columns,
    )  # fmt: skip


@browser_needed
def test_the_pointer_over_the_map_shows_the_image_there(page):
    assert page.locator("#tip").is_hidden()
    point_at(page, page.locator("#map .point").first)
    assert page.locator("#tip .tile").bounding_box()["width"] > 50
    assert "digits:test/" in page.locator("#tip").inner_text()


@browser_needed
def test_the_slider_moves_between_original_and_reconstruction(page):
    first = page.locator("#galleries .stack").first
    slider = page.locator("#galleries input")
    shots = []
    for value in (0, 100):
        slider.fill(str(value))
        shots.append(first.screenshot())
    assert shots[0] != shots[1]


def assert_fits_and_has_scheme(page, width, scheme):
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for box in page.locator("main > section").all():
        assert box.evaluate("section => section.scrollWidth <= section.clientWidth")
    assert (shade(page) > 200) == (scheme == "light")
    ink = page.locator("#curves .xtick text").first.evaluate("t => getComputedStyle(t).fill")
    assert (np.mean([int(part) for part in re.findall(r"\d+", ink)[:3]]) < 100) == (
        scheme == "light"
    )


def change_scheme(page, scheme):
    """Waits until the plots have changed their colours."""
    tick = page.locator("#curves .xtick text").first
    before = tick.evaluate("text => getComputedStyle(text).fill")
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        "([text, before]) => getComputedStyle(text).fill != before",
        arg=[tick.element_handle(), before],
    )


@browser_needed
def test_on_a_large_screen_nothing_overflows_and_schemes_apply_and_recolour_the_plots(page):
    assert_fits_and_has_scheme(page, 1400, "light")
    change_scheme(page, "dark")
    assert_fits_and_has_scheme(page, 1400, "dark")
    change_scheme(page, "light")


@browser_needed
def test_on_a_small_screen_nothing_overflows_and_schemes_apply(browser, sparse):
    with opened(browser, sparse, 400, "dark") as page:
        assert_fits_and_has_scheme(page, 400, "dark")
        change_scheme(page, "light")
        assert_fits_and_has_scheme(page, 400, "light")


@browser_needed
def test_a_mistake_of_a_classifier_shows_its_images(classifier_page, classifier):
    page, model = classifier_page, data_of(classifier / "report.html")["models"][0]
    cell = page.locator("#confusion td button").first
    cell.click()
    label, rest = cell.get_attribute("aria-label").split(" predicted as ")
    prediction, count = rest.split(": ")
    assert model["confusion"][int(label)][int(prediction)] == int(count)
    assert page.locator("#confusion figure").count() == min(12, int(count))
    assert page.locator("#galleries").is_hidden()
    assert page.locator("#map .point").count() == 360


@browser_needed
def test_several_models_stand_side_by_side(browser, aectl, dense, sparse, tmp_path):
    other = sparse.parent
    done = aectl("eval", dense, other, "--pca", "--report", "both.html")
    assert done.status == 0
    with opened(browser, tmp_path / "both.html") as page:
        rows = [row.split("\t") for row in page.locator("#comparison tr").all_inner_texts()]
        assert rows[0][1:] == [str(dense), str(other), "difference"]
        assert [row[0] for row in rows[1:]][-1] == "pca_mse"
        for row in rows[1:]:
            assert row[1] in done.out
        assert page.locator("#curves .plot").first.locator(".trace").count() == 4
        page.locator("nav button").nth(1).click()
        assert page.locator("#about h2").inner_text() == str(other)
        assert page.locator("#units .grid .tile").count() == 20


@browser_needed
def test_names_and_labels_with_markup_stand_as_they_are(browser, aectl, tmp_path):
    labels = ["<b>bold", "<img src=x onerror=alert(1)>"]
    for label in labels:
        (tmp_path / "seen" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng(number).integers(0, 255, (8, 8), dtype=np.uint8)
            name = f"<script>alert({number})<.png"
            Image.fromarray(pixels).save(tmp_path / "seen" / label / name)
    options = ("--dataset", "seen", "--epochs", "2", "--hidden", "4", "--out")
    assert aectl("train", "-q", *options, "<i>plain").status == 0
    assert aectl("train", "-q", "--model", "classifier", *options, "</title><b>c").status == 0
    for folder in ("<i>plain", "</title><b>c"):
        path = tmp_path / folder / "report.html"
        with opened(browser, path) as page:
            assert page.locator("h1").inner_text() == path.parent.name
            assert page.locator("main b, main i, main img, main script").count() == len(
                page.locator(".result b").all()
            )
            legend = page.locator("#map .legendtext").all_text_contents()
            assert sorted(legend) == sorted(labels)
            point_at(page, page.locator("#map .point").first)
            assert "<script>alert(" in page.locator("#tip").inner_text()


def test_data_cannot_end_the_element_that_they_stand_in(aectl, tmp_path):
    (tmp_path / "seen").mkdir()
    for number in range(4):
        pixels = np.full((8, 8), 40 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "seen" / f"<!--<script>&{number}.png")
    options = ("--dataset", "seen", "--epochs", "1", "--hidden", "4", "--out", "run")
    assert aectl("train", "-q", *options).status == 0
    text = (tmp_path / "run" / "report.html").read_text()
    assert text.count("<script") == text.count("</script>") == 3
    assert "<!--<script" not in text
    paths = data_of(tmp_path / "run" / "report.html")["models"][0]["sample"]["paths"]
    assert paths[0] == "seen/<!--<script>&0.png"


def test_the_page_says_how_to_train_the_model_again(aectl, trained, tmp_path):
    folder = trained("--sparse", "--rho", "0.1", "--hidden", "9,4", "--seed", "3", "--epochs", "2")
    command = data_of(folder / "report.html")["models"][0]["command"]
    assert command.startswith("aectl train ")
    assert aectl(*command.split()[1:], "--out", "again").status == 0
    again = tmp_path / "again" / "model.safetensors"
    told = [aectl("info", "--json", path).out for path in (folder, again)]
    first, second = (json.loads(text)["weights_sha256"] for text in told)
    assert first == second


def test_a_report_is_of_images_that_were_not_trained_on(aectl, trained, scans, tmp_path):
    model = data_of(trained("--epochs", "2") / "report.html")["models"][0]
    assert model["measuredOn"] == "measured on 360 images of digits:test"
    options = ("--epochs", "1", "--hidden", "4", "--validation", "0.1", "--out", "run")
    assert aectl("train", "-q", "--dataset", scans, *options).status == 0
    model = data_of(tmp_path / "run" / "report.html")["models"][0]
    told = (
        f"measured on 36 images of {scans}, held out from training; mse 0.* on held-out and 0.* on"
    )
    assert fnmatch(model["measuredOn"], f"{told} training images: the model has not memorised them")


def test_the_figures_of_a_run_s_page_are_those_of_eval(aectl, sparse):
    told = json.loads(aectl("eval", sparse.parent, "--json").out)[0]
    results = data_of(sparse)["models"][0]["results"]
    assert results == {name: pytest.approx(told[name], rel=1e-5) for name in results}


def test_the_page_of_mnist_stays_below_8_megabytes(aectl, tmp_path):
    if not (MNIST / "MNIST").is_dir():
        pytest.skip("MNIST is not here")
    options = (
        "--data-dir",
        MNIST,
        "--epochs",
        "1",
        "--batch-size",
        "2000",
        "--sparse",
        "--out",
        "run",
    )
    assert aectl("train", "-q", "--dataset", "mnist:test", *options).status == 0
    assert (tmp_path / "run" / "report.html").stat().st_size < 8 * MEGABYTE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--report", "page.pdf"), "a .html file"),
        (("--report", "nowhere/page.html"), "no such folder"),
        (("--map", "tsne"), "--report"),
    ],
)
def test_a_page_that_cannot_be_made_is_refused(aectl, dense, tmp_path, arguments, said):
    done = aectl("eval", dense, *arguments)
    assert done.status == 2
    assert said in done.err
    assert list(tmp_path.glob("*.html")) == []


def test_a_map_by_umap_says_which_package_it_needs(aectl, dense, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    done = aectl("eval", dense, "--report", "page.html", "--map", "umap")
    assert done.status == 2
    assert "pip install umap-learn" in done.err
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_exists_is_not_replaced_unasked(aectl, dense, tmp_path):
    (tmp_path / "page.html").write_text("mine")
    assert aectl("eval", dense, "--report", "page.html").status == 2
    assert (tmp_path / "page.html").read_text() == "mine"
    assert aectl("eval", dense, "--report", "page.html", "--overwrite").status == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_a_second_map_stands_beside_pca(aectl, dense, tmp_path):
    assert aectl("eval", dense, "--report", "page.html", "--map", "tsne").status == 0
    maps = data_of(tmp_path / "page.html")["models"][0]["maps"]
    assert list(maps) == ["pca", "tsne"]
    assert all(np.shape(points) == (360, 2) for points in maps.values())


@pytest.fixture
def one_colour(aectl, tmp_path):
    """A run on images that are all the same: every unit is dead, and nothing is left to explain."""
    for number in range(4):
        Image.new("L", (8, 8), 128).save(tmp_path / f"{number}.png")
    options = ("--hidden", "3", "--sparsity", "topk", "--k", "1", "--epochs", "2", "-q")
    assert aectl("train", "--dataset", ".", *options, "--out", "run").status == 0
    return tmp_path / "run"


def test_figures_that_are_no_numbers_stand_on_the_page_too(aectl, one_colour):
    results = data_of(one_colour / "report.html")["models"][0]["results"]
    assert (results["psnr"], results["explained_variance"]) == ("inf", "nan")


def test_a_page_of_dead_units_can_be_looked_at(browser, one_colour):
    with opened(browser, one_colour / "report.html") as page:
        assert "unit 0" in page.locator(".detail h2").inner_text()
        assert "no image activates it" in page.locator(".detail").inner_text()


def test_codes_that_are_all_the_same_have_a_map(aectl, one_colour):
    words = ("eval", one_colour, "--dataset", ".", "--report", "page.html", "--map", "tsne")
    assert aectl(*words).status == 0
    maps = data_of(one_colour.parent / "page.html")["models"][0]["maps"]
    assert np.isfinite(maps["tsne"]).all()


@browser_needed
def test_captions_of_a_page_tell_images_apart(browser, aectl, dense, scans, tmp_path):
    for folder in ("left", "right"):
        (tmp_path / "set" / "all" / folder).mkdir(parents=True)
        for name in ("000.png", "001.png"):
            (tmp_path / "set" / "all" / folder / name).write_bytes((scans / name).read_bytes())
    assert aectl("eval", dense, "--dataset", "set", "--report", "page.html").status == 0
    with opened(browser, tmp_path / "page.html") as page:
        named = page.locator("#galleries .row").first.locator(".named")
        named.nth(3).wait_for()
        names = named.all_inner_texts()
        assert sorted(names) == ["left/000.png", "left/001.png", "right/000.png", "right/001.png"]


@browser_needed
def test_a_plot_s_title_stands_clear_of_its_icons_and_the_asked_map_is_shown(
    browser, aectl, dense, scans, tmp_path
):
    few = ("--dataset", scans, "--include", "0[0-2]*.png")
    assert aectl("eval", dense, *few, "--report", "page.html", "--map", "tsne").status == 0
    points = data_of(tmp_path / "page.html")["models"][0]["maps"]["tsne"]
    with opened(browser, tmp_path / "page.html", width=500) as page:
        for shown in page.locator(".chart").all():
            title, icons = (shown.locator(part).bounding_box() for part in ("h3", ".modebar"))
            assert title["y"] + title["height"] <= icons["y"]
        assert page.locator("#map [aria-pressed=true]").inner_text() == "t-SNE"
        drawn = page.locator("#map .plot").evaluate("box => box.data.flatMap(trace => trace.x)")
        assert sorted(drawn) == sorted(x for x, _ in points)


@browser_needed
def test_a_page_of_a_classifier_has_its_precision_and_recall(aectl, classifier_page, classifier):
    found = json.loads(aectl("eval", classifier, "--json").out)[0]
    rows = classifier_page.locator("#confusion tr")
    assert rows.first.inner_text().split()[-2:] == ["precision", "recall"]
    for row, name in zip(rows.all()[1:], found["classes"], strict=True):
        shown = [float(word) for word in row.inner_text().replace("%", "").split()[-2:]]
        wanted = [100 * found[of][int(name)] for of in ("precision", "recall")]
        assert shown == pytest.approx(wanted, rel=0.01)


SAID = {
    "nothing": {},
    "no options": {"options": {}, "command": "", "versions": {}},
    "rho of no kl": {"options": {"rho": 0.1, "sparsity": "topk"}},
    "kl without rho": {"options": {"sparsity": "kl"}},
    "huge": {"options": {"sparsity": "kl", "rho": 1e300}, "seconds": 1e300, "images": 10**18},
    "whole": {"options": {"sparsity": "kl", "rho": 1}},
    "markup": {"command": "</script><b>x", "device": "<b>", "versions": {"<i>": "</script>"}},
    "unknown": {"weather": ["fine"], "options": {"colour": {"deep": [None]}}},
}


@browser_needed
def test_a_page_draws_itself_whatever_a_model_says_of_its_training(
    browser, aectl, dense, scans, tmp_path
):
    network, card = model_file.load(dense)
    for name, said in SAID.items():
        model_file.save(tmp_path / f"{name}.safetensors", network, replace(card, training=said))
    models = [f"{name}.safetensors" for name in SAID]
    few = ("--dataset", scans, "--include", "00*.png")
    assert aectl("eval", *models, *few, "--report", "page.html").status == 0
    with opened(browser, tmp_path / "page.html") as page:
        for number, name in enumerate(models):
            page.locator("nav button").nth(number).click()
            assert page.locator("#about h2").inner_text() == name
            assert page.locator("#map .point").count() == 10
        assert page.locator("main b:not(.result b), main i").count() == 0


@browser_needed
def test_a_loss_of_one_part_is_drawn_once(browser, dense):
    with opened(browser, dense / "report.html") as page:
        panels = page.locator("#curves .plot")
        drawn = [
            len(box.evaluate("box => box.data.map(trace => trace.name)")) for box in panels.all()
        ]
        assert drawn == [1, 1, 1]


def test_the_page_of_one_model_is_called_after_it(aectl, dense, tmp_path):
    assert aectl("eval", dense, "--report", "page.html").status == 0
    assert f"<h1>{dense}</h1>" in (tmp_path / "page.html").read_text()


def test_a_page_names_the_encoder_below_a_classifier(aectl, dense, trained):
    folder = trained("--encoder", str(dense), "--hidden", "12", "--epochs", "1")
    facts = dict(data_of(folder / "report.html")["models"][0]["facts"])
    wanted = "classifier on the code of a trained autoencoder, 1x8x8 - 32 - 12 - 10"
    assert facts["network"] == wanted


def test_a_map_of_too_few_images_is_refused(aectl, dense, scans):
    words = ("eval", dense, "--dataset", scans / "003.png", "--report", "page.html")
    done = aectl(*words, "--map", "tsne")
    assert done.status == 2
    assert "at least 3 images, not 1" in done.err
