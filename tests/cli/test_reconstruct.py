"""`aectl reconstruct`: which images stand where, and what walks through the codes give."""

import csv
import shutil

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import aectl as package

SCALE = 8
"""How much a picture enlarges the digits."""


def digits(first, last):
    """Some of the digits' test split, without aectl: (n, 8, 8), 0 to 255."""
    test = load_digits().images[-360:]
    return np.round(test[first:last] * (255 / 16)).astype(np.uint8)


def codes_by_hand(folder, pixels):
    model = package.load(folder)
    with torch.no_grad():
        return model.encode(torch.tensor(pixels[:, None]) / 255)


def decoded_by_hand(folder, codes):
    """What codes decode to, as bytes: (n, 8, 8)."""
    with torch.no_grad():
        made = package.load(folder).decode(codes)[:, 0]
    return np.round(made.numpy().clip(0, 1) * 255).astype(np.uint8)


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def place_of(sheet, tile):
    """(top, left) of a small image in a picture that shows it enlarged."""
    large = np.kron(tile.astype(int), np.ones((SCALE, SCALE), int))
    windows = np.lib.stride_tricks.sliding_window_view(sheet.astype(int), large.shape)
    corners = np.abs(windows[..., ::SCALE, ::SCALE] - tile).max((2, 3)) <= 1
    for top, left in np.argwhere(corners):
        if np.abs(windows[top, left] - large).max() <= 1:
            return int(top), int(left)
    raise AssertionError("the picture does not show the image")


def test_each_image_stands_above_its_reconstruction(aectl, dense, tmp_path):
    done = aectl("reconstruct", dense, "--count", "3", "--out", "grid.png")
    assert (done.status, done.out) == (0, "grid.png\n")
    pixels, sheet = digits(0, 3), read(tmp_path / "grid.png")
    for image, made in zip(
        pixels, decoded_by_hand(dense, codes_by_hand(dense, pixels)), strict=True
    ):
        (top, left), (below, under) = place_of(sheet, image), place_of(sheet, made)
        assert under == left
        assert 8 * SCALE < below - top < 9 * SCALE


def test_separate_pictures_show_inputs_and_outputs(aectl, dense, tmp_path):
    done = aectl("reconstruct", dense, "--count", "6", "--separate", "--out", "grid.png")
    assert done.out == "grid-inputs.png\ngrid-outputs.png\n"
    pixels = digits(0, 6)
    made = decoded_by_hand(dense, codes_by_hand(dense, pixels))
    places = []
    for name, images in (("inputs", pixels), ("outputs", made)):
        sheet = read(tmp_path / f"grid-{name}.png")
        places.append([place_of(sheet, image)[1] for image in images])
    assert places[0] == places[1]
    assert not (tmp_path / "grid.png").exists()


def test_each_reconstruction_becomes_a_file(aectl, dense, scans, tmp_path):
    shutil.copytree(scans, tmp_path / "in" / "deep")
    shutil.copy(scans / "000.png", tmp_path / "in" / "x.bmp.png")
    done = aectl(
        "reconstruct", dense, "in", "../" + tmp_path.name + "/in/x.bmp.png", "--each", "made"
    )
    assert (done.status, done.out) == (0, "made\n")
    found = sorted(path.relative_to(tmp_path / "made") for path in tmp_path.glob("made/**/*.png"))
    assert len(found) == 362
    wanted = decoded_by_hand(dense, codes_by_hand(dense, digits(0, 360)))
    for number in (0, 1, 200, 359):
        made = read(tmp_path / "made" / "in" / "deep" / f"{number:03d}.png")
        np.testing.assert_allclose(made.astype(int), wanted[number], atol=1)
    assert not (tmp_path / "reconstructions.png").exists()


def test_two_images_of_one_name_give_two_files(aectl, dense, tmp_path):
    done = aectl("reconstruct", dense, "digits:test/3", "digits:test/3", "--each", "made")
    assert done.status == 0
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("made/**/*.png"))
    assert names == ["made/digits-test/3-2.png", "made/digits-test/3.png"]


def test_single_files_stay_inside_their_folder(aectl, dense, scans, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.copy(scans / "000.png", tmp_path / "a" / "up.png")
    (tmp_path / "a" / "b" / "here").mkdir()
    paths = f"a/b/../up.png\n{tmp_path}/a/up.png\n"
    assert aectl("reconstruct", dense, "-", "--each", "made", stdin=paths.encode()).status == 0
    outside = [p for p in tmp_path.rglob("*.png") if not p.is_relative_to(tmp_path / "made")]
    assert outside == [tmp_path / "a" / "up.png"]
    assert len(list(tmp_path.glob("made/**/*.png"))) == 2


def test_a_folder_that_holds_something_is_not_written_into_unasked(aectl, dense, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").touch()
    done = aectl("reconstruct", dense, "digits:test/3", "--each", "made")
    assert (done.status, done.out) == (2, "")
    assert "--overwrite" in done.err
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["mine.txt"]
    done = aectl("reconstruct", dense, "digits:test/3", "--each", "made", "--overwrite")
    assert done.status == 0


def test_count_bounds_single_files_and_a_picture_comes_with_out(aectl, dense, tmp_path):
    done = aectl("reconstruct", dense, "--each", "made", "--count", "5", "--out", "grid.png")
    assert done.out == "grid.png\nmade\n"
    assert len(list(tmp_path.glob("made/**/*.png"))) == 5
    place_of(read(tmp_path / "grid.png"), digits(4, 5)[0])


def test_interpolation_goes_straight_from_one_code_to_the_other(aectl, dense, tmp_path):
    ends = ("digits:test/3", "digits:test/8")
    done = aectl("reconstruct", dense, "--interpolate", *ends, "--steps", "4", "--out", "way.png")
    assert (done.status, done.out) == (0, "way.png\n")
    pixels, sheet = digits(0, 9)[[3, 8]], read(tmp_path / "way.png")
    first, last = codes_by_hand(dense, pixels)
    codes = torch.stack([first + share * (last - first) for share in (0, 1 / 3, 2 / 3, 1)])
    row = [pixels[0], *decoded_by_hand(dense, codes), pixels[1]]
    places = [place_of(sheet, tile) for tile in row]
    assert len({top for top, _ in places}) == 1
    assert places == sorted(places)


def test_files_are_ends_of_a_way_too_and_a_folder_is_none(aectl, dense, scans, tmp_path):
    ends = (scans / "003.png", scans / "008.png")
    assert aectl("reconstruct", dense, "--interpolate", *ends, "--out", "files.png").status == 0
    ends = ("digits:test/3", "digits:test/8")
    assert aectl("reconstruct", dense, "--interpolate", *ends, "--out", "names.png").status == 0
    files, names = read(tmp_path / "files.png"), read(tmp_path / "names.png")
    np.testing.assert_array_equal(files[-56:], names[-56:])  # what is below the headings
    done = aectl("reconstruct", dense, "--interpolate", scans, scans / "003.png", "--out", "x.png")
    assert done.status == 2
    assert "more than one image" in done.err


def test_traversal_gives_one_unit_all_its_values(aectl, dense, tmp_path):
    options = ("--traverse", "5", "--steps", "3", "--count", "2", "--out", "walk.png")
    assert aectl("reconstruct", dense, *options).status == 0
    pixels, sheet = digits(0, 360), read(tmp_path / "walk.png")
    codes = codes_by_hand(dense, pixels)
    low, high = codes[:, 5].min(), codes[:, 5].max()
    for image in range(2):
        tops = {place_of(sheet, pixels[image])[0]}
        for value in (low, (low + high) / 2, high):
            code = codes[image : image + 1].clone()
            code[0, 5] = value
            tops.add(place_of(sheet, decoded_by_hand(dense, code)[0])[0])
        assert len(tops) == 1


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".parquet", ".npz"])
@pytest.mark.parametrize("layout", ["columns", "vector", "sparse"])
def test_codes_of_a_table_decode_to_the_reconstructions(
    aectl, dense, scans, tmp_path, ending, layout
):
    table = f"codes{ending}"
    (tmp_path / "few").mkdir()
    for path in sorted(scans.iterdir())[:20]:
        shutil.copy(path, tmp_path / "few")
    done = aectl("encode", dense, "few", "--layout", layout, "--out", table)
    if done.status == 2:
        assert layout in done.err  # CSV has no vectors
        return
    assert aectl("reconstruct", dense, "few", "--each", "straight").status == 0
    done = aectl("reconstruct", dense, "--from-codes", table, "--each", "decoded")
    assert (done.status, done.out) == (0, "decoded\n")
    written = list((tmp_path / "straight").rglob("*.png"))
    assert len(written) == 20
    for path in written:
        other = tmp_path / "decoded" / path.relative_to(tmp_path / "straight")
        np.testing.assert_allclose(read(path).astype(int), read(other), atol=1)


def test_codes_of_another_program_come_through_a_pipe(aectl, dense, tmp_path):
    codes = codes_by_hand(dense, digits(0, 2)).numpy()
    frame = polars.DataFrame({f"f{n}": codes[:, n] for n in range(codes.shape[1])})
    text = frame.reverse().select(reversed(frame.columns)).write_csv().encode()
    done = aectl("reconstruct", dense, "--from-codes", "-", "--out", "made.png", stdin=text)
    assert done.status == 0
    sheet = read(tmp_path / "made.png")
    wanted = decoded_by_hand(dense, torch.from_numpy(codes[::-1].copy()))
    assert place_of(sheet, wanted[0]) < place_of(sheet, wanted[1])


HEAD = ",".join(f"f{number}" for number in range(32))
ONES = "1," * 31


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "f0,f1\n1,2\n", "2 features"),
        ("a.csv", "path,label\nx,y\n", "no features"),
        ("a.csv", "", "cannot read"),
        ("a.csv", f"{HEAD}\n", "no rows"),
        ("a.csv", f"{HEAD}\n{ONES}", "row 1"),
        ("a.csv", f"{HEAD}\n{ONES}x", "cannot"),
        ("a.npz", "no zip", "not an .npz"),
        ("a.jsonl", '{"indices": [0, 32], "values": [1, 1]}', "beyond the 32"),
        ("a.jsonl", '{"indices": [0], "values": [1, 1]}', "cannot read"),
        ("a.jsonl", '{"indices": ["x"], "values": [1]}', "cannot read"),
        ("a.jsonl", '{"indices": [-1], "values": [1]}', "cannot read"),
        ("a.csv", "indices,values\n1 2,0.5\n", "2 indices and 1 values"),
        ("a.csv", "indices,values\n1 x,0.5 1\n", "cannot read"),
        ("a.parquet", "no parquet", "cannot read"),
        ("a.jsonl", "{", "cannot read"),
        ("a.txt", "1", ".parquet"),
        ("missing.csv", None, "missing.csv"),
    ],
)  # fmt: skip
def test_a_table_without_codes_is_refused(aectl, dense, tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_text(content)
    done = aectl("reconstruct", dense, "--from-codes", name, "--out", "x.png")
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--interpolate", "a", "b", "--traverse", "1"), "one of"),
        (("--traverse", "1", "--separate"), "--separate"),
        (("--traverse", "1", "--each", "d"), "--each"),
        (("digits:test", "--interpolate", "a", "b"), "INPUT"),
        (("--traverse", "32"), "0 to 31"),
        (("--out", "a.jpg"), ".png"),
        (("digits:test/360",), "0 to 359"),
        (("digits:test/x",), "numbered"),
    ],
)
def test_options_that_do_not_go_together_are_refused(aectl, dense, tmp_path, arguments, said):
    done = aectl("reconstruct", dense, *arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert list(tmp_path.glob("*.png")) == []


def test_one_image_of_a_dataset_is_an_input_of_every_verb(aectl, dense, classifier):
    rows = list(csv.DictReader(aectl("encode", dense, "digits:test/17").out.splitlines()))
    everything = list(csv.DictReader(aectl("encode", dense, "digits:test").out.splitlines()))
    assert rows == everything[17:18]
    row = next(csv.DictReader(aectl("classify", classifier, "digits:train/0").out.splitlines()))
    assert (row["path"], row["label"]) == ("digits:train/0", "0")


AWKWARD = {
    "a folder's name": ("a.png", "a.png/b.png"),
    "a file's name": ("a/b.png", "a"),
    "300 characters": ("x" * 300, "y" * 300),
    "a zero byte": ("a\0b", "\0c"),
}


@pytest.mark.parametrize("names", AWKWARD.values(), ids=AWKWARD)
def test_a_name_that_no_file_can_have_costs_its_row(aectl, dense, tmp_path, names):
    """`a` becomes a.png, which stands in no folder's way; `a.png/b.png` and the others cannot."""
    paths = ["first.png", *names, "last.png"]
    codes = np.ones((4, 32), np.float32)
    np.savez(tmp_path / "t.npz", path=np.array(paths), features=codes)
    done = aectl("reconstruct", dense, "--from-codes", "t.npz", "--each", "made",
                 "--errors", "errors.csv")  # fmt: skip
    found = sorted(str(p.relative_to(tmp_path / "made")) for p in tmp_path.glob("made/**/*.png"))
    left_out = 4 - len(found)
    assert {"first.png", "last.png"} <= set(found)
    assert done.status == (1 if left_out else 0)
    assert left_out == {"a.png": 1, "a/b.png": 0}.get(names[0], 2)
    assert done.err.count("aectl: left out ") == left_out


def test_two_thousand_images_of_one_name_are_told_apart(aectl, dense, tmp_path):
    np.savez(tmp_path / "t.npz", path=np.array(["a"] * 2000 + ["a-7"]),
             features=np.ones((2001, 32), np.float32))  # fmt: skip
    assert aectl("reconstruct", dense, "--from-codes", "t.npz", "--each", "made").status == 0
    found = {path.name for path in (tmp_path / "made").iterdir()}
    assert found == {"a.png", "a-7-2.png", *(f"a-{number}.png" for number in range(2, 2001))}


SPACE, IMAGE_ENDS = 8, 8 + 64
ALIKE = [
    ("cat/000.png", "dog/000.png"),
    ("cat/left/000.png", "dog/left/000.png"),
    ("holiday_2019_at_the_sea.png", "holiday_2020_at_the_sea.png"),
    ("0/17", "1/17"),
]


@pytest.mark.parametrize("files", ALIKE, ids="|".join)
def test_captions_tell_images_apart(aectl, dense, tmp_path, files):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 99).save(tmp_path / name, format="png")
    assert aectl("encode", dense, *files, "--out", "codes.csv").status == 0
    assert aectl("reconstruct", dense, *files, "--separate", "--out", "r.png").status == 0
    assert aectl("reconstruct", dense, "--from-codes", "codes.csv", "--out", "made.png").status == 0
    for picture in ("r-inputs.png", "r-outputs.png", "made.png"):
        sheet = np.asarray(Image.open(tmp_path / picture))
        first, second = np.split(sheet[:, SPACE:], 2, axis=1)
        assert (first[:IMAGE_ENDS] == second[:IMAGE_ENDS]).all()
        assert (first != second).any()
