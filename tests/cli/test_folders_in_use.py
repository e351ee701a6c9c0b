"""Folders as users have them: leftovers of other programs, runs of aectl, files of other kinds."""

import contextlib
import json
import os
import tarfile
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from aectl.config import run_files
from aectl.data.images import heif
from aectl.models import model_file


@pytest.fixture
def album(scans, tmp_path):
    """Six scans in the two folders of an album, among what macOS and Jupyter leave behind."""
    folder = tmp_path / "album"
    for number, path in enumerate(sorted(scans.iterdir())[:6]):
        place = folder / ("sea" if number % 2 else "hill")
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).write_bytes(path.read_bytes())
        (place / f"._{path.name}").write_bytes(b"\0\5\x16\7 resource fork")
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        (folder / name).mkdir()
        (folder / name / "000.png").write_bytes((folder / "hill" / "000.png").read_bytes())
    return folder


def packed_zip(folder):
    with zipfile.ZipFile("album.zip", "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder.parent))
    return "album.zip"


def packed_tar(folder):
    with tarfile.open("album.tar", "w") as packed:
        packed.add(folder, f"./{folder.name}")
    return "album.tar"


def listed(done):
    return sorted(line.split(",")[0].rpartition("/")[2] for line in done.out.splitlines()[1:])


@pytest.mark.parametrize("pack", [str, packed_zip, packed_tar])
def test_leftovers_in_a_folder_or_an_archive_are_no_inputs(aectl, dense, album, pack):
    done = aectl("encode", dense, pack(album))
    assert (done.status, done.err) == (0, "")
    assert listed(done) == [f"{number:03d}.png" for number in range(6)]


def test_a_hidden_file_that_is_named_is_read(aectl, dense, album):
    (album / ".a.png").write_bytes((album / "hill" / "000.png").read_bytes())
    assert listed(aectl("encode", dense, "album/.a.png")) == [".a.png"]
    assert listed(aectl("encode", dense, "-", stdin=b"album/.a.png\n")) == [".a.png"]
    assert listed(aectl("encode", dense, "album", "--include", ".a*")) == [".a.png"]
    assert listed(aectl("encode", dense, "album/__MACOSX")) == ["000.png"]


@pytest.mark.parametrize("pack", [str, packed_zip, packed_tar])
def test_what_looks_like_an_image_and_is_not_read_is_told_once(
    aectl, dense, album, pack, monkeypatch
):
    monkeypatch.setattr(heif, "is_installed", lambda: False)
    for name in ("a.heic", "sea/b.HEIC", "c.tga", "notes.txt", "._d.heic"):
        (album / name).write_bytes(b"whatever")
    done = aectl("encode", dense, pack(album))
    assert (done.status, len(listed(done))) == (0, 6)
    told = "image files in formats that are not supported: 3 (2 .heic, 1 .tga)"
    assert done.err == f"{told}; pip install 'aectl[heif]' reads HEIC\n"
    assert aectl("encode", dense, pack(album), "--quiet").err == ""


ZIPS = ["a.zip", "sea/b.tar.gz", "sea/c.TGZ", "d.7z"]


@pytest.mark.parametrize("pack", [str, packed_zip, packed_tar])
def test_archives_in_what_is_searched_are_counted_and_named(aectl, dense, album, pack):
    for name in [*ZIPS, "._e.zip", "f.gz", "g.zip.txt"]:
        (album / name).write_bytes(b"whatever")
    place = pack(album)
    inside = place if pack is str else f"{place}/album"
    done = aectl("encode", dense, place)
    assert (done.status, len(listed(done))) == (0, 6)
    first = ", ".join(f"{inside}/{name}" for name in ["a.zip", "d.7z", "sea/b.tar.gz"])
    told = f"archives beside images, or in an archive, are not read: 4 ({first}, ...); unpack them"
    assert told in done.err
    assert aectl("encode", dense, place, "--quiet").err == ""
    for option in (["--exclude", "*.zip"], ["--exclude", "sea"]):
        assert "archives beside images" in aectl("encode", dense, place, *option).err
    for option in (["--exclude", "*.[zt7]*"], ["--ext", "png"], ["--include", "*.png"]):
        assert "archives" not in aectl("encode", dense, place, *option).err


def test_archives_in_a_folder_to_train_on_are_told_also_where_there_are_no_images(aectl, album):
    (album / "a.zip").write_bytes(b"whatever")
    train = ("train", "--epochs", "1", "--hidden", "4", "--out", "run", "--dataset")
    done = aectl(*train, "album")
    told = "archives beside images, or in an archive, are not read: 1 (album/a.zip)"
    assert (done.status, done.err.count(told)) == (0, 1)
    for path in album.rglob("*.png"):
        path.unlink()
    done = aectl(*train, "album", "--overwrite", "--quiet")
    reason = "album/a.zip: cannot be read as an archive"
    assert (done.status, reason in done.err, "no images in album" in done.err) == (2, True, True)


@pytest.mark.parametrize("verb", [["encode"], ["train", "--dataset"]])
def test_a_folder_of_such_files_alone_is_an_error_that_names_them(
    aectl, dense, tmp_path, verb, monkeypatch
):
    monkeypatch.setattr(heif, "is_installed", lambda: False)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.heic").write_bytes(b"whatever")
    words = [verb[0], dense] if verb == ["encode"] else verb
    done = aectl(*words, "photos", "--quiet")
    assert done.status == 2
    assert "no images in" in done.err
    assert "1 .heic" in done.err


@pytest.mark.parametrize(
    "listed_as",
    [
        "album/hill/000.png\r\nalbum/sea/001.png\r\n\r\n",
        "album/hill/000.png\ralbum/sea/001.png\r",
        "\ufeffalbum/hill/000.png\nalbum/sea/001.png",
        "\ufeffalbum/hill/000.png\r\nalbum/sea/001.png\r\n",
        "~/album/hill/000.png\n~/album/sea/001.png\n",
    ],
    ids=["CRLF", "CR", "mark", "mark and CRLF", "home"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le with mark", "utf-16-be with mark"])
def test_lists_of_paths_as_other_programs_write_them(
    aectl, dense, album, monkeypatch, tmp_path, listed_as, encoding
):
    monkeypatch.setenv("HOME", str(tmp_path))
    codec, _, mark = encoding.partition(" with ")
    text = "\ufeff" * bool(mark) + listed_as.removeprefix("\ufeff" * bool(mark))
    done = aectl("encode", dense, "-", stdin=text.encode(codec))
    assert (done.status, done.err) == (0, "")
    assert listed(done) == ["000.png", "001.png"]


@pytest.mark.parametrize("encoding", ["latin1", "cp1252"])
def test_a_list_in_another_encoding_is_told_once_how_to_convert_it(aectl, dense, album, encoding):
    names = {"latin1": ["caf\u00e9.png", "pi\u00e8ce.png"], "cp1252": ["\u20ac.png", "\u201ea.png"]}
    for name in names[encoding]:
        (album / name).write_bytes((album / "hill" / "000.png").read_bytes())
    lines = "".join(f"album/{name}\n" for name in ["hill/000.png", *names[encoding]])
    done = aectl("encode", dense, "-", stdin=lines.encode(encoding))
    assert done.status == 1
    assert listed(done) == ["000.png"]
    first, second, _ = done.err.splitlines()
    assert "the list is not UTF-8; it looks like " in first
    assert first.endswith(f"convert it with iconv -f {encoding} -t utf-8")
    assert second.endswith(".png: No such file or directory")
    assert aectl("encode", dense, "-", stdin=lines.encode()).status == 0


def test_a_file_with_such_a_name_comes_before_what_a_list_may_mean(aectl, dense, album, tmp_path):
    names = ["a.png\r", "~/b.png"]
    (tmp_path / "~").mkdir()
    for name in names:
        (tmp_path / name).write_bytes((album / "hill" / "000.png").read_bytes())
    done = aectl("encode", dense, "-", "--out", "t.npz", stdin="\n".join(names).encode())
    assert done.status == 0, done.err
    assert np.load("t.npz")["path"].tolist() == names


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "name", ["000.png", "caf\u00e9/\u5199\u771f.png", "\u5199\u771f" * 9 + "/\u5199\u771f.png"]
)
def test_lists_in_wide_characters_are_refused_by_the_name_of_the_encoding(
    aectl, dense, encoding, name
):
    done = aectl("encode", dense, "-", stdin=f"album/hill/{name}\r\n".encode(encoding))
    known = {"utf-16-le": "utf-16le", "utf-16-be": "utf-16be",
             "utf-32-le": "utf-32le", "utf-32-be": "utf-32be"}  # fmt: skip
    assert (done.status, done.out) == (2, "")
    assert f"convert it with iconv -f {known.get(encoding, encoding)} -t utf-8" in done.err
    assert "--null" not in done.err


@pytest.mark.parametrize("names", [["a.b", "c.d", "e.f"], ["a.png", "b.png"], ["ab", "abc.png"]])
def test_lists_with_zero_bytes_between_names_are_told_the_option(aectl, dense, album, names):
    done = aectl("encode", dense, "-", stdin="\0".join([*names, ""]).encode())
    assert (done.status, "-0 (--null) reads" in done.err) == (2, True)


def test_lists_that_cannot_be_read_are_told_the_way_out(aectl, dense, album):
    done = aectl("encode", dense, "-", stdin=b"album/hill/000.png\0album/sea/001.png\0")
    assert (done.status, "-0 (--null) reads" in done.err) == (2, True)


PIPES = {
    "a.png in a list": lambda model: ["encode", model, "-"],
    "a.png": lambda model: ["encode", model, "a.png"],
    "m.safetensors": lambda _: ["info", "m.safetensors"],
    "c.toml": lambda _: ["train", "--config", "c.toml"],
    "l.safetensors": lambda _: ["train", "--load", "l.safetensors"],
    "e.safetensors": lambda _: ["train", "--encoder", "e.safetensors"],
    "t.txt": lambda _: ["train", "--model", "text-autoencoder", "--dataset", "t.txt"],
    "run/model.safetensors": lambda _: ["eval", "run"],
    "run/checkpoint/checkpoint.safetensors": lambda _: ["train", "--resume", "run"],
    "mnist/t.txt": lambda _: ["train", "--model", "text-autoencoder", "--dataset", "mnist/t.txt"],
}


@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_in_place_of_a_file_is_refused_instead_of_waited_for(aectl, dense, tmp_path, name):
    path = tmp_path / name.partition(" ")[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    with opened_after(10, path) as waited:
        done = aectl(*PIPES[name](dense), stdin=b"a.png\n")
    assert (done.status, waited) == (2, [])
    assert "defect" not in done.err


@contextlib.contextmanager
def opened_after(seconds, path):
    """Lets go whatever waits for a pipe, so that a test fails and does not hang."""
    waited = []

    def let_go():
        with contextlib.suppress(OSError):  # nobody waits
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            waited.append(path)

    timer = threading.Timer(seconds, let_go)
    timer.start()
    yield waited
    timer.cancel()


def test_a_second_training_in_a_folder_does_not_learn_from_the_first(aectl, scans, tmp_path):
    for path in sorted(scans.iterdir())[:8]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    arguments = ("train", "--dataset", ".", "--epochs", "1", "--hidden", "4")
    first, second = aectl(*arguments), aectl(*arguments)
    assert "on 8 images of ." in first.err and "on 8 images of ." in second.err
    (run,) = first.out.split()
    folder = os.path.dirname(run)
    assert set(os.listdir(folder)) <= run_files.OWN
    assert f"is a run folder of aectl: ./{folder}\n" in second.err
    assert "is a run folder" not in first.err


@pytest.fixture
def pictured(aectl, dense, album):
    """The album with a grid of its images in it, and a picture of each of its hills."""
    grid = aectl("reconstruct", dense, "album", "--out", "album/grid.png")
    each = aectl("reconstruct", dense, "album/hill", "--each", "album/made")
    assert (grid.status, each.status) == (0, 0), grid.err + each.err
    return album


def test_every_picture_is_marked_as_one_of_aectl(aectl, dense, album, pictured, tmp_path):
    for options in (
        ["--out", "traversed.png", "--traverse", "1"],
        ["--out", "way.png", "--interpolate", "digits:test/0", "digits:test/1"],
        ["album", "--out", "both.png", "--separate"],
    ):
        assert aectl("reconstruct", dense, *options).status == 0
    run = sorted(dense.glob("*.png"))
    assert [path.stem for path in run] == ["curves", "filters", "reconstructions"]
    written = [*run, *tmp_path.glob("*.png"), album / "grid.png", *(album / "made").rglob("*.png")]
    assert len(written) == 3 + 4 + 1 + 3
    for path in written:
        with Image.open(path) as picture:
            assert picture.text["Software"] == "aectl", path


TOLD = "skipped, because aectl wrote them: {}/grid.png and 3 more; name them, or give --include"


@pytest.mark.parametrize("pack", [str, packed_zip, packed_tar])
def test_pictures_of_aectl_are_no_inputs_of_a_search(aectl, dense, pictured, pack):
    place = pack(pictured)
    done = aectl("encode", dense, place)
    assert (done.status, listed(done)) == (0, [f"{number:03d}.png" for number in range(6)])
    inside = place if pack is str else f"{place}/album"
    assert done.err == f"{TOLD.format(inside)}, to read them\n"
    assert aectl("encode", dense, place, "--quiet").err == ""
    assert len(listed(aectl("encode", dense, place, "--include", "*.png"))) == 6 + 4


def test_pictures_of_aectl_that_are_named_are_read(aectl, dense, pictured):
    assert listed(aectl("encode", dense, "album/grid.png")) == ["grid.png"]
    assert listed(aectl("encode", dense, "-", stdin=b"album/grid.png\n")) == ["grid.png"]
    done = aectl("encode", dense, "album/made")
    assert (done.status, done.out) == (2, "")
    assert "skipped, because aectl wrote them: album/made/album/hill/000.png and 2" in done.err


@pytest.mark.parametrize("name", ["album", "patches:album"])
def test_pictures_of_aectl_are_not_learnt_from(aectl, pictured, tmp_path, name):
    train = ("train", "--epochs", "1", "--hidden", "4", "--out", "run", "--dataset", name)
    model = ("--model", "classifier") if name == "album" else ("--patches", "50")
    done = aectl(*train, *model)
    assert done.status == 0, done.err
    assert done.err.count(TOLD.format(pictured.name)) == 1
    assert "resized" not in done.err
    card = model_file.read_card(tmp_path / "run")
    if name == "album":
        assert (card.classes, card.training["images"]) == (("hill", "sea"), 6)
        (result,) = json.loads(aectl("eval", "run", "--json").out)
        assert result["n"] == 6
    without = aectl(*train, *model, "--exclude", "made", "--exclude", "grid.png", "--overwrite")
    assert "aectl wrote" not in without.err
    assert model_file.read_card(tmp_path / "run").weights_sha256 == card.weights_sha256


def test_runs_in_a_folder_of_classes_are_no_class(aectl, album, tmp_path):
    common = ("train", "--dataset", "album", "--epochs", "1", "--hidden", "4")
    assert aectl(*common, "--out", "album/runs/one").status == 0
    Image.new("L", (9, 9)).save(album / "runs" / "one" / "grid.png")
    done = aectl(*common, "--model", "classifier", "--out", "two")
    assert done.status == 0, done.err
    assert model_file.read_card(tmp_path / "two").classes == ("hill", "sea")


def test_a_run_among_texts_is_skipped(aectl, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("one two three\n" * 20)
    common = ("train", "--model", "text-autoencoder", "--hidden", "4,4", "--epochs", "1",
              "--vocabulary", "300", "--dataset", "notes")  # fmt: skip
    first = aectl(*common, "--out", "notes/run")
    assert (tmp_path / "notes" / "run" / run_files.RECONSTRUCTIONS).exists()
    second = aectl(*common, "--out", "other")
    count = next(line for line in first.err.splitlines() if " of notes " in line)
    assert count in second.err.splitlines()
    assert "a run folder of aectl: notes/run" in second.err


def test_inputs_without_files_beside_others_are_told(aectl, dense, trained, album, tmp_path):
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    done = aectl("encode", dense, "empty", "album", "a.zip")
    assert (done.status, len(listed(done))) == (0, 6)
    assert done.err == "no files to read in empty, a.zip\n"
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("one\ntwo\n")
    model = trained("--model", "text-autoencoder", "--dataset", str(tmp_path / "notes"),
                    "--hidden", "9,7", "--epochs", "1", "--vocabulary", "300")  # fmt: skip
    done = aectl("encode", model, "notes", "album")
    assert (done.status, done.err) == (0, "no files to read in album\n")


def test_a_folder_without_wanted_images_tells_what_was_looked_for(aectl, scans):
    done = aectl("train", "--dataset", scans, "--include", "*.tif", "--exclude", "old")
    assert (done.status, done.out) == (2, "")
    assert "(looked for --include *.tif, without --exclude old)" in done.err
