"""The options that say how image files are read, from the command line to the decoded image."""

import json
import re
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image, ImageFile
from safetensors import safe_open

import aectl as aectl_library
from aectl.config.decoding import Decoding
from aectl.data.images.decode import decode
from aectl.errors import ImageError
from aectl.models import model_file

RANGE = (-1000.0, 3000.5)


@pytest.fixture
def two_sizes(tmp_path):
    """A folder with an image of 8x8 pixels and one of 9x9."""
    folder = tmp_path / "sizes"
    folder.mkdir()
    for side in (8, 9):
        Image.fromarray(np.full((side, side), 90, np.uint8)).save(folder / f"{side}.png")
    return folder


@pytest.mark.parametrize("verb", ["encode", "eval", "reconstruct", "classify"])
def test_an_image_of_more_than_max_pixels_is_left_out_by_each_verb(
    aectl, dense, classifier, two_sizes, verb
):
    model = classifier if verb == "classify" else dense
    word = ("--dataset", two_sizes) if verb == "eval" else (two_sizes,)
    limited = aectl(verb, model, *word, "--max-pixels", 80)
    assert limited.status == 1
    (line,) = [line for line in limited.err.splitlines() if line.startswith("aectl: left out")]
    assert "9.png" in line
    assert "more than 80 pixels" in line
    assert "--max-pixels" in line
    assert aectl(verb, model, *word, "--max-pixels", 81, "--overwrite").status == 0


@pytest.mark.parametrize("kind", ["", "raw-patches:"])
def test_an_image_of_more_than_max_pixels_is_left_out_of_training(aectl, two_sizes, kind):
    options = ("--dataset", f"{kind}{two_sizes}", "--hidden", 2, "--epochs", 1)
    limited = aectl("train", *options, "--max-pixels", 80, "--out", "a")
    assert limited.status == 1
    assert "9.png: has more than 80 pixels (--max-pixels" in limited.err
    assert aectl("train", *options, "--max-pixels", 81, "--out", "b").status == 0


def test_max_pixels_lets_pass_what_pillow_takes_for_an_attack(tmp_path):
    Image.new("L", (13_400, 13_400), 77).save(tmp_path / "large.jpg")
    pixels = decode(tmp_path / "large.jpg", (1, 4, 4), Decoding(max_pixels=13_400**2))
    np.testing.assert_array_equal(pixels, np.full((1, 4, 4), 77))
    with pytest.raises(ImageError, match="--max-pixels"):
        decode(tmp_path / "large.jpg", (1, 4, 4))


def test_a_range_of_values_goes_into_the_model_and_to_every_verb(aectl, tmp_path, two_sizes):
    low, high = RANGE
    given = ("--dataset", two_sizes, "--value-range", f"{low},{high}", "--out", "ranged")
    assert aectl("train", *given, "--size", 8, "--hidden", 2, "--epochs", 1).status == 0
    assert model_file.read_card(tmp_path / "ranged").value_range == RANGE
    for more in ("--load", "--encoder"):
        options = ("--dataset", "digits", more, "ranged", "--size", 8, "--epochs", 1)
        assert aectl("train", *options, "--out", more[2:]).status == 0
        assert model_file.read_card(tmp_path / more[2:]).value_range == RANGE
    again = aectl("train", "--config", "ranged/config.toml", "--epochs", 1, "--out", "again")
    assert again.status == 0
    assert model_file.read_card(tmp_path / "again").value_range == RANGE


@pytest.mark.parametrize("given", ["1", "1,2,3", "2,1", "1,1", "a,b", "nan,1", "0,inf", ""])
def test_a_range_that_is_none_is_refused_by_name(aectl, two_sizes, given):
    done = aectl("train", "--dataset", two_sizes, "--value-range", given)
    assert done.status == 2
    assert re.search(r"--value-range (takes|must be) .*; .* given$", done.err.strip())


@pytest.mark.parametrize(
    "value", [[1.0], [2.0, 1.0], [0, 1], ["0", "1"], [True, False], None, {}, "0,1", [0.0, 1e999]]
)
def test_a_model_file_whose_range_is_none_is_refused(dense, tmp_path, value):
    from safetensors.numpy import load_file, save_file

    with safe_open(dense / "model.safetensors", framework="numpy") as file:
        described = json.loads(file.metadata()["aectl"])
    assert "value_range" not in described["preprocessing"]
    assert model_file.read_card(dense).value_range is None
    described["preprocessing"]["value_range"] = value
    path = tmp_path / "model.safetensors"
    tensors = load_file(dense / "model.safetensors")
    save_file(tensors, path, {"aectl": json.dumps(described)})
    with pytest.raises(model_file.ModelFileError, match=r"value_range|value range"):
        model_file.read_card(path)


def test_a_model_of_a_range_reads_what_no_model_without_one_does(aectl, tmp_path):
    """12 bits in files of 16: the codes of all units, which are the pixels."""
    folder = tmp_path / "twelve"
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 4096, (6, 8, 8)).astype(np.uint16)
    for number, image in enumerate(values):
        Image.fromarray(image).save(folder / f"{number}.png")
    given = ("--dataset", folder, "--hidden", 2, "--epochs", 1)
    refused = aectl("train", *given, "--out", "none")
    assert refused.status == 2
    assert "train with --value-range 0,4095" in refused.err
    assert aectl("train", *given, "--value-range", "0,4095", "--out", "ranged").status == 0
    image = aectl_library.load(tmp_path / "ranged").image(folder / "0.png")
    np.testing.assert_allclose(image[0], values[0] / 4095, atol=0.51 / 255)
    assert aectl("encode", "ranged", folder).status == 0
    assert aectl("train", "--dataset", "digits", "--size", 8, "--epochs", 1, "-q",
                 "--hidden", 2, "--out", "usual").status == 0  # fmt: skip
    assert "--value-range 0,4095" in aectl("encode", "usual", folder).err


def test_what_is_left_aside_of_images_is_said_once_a_run(aectl, dense, tmp_path):
    folder = tmp_path / "several"
    folder.mkdir()
    frames = [Image.fromarray(np.full((8, 8), 60 * n, np.uint8)) for n in range(4)]
    for name in ("a.gif", "b.png", "c.webp", "d.avif", "e.tif", "f.tif"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    frames[0].save(folder / "one.gif")
    done = aectl("encode", dense, folder)
    assert done.status == 0
    assert len(done.out.splitlines()) == 8
    (line,) = [x for x in done.err.splitlines() if "first frame" in x]
    assert "4 images, such as" in line
    (line,) = [x for x in done.err.splitlines() if "first page" in x]
    assert "2 images, such as" in line


@pytest.fixture
def cut_short(tmp_path):
    """A folder of two classes with sound JPEGs and, in each, one that is cut short."""
    folder = tmp_path / "cut"
    for name, number in (("a", 3), ("b", 40)):
        (folder / name).mkdir(parents=True)
        for which in range(3):
            pixels = np.random.default_rng(number + which).integers(0, 256, (40, 40), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{which}.jpg")
        data = (folder / name / "1.jpg").read_bytes()
        (folder / name / "1.jpg").write_bytes(data[: 2 * len(data) // 3])
    return folder


@pytest.mark.parametrize(
    ("verb", "ending"),
    [("encode", "csv"), ("encode", "npz"), ("classify", "jsonl"), ("classify", "parquet")],
)
def test_images_cut_short_are_kept_and_marked_where_that_is_asked_for(
    aectl, dense, classifier, cut_short, verb, ending
):
    model = classifier if verb == "classify" else dense
    words = (verb, model, cut_short, "--label-from-folder", "--out", f"t.{ending}")
    refused = aectl(*words)
    assert refused.status == 1
    assert refused.err.count("is truncated (--truncated keep") == 2
    kept = aectl(*words, "--truncated", "keep", "--overwrite")
    assert kept.status == 0
    (line,) = [line for line in kept.err.splitlines() if "truncated; only" in line]
    assert line.startswith("aectl: ")
    assert "2 images, such as " in line
    assert "a/1.jpg" in line
    quiet = aectl(*words, "--truncated", "keep", "--overwrite", "--quiet")
    assert (quiet.status, quiet.err) == (0, "")
    names, marks = table(f"t.{ending}")
    assert names[:3] == ["path", "label", "truncated"]
    assert marks == [0, 1, 0, 0, 1, 0]


def table(path):
    """The names of a table's columns, and its column `truncated`."""
    if path.endswith(".npz"):
        arrays = np.load(path)
        return [*arrays], arrays["truncated"].tolist()
    if path.endswith(".jsonl"):
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        return [*rows[0]], [row["truncated"] for row in rows]
    frame = (polars.read_csv if path.endswith(".csv") else polars.read_parquet)(path)
    return frame.columns, frame["truncated"].to_list()


def test_codes_of_an_image_cut_short_are_those_of_what_pillow_reads(
    aectl, dense, cut_short, tmp_path, monkeypatch
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(cut_short / "a" / "1.jpg") as image:
        image.convert("L").save(tmp_path / "whole.png")
    one = aectl("encode", dense, cut_short / "a" / "1.jpg", "--truncated", "keep").out.splitlines()
    other = aectl("encode", dense, "whole.png").out.splitlines()
    marked = np.array(one[1].split(",")[2:], float)
    np.testing.assert_allclose(marked, np.array(other[1].split(",")[1:], float), atol=0.1)
    assert one[0].startswith("path,truncated,f0")


def test_the_codes_of_a_table_with_marks_are_decoded(aectl, dense, cut_short):
    words = ("encode", dense, cut_short, "--truncated", "keep", "--out", "t.csv")
    assert aectl(*words).status == 0
    decoded = aectl("reconstruct", dense, "--from-codes", "t.csv", "--out", "decoded.png")
    assert decoded.status == 0


@pytest.mark.parametrize("kind", ["", "raw-patches:"])
def test_training_learns_from_images_cut_short_where_that_is_asked_for(
    aectl, cut_short, tmp_path, kind
):
    options = ("--dataset", f"{kind}{cut_short}", "--hidden", 2, "--epochs", 1, "--patches", 9)
    options = options if kind else options[:-2]
    refused = aectl("train", *options, "--out", "refused")
    assert refused.status == 1
    assert refused.err.count("--truncated keep") == 2
    kept = aectl("train", *options, "--truncated", "keep", "--out", "kept")
    assert kept.status == 0
    assert kept.err.count("truncated; only") == 1
    again = aectl("train", "--config", "kept/config.toml", "--out", "again")
    assert again.status == 0
    assert (
        model_file.read_card(tmp_path / "again").training["data_sha256"]
        == (model_file.read_card(tmp_path / "kept").training["data_sha256"])
    )


@pytest.mark.parametrize("verb", ["eval", "reconstruct"])
def test_other_verbs_take_images_cut_short_where_that_is_asked_for(aectl, dense, cut_short, verb):
    word = ("--dataset", cut_short) if verb == "eval" else (cut_short,)
    assert aectl(verb, dense, *word).status == 1
    kept = aectl(verb, dense, *word, "--truncated", "keep", "--overwrite")
    assert kept.status == 0
    assert kept.err.count("truncated; only") == 1
