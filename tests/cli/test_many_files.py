"""The verbs on folders, archives and pipes of many files: nothing is lost, doubled or guessed."""

import csv
import json
import os
import subprocess
import sys
import tarfile
import zipfile
import zlib
from urllib.parse import unquote_to_bytes

import numpy as np
import polars
import pytest
from conftest import shell
from PIL import Image
from safetensors.numpy import load_file


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def features(rows):
    names = [name for name in rows[0] if name[0] == "f" and name[1:].isdigit()]
    return np.array([[np.float32(row[name]) for name in names] for row in rows], np.float32)


@pytest.fixture
def album(scans, tmp_path):
    """Twelve of the scans in the two folders of an album."""
    for number, path in enumerate(sorted(scans.iterdir())[:12]):
        place = tmp_path / "album" / ("sea" if number % 2 else "hill")
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).write_bytes(path.read_bytes())
    return tmp_path / "album"


def pixels_of(path):
    return np.asarray(Image.open(path), np.float64).ravel() / 255


DAMAGE = {
    "cut short.png": lambda path, sound: path.write_bytes(sound[: len(sound) // 2]),
    "flipped.png": lambda path, sound: path.write_bytes(sound[:60] + b"\xff" + sound[61:]),
    "empty.png": lambda path, sound: path.write_bytes(b""),
    "text.jpg": lambda path, sound: path.write_text("no picture"),
    "folder.png": lambda path, sound: path.mkdir(),
    "dangling.png": lambda path, sound: path.symlink_to("nowhere"),
    "itself.png": lambda path, sound: path.symlink_to(path.name),
    "bomb.png": lambda path, sound: path.write_bytes(bomb(sound)),
    "pipe.png": lambda path, sound: os.mkfifo(path),
}  # fmt: skip


def bomb(sound):
    """A PNG whose header announces 60,000 x 60,000 pixels."""
    size = (60_000).to_bytes(4, "big")
    header = b"IHDR" + size + size + sound[24:29]
    return sound[:12] + header + zlib.crc32(header).to_bytes(4, "big") + sound[33:]


def test_damaged_files_are_named_and_cost_no_other_row(aectl, dense, scans, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for path in scans.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    whole = aectl("encode", dense, "many")
    sound = (scans / "000.png").read_bytes()
    bad = []
    for number, (name, damage) in enumerate(DAMAGE.items()):
        for place in (7 * number, 300):
            bad.append(f"{place:03d} {name}")
            damage(folder / bad[-1], sound)
    done = aectl("encode", dense, "many", "--errors", "errors.csv")
    assert done.status == 1
    assert done.out == whole.out
    assert len(rows_of(done.out)) == 360
    errors = {row["path"]: row["reason"] for row in rows_of((tmp_path / "errors.csv").read_text())}
    assert sorted(errors) == sorted(f"many/{name}" for name in bad)
    assert all(errors.values())
    assert all(f"many/{name}" in done.err for name in bad)
    assert "18 of 378 inputs were left out" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_must_not_be_read_is_named(aectl, dense, album):
    hidden = sorted((album / "sea").iterdir())[0]
    hidden.chmod(0)
    done = aectl("encode", dense, "album")
    assert (done.status, len(rows_of(done.out))) == (1, 11)
    assert f"{hidden.name}: Permission denied" in done.err


NAMES = [
    b"a b.png",
    b"c,d.png",
    b'e"f.png',
    b"g\nh.png",
    b"caf\xe9 \xff.png",
    "i\u00e9.png".encode(),
]


@pytest.fixture
def strange(scans, tmp_path):
    """A folder of scans with names that are hard to write down."""
    folder = tmp_path / "strange"
    folder.mkdir()
    for name, path in zip(NAMES, sorted(scans.iterdir()), strict=False):
        (folder / os.fsdecode(name)).write_bytes(path.read_bytes())
    return folder


def read_csv_paths(path):
    return [row["path"] for row in csv.DictReader(path.open(encoding="utf-8", newline=""))]


def bytes_of(name):
    """The bytes of a file's name by what a table calls it."""
    return unquote_to_bytes(name[5:]) if name.startswith("file:") else name.encode()


READ_PATHS = {
    "csv": read_csv_paths,
    "parquet": lambda path: polars.read_parquet(path)["path"].to_list(),
    "jsonl": lambda path: polars.read_ndjson(path)["path"].to_list(),
    "npz": lambda path: np.load(path)["path"].tolist(),
}


@pytest.mark.parametrize("ending", READ_PATHS)
@pytest.mark.parametrize("way", ["folder", "stdin"])
def test_every_name_survives_the_way_into_a_table(aectl, dense, strange, tmp_path, ending, way):
    wanted = sorted(b"strange/" + name for name in NAMES)
    words, stdin = (["strange"], b"") if way == "folder" else (["-", "-0"], b"\0".join(wanted))
    done = aectl("encode", dense, *words, "--out", f"t.{ending}", stdin=stdin)
    assert done.status == 0, done.err
    found = list(map(bytes_of, READ_PATHS[ending](tmp_path / f"t.{ending}")))
    assert sorted(found) == wanted
    assert all(os.path.exists(tmp_path / os.fsdecode(name)) for name in found)


def test_names_that_are_text_stay_text_in_parquet(aectl, dense, album, tmp_path):
    aectl("encode", dense, "album", "--out", "t.parquet")
    assert polars.read_parquet(tmp_path / "t.parquet").schema["path"] == polars.String


@pytest.mark.parametrize("ending", READ_PATHS)
def test_names_of_a_table_are_inputs_and_rows_of_other_commands(
    aectl, dense, strange, tmp_path, ending
):
    """A list of what a table calls its files finds them; codes decode to files of those names."""
    for name in (b"=formula.png", b"file:x.png", b"caf%E9.png"):
        (strange / os.fsdecode(name)).write_bytes((strange / "a b.png").read_bytes())
    there = aectl("encode", dense, "strange", "--relative-to", "strange", "--out", f"t.{ending}")
    assert there.status == 0, there.err
    names = READ_PATHS[ending](tmp_path / f"t.{ending}")
    assert {"./=formula.png", "./file:x.png", "caf%E9.png", "file:caf%E9%20%FF.png"} < set(names)
    os.chdir(strange)
    listed = "\0".join(names).encode()
    again = aectl("encode", dense, "-", "-0", "--out", tmp_path / f"again.{ending}", stdin=listed)
    assert again.status == 0, again.err
    assert READ_PATHS[ending](tmp_path / f"again.{ending}") == names
    os.chdir(tmp_path)
    done = aectl("reconstruct", dense, "--from-codes", f"t.{ending}", "--each", "made")
    assert done.status == 0, done.err
    assert sorted(os.listdir(b"made")) == sorted(
        name.replace(b":", b"-") for name in os.listdir(b"strange")
    )


def test_labels_and_reasons_do_not_begin_as_formulas(aectl, dense, scans, tmp_path):
    for name in ("=cmd|' calc'!A0", "-1", "'a", "@x"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "0.png").write_bytes((scans / "000.png").read_bytes())
    (tmp_path / "in" / "=bad.png").write_text("no picture")
    done = aectl("encode", dense, "in", "--label-from-folder", "--relative-to", "in",
                 "--errors", "errors.csv")  # fmt: skip
    rows = rows_of(done.out)
    assert {row["label"] for row in rows} == {"'=cmd|' calc'!A0", "-1", "''a", "'@x"}
    paths = {row["path"] for row in rows}
    assert paths > {"./=cmd|' calc'!A0/0.png", "./-1/0.png"}
    assert rows_of((tmp_path / "errors.csv").read_text())[0]["path"] == "./=bad.png"


def test_bad_files_with_strange_names_are_listed_with_their_bytes(aectl, dense, album, tmp_path):
    (album / os.fsdecode(b"\xff,\n.png")).write_text("no picture")
    done = aectl("encode", dense, "album", "--errors", "errors.csv")
    assert done.status == 1
    assert "album/\\xff,\\n.png: not an image" in done.err
    assert read_csv_paths(tmp_path / "errors.csv") == ["file:album/%FF%2C%0A.png"]


@pytest.mark.parametrize("workers", [1, 3])
def test_codes_do_not_depend_on_workers_order_or_neighbours(aectl, dense, scans, workers):
    paths = [str(path) for path in sorted(scans.iterdir())]
    shuffled = [paths[number] for number in np.random.default_rng(0).permutation(len(paths))]
    usual = {row["path"]: row for row in rows_of(aectl("encode", dense, scans).out)}
    other = rows_of(aectl("encode", dense, *shuffled, "--workers", workers).out)
    assert [row["path"] for row in other] == shuffled
    assert {row["path"]: row for row in other} == usual
    alone = rows_of(aectl("encode", dense, paths[17]).out)
    assert alone == [usual[paths[17]]]


@pytest.mark.parametrize("size", [7, 250])
def test_a_sigmoid_code_does_not_depend_on_its_place_in_the_batch(aectl, trained, scans, size):
    model = trained("--epochs", "1", "--sparse", "--hidden", "33")
    one = str(scans / "000.png")
    done = aectl("encode", model, *[one] * 300, "--batch-size", size)
    assert len(set(done.out.splitlines()[1:])) == 1


def test_a_reader_of_stderr_that_leaves_stops_no_run(dense, scans, tmp_path):
    for number in range(50):
        (tmp_path / f"bad {number}.png").write_text("no picture")
    command = f"aectl encode {dense} . {scans} --out t.csv"
    done = shell(f"{command} 2>&1 >/dev/null | head -1; echo ${{PIPESTATUS[0]}}", tmp_path, True)
    assert done.out.splitlines()[-1] == "1"
    assert (tmp_path / "t.csv").read_text().count("\n") == 361


@pytest.mark.parametrize("closed", ["2>&-", "-q 2>&-", ">&-", "<&-"])
def test_a_stream_that_is_closed_stops_no_run(dense, scans, tmp_path, closed):
    (tmp_path / "bad.png").write_text("no picture")
    done = shell(f"aectl encode {dense} {scans} bad.png --out t.csv {closed}", tmp_path, True)
    assert (done.status, done.out) == (1, "")
    assert (tmp_path / "t.csv").read_text().count("\n") == 361


def test_strict_stops_at_the_first_bad_file(aectl, dense, scans, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    done = aectl("encode", dense, scans / "000.png", "bad.png", scans / "001.png", "--strict",
                 "--out", "t.csv")  # fmt: skip
    assert done.status == 2
    assert "bad.png: not an image" in done.err
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_an_inner_layer_is_what_numpy_computes(aectl, trained, scans, layer):
    model = trained("--epochs", "2", "--hidden", "20,12,5")
    weights = load_file(model / "model.safetensors")
    wanted = np.array([pixels_of(path) for path in sorted(scans.iterdir())[:20]])
    wanted = wanted - weights["encoder.center"]
    for number in range(layer):
        name = f"encoder.layers.{number}"
        wanted = np.maximum(wanted @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], 0)
    found = features(rows_of(aectl("encode", model, scans, "--layer", layer).out))
    assert found.shape == (360, (20, 12, 5)[layer - 1])
    np.testing.assert_allclose(found[:20], wanted, atol=1e-5)


def test_a_stage_of_a_convolutional_encoder_is_a_layer(aectl, trained, scans):
    form = ("--model", "conv-autoencoder", "--bottleneck", "vector", "--hidden", "4,6,10")
    model = trained("--epochs", "1", *form)
    assert features(rows_of(aectl("encode", model, scans, "--layer", 1).out)).shape == (360, 64)
    assert features(rows_of(aectl("encode", model, scans, "--layer", 2).out)).shape == (360, 24)
    code = aectl("encode", model, scans).out
    assert aectl("encode", model, scans, "--layer", 3).out == code


def test_a_layer_that_is_not_there_is_refused(aectl, dense, scans):
    done = aectl("encode", dense, scans, "--layer", 2)
    assert (done.status, done.out) == (2, "")
    assert "at most 1" in done.err


def test_normalized_rows_have_length_one(aectl, dense, album):
    plain = features(rows_of(aectl("encode", dense, "album").out))
    unit = features(rows_of(aectl("encode", dense, "album", "--normalize", "l2").out))
    wanted = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, wanted, rtol=1e-6)


def test_half_precision_is_the_nearest_half(aectl, dense, album, tmp_path):
    plain = features(rows_of(aectl("encode", dense, "album").out))
    aectl("encode", dense, "album", "--dtype", "float16", "--out", "t.npz")
    half = np.load(tmp_path / "t.npz")["features"]
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, plain.astype(np.float16))
    text = features(rows_of(aectl("encode", dense, "album", "--dtype", "float16").out))
    np.testing.assert_array_equal(text.astype(np.float16), half)


def test_layouts_hold_the_same_features(aectl, dense, album, tmp_path):
    plain = features(rows_of(aectl("encode", dense, "album").out))
    for layout in ("vector", "sparse"):
        aectl("encode", dense, "album", "--layout", layout, "--out", f"{layout}.parquet")
    vector = polars.read_parquet(tmp_path / "vector.parquet")
    assert vector.columns == ["path", "features"]
    np.testing.assert_array_equal(vector["features"].to_numpy(), plain)
    sparse = polars.read_parquet(tmp_path / "sparse.parquet")
    rebuilt = np.zeros_like(plain)
    for number, (indices, values) in enumerate(
        zip(sparse["indices"], sparse["values"], strict=True)
    ):
        rebuilt[number, indices.to_numpy()] = values.to_numpy()
    np.testing.assert_array_equal(rebuilt, plain)
    assert sum(map(len, sparse["indices"])) == np.count_nonzero(plain)
    lines = rows_of(aectl("encode", dense, "album", "--layout", "sparse").out)
    assert [int(n) for n in lines[3]["indices"].split()] == np.flatnonzero(plain[3]).tolist()
    assert [np.float32(x) for x in lines[3]["values"].split()] == plain[3][plain[3] != 0].tolist()


@pytest.mark.parametrize("out", [[], ["--out", "t.csv"], ["--out", "t.csv.gz"]])
def test_csv_has_no_vectors(aectl, dense, album, out):
    done = aectl("encode", dense, "album", "--layout", "vector", *out)
    assert (done.status, done.out) == (2, "")
    assert "--layout vector" in done.err


def paths_of(done):
    assert done.status == 0, done.err
    return [row["path"] for row in rows_of(done.out)]


def test_ext_include_and_exclude_choose_among_the_files(aectl, dense, album):
    first = sorted((album / "sea").iterdir())[0]
    first.rename(album / "sea" / "one.dat")
    everything = [str(path.relative_to(album.parent)) for path in sorted(album.rglob("*.*"))]
    assert paths_of(aectl("encode", dense, "album", "--ext", "dat")) == ["album/sea/one.dat"]
    assert paths_of(aectl("encode", dense, "album", "--ext", "png, .DAT")) == everything
    chosen = paths_of(aectl("encode", dense, "album", "--include", "sea/*", "--include", "000*"))
    assert chosen == [path for path in everything if "sea" in path or "000" in path]
    left = paths_of(aectl("encode", dense, "album", "--exclude", "sea", "--exclude", "*2.png"))
    assert left == [path for path in everything if "sea" not in path and not path.endswith("2.png")]


def test_the_table_calls_files_as_it_is_told(aectl, dense, album):
    found = [str(path.relative_to(album)) for path in sorted(album.rglob("*.png"))]
    assert paths_of(aectl("encode", dense, "album")) == [f"album/{name}" for name in found]
    assert paths_of(aectl("encode", dense, "album", "--relative-to", "album")) == found
    assert paths_of(aectl("encode", dense, "album", "--absolute")) == [
        str(album / name) for name in found
    ]
    done = aectl("encode", dense, "album", "--absolute", "--relative-to", "album")
    assert (done.status, done.out) == (2, "")
    assert "not both" in done.err


HERE = "the test's own folder"
LABELS = {
    "a class folder": (["album/sea"], ["sea"] * 6),
    "with a slash": (["album/sea/"], ["sea"] * 6),
    "a single file": (["album/sea/003.png"], ["sea"]),
    "several": (["album/sea/003.png", "album/hill", "top.png"], ["sea", *["hill"] * 6, HERE]),
    "an archive of one class": (["sea.zip"], ["sea"] * 6),
}


@pytest.mark.parametrize(("words", "labels"), LABELS.values(), ids=LABELS)
def test_what_lies_in_no_sub_folder_has_its_folder_s_name_for_a_label(
    aectl, dense, album, tmp_path, words, labels
):
    (tmp_path / "top.png").write_bytes((tmp_path / "album" / "sea" / "003.png").read_bytes())
    with zipfile.ZipFile(tmp_path / "sea.zip", "w") as packed:
        for path in sorted((tmp_path / "album" / "sea").iterdir()):
            packed.write(path, path.name)
    wanted = [tmp_path.name if label == HERE else label for label in labels]
    rows = rows_of(aectl("encode", dense, *words, "--label-from-folder").out)
    assert [row["label"] for row in rows] == wanted
    if not any(os.path.isdir(word) for word in words):
        listed = "\n".join(words).encode()
        rows = rows_of(aectl("encode", dense, "-", "--label-from-folder", stdin=listed).out)
        assert [row["label"] for row in rows] == wanted


@pytest.mark.parametrize("verb", ["encode", "eval"])
def test_paths_are_not_relative_to_a_folder_that_is_not_there(aectl, dense, album, verb):
    words = ("--dataset", "album", "--per-image", "t.csv") if verb == "eval" else ("album",)
    done = aectl(verb, dense, *words, "--relative-to", "nowhere/at/all")
    assert (done.status, done.out) == (2, "")
    assert "--relative-to nowhere/at/all: there is no such folder" in done.err


def test_the_sub_folder_is_the_label_where_wanted(aectl, dense, classifier, album, tmp_path):
    rows = rows_of(aectl("encode", dense, "album", "--label-from-folder").out)
    assert [row["label"] for row in rows] == ["hill"] * 6 + ["sea"] * 6
    rows = rows_of(aectl("classify", classifier, "album", "--label-from-folder").out)
    assert [row["label"] for row in rows] == ["hill"] * 6 + ["sea"] * 6
    assert "label" not in rows_of(aectl("encode", dense, "album").out)[0]


@pytest.fixture
def archives(album, tmp_path):
    """The album as archives, written by Python's own modules."""
    files = sorted(album.rglob("*.png"))
    with (
        tarfile.open(tmp_path / "album.tar", "w") as tar,
        tarfile.open(tmp_path / "album.tgz", "w:gz") as packed,
        zipfile.ZipFile(tmp_path / "album.zip", "w", zipfile.ZIP_DEFLATED) as zipped,
    ):
        for path in files:
            name = str(path.relative_to(album))
            tar.add(path, name)
            packed.add(path, name)
            zipped.write(path, name)
    return [tmp_path / "album.tar", tmp_path / "album.tgz", tmp_path / "album.zip"]


def test_an_archive_is_read_in_place(aectl, dense, classifier, album, archives):
    wanted = aectl("encode", dense, "album", "--label-from-folder").out
    for archive in archives:
        done = aectl("encode", dense, archive.name, "--label-from-folder")
        assert done.status == 0, done.err
        assert done.out == wanted.replace("album/", f"{archive.name}/")
        by_stdin = aectl("encode", dense, "-", "--label-from-folder", stdin=archive.name.encode())
        assert features(rows_of(by_stdin.out)).tolist() == features(rows_of(wanted)).tolist()
    by_folder = json.loads(aectl("eval", dense, "--dataset", "album", "--json").out)[0]
    by_tar = json.loads(aectl("eval", dense, "--dataset", "album.tar", "--json").out)[0]
    assert by_tar["n"] == 12
    assert by_tar["mse"] == by_folder["mse"]
    a = rows_of(aectl("classify", classifier, "album").out)
    b = rows_of(aectl("classify", classifier, "album.zip").out)
    assert [row["prediction"] for row in a] == [row["prediction"] for row in b]


def test_a_damaged_archive_gives_what_it_has(aectl, dense, archives, tmp_path):
    whole = archives[0].read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    done = aectl("encode", dense, "cut.tar", "album.zip")
    assert done.status == 1
    paths = [row["path"] for row in rows_of(done.out)]
    assert 0 < len([path for path in paths if path.startswith("cut.tar/")]) < 12
    assert len([path for path in paths if path.startswith("album.zip/")]) == 12
    assert "cut.tar: " in done.err


def test_per_image_errors_of_a_folder_carry_the_wanted_paths(aectl, dense, album, tmp_path):
    done = aectl("eval", dense, "--dataset", "album", "--per-image", "t.csv", "--relative-to",
                 "album", "--json")  # fmt: skip
    assert done.status == 0, done.err
    rows = rows_of((tmp_path / "t.csv").read_text())
    assert [row["path"] for row in rows] == [
        str(path.relative_to(album)) for path in sorted(album.rglob("*.png"))
    ]
    mean = np.mean([float(row["mse"]) for row in rows])
    assert json.loads(done.out)[0]["mse"] == pytest.approx(mean, rel=1e-6)


def test_training_on_a_folder_sees_the_pixels_that_encode_sees(aectl, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0)
    for number in range(6):
        pixels = noise.integers(0, 256, (90, 120, 3), np.uint8)
        Image.fromarray(pixels).resize((240, 180)).save(photos / f"{number}.jpg", quality=90)
    done = aectl("train", "-q", "--dataset", "photos", "--size", "40x48", "--epochs", "1",
                 "--hidden", "8", "--out", "run")  # fmt: skip
    assert done.status == 0, done.err
    measured = json.loads(aectl("eval", "run", "--json").out)[0]
    (last,) = rows_of((tmp_path / "run" / "metrics.csv").read_text())[-1:]
    assert json.loads(aectl("info", "run", "--json").out)["preprocessing"]["height"] == 40
    assert float(last["train_mse"]) == pytest.approx(measured["mse"], rel=1e-4)


def test_a_crowd_of_paths_in_a_pipe_is_encoded(dense, scans, tmp_path):
    done = shell(
        f"for n in 1 2 3; do find {scans} -name '*.png' | sort; done"
        f" | aectl encode {dense} - | wc -l", tmp_path, warmed=True,
    )  # fmt: skip
    assert (done.status, done.out.strip()) == (0, "1081")


def test_workers_import_neither_torch_nor_the_command_line():
    code = (
        "import sys, aectl.data.images.worker\n"
        "print({name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'torchvision', 'polars', 'typer', 'rich', 'sklearn'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
