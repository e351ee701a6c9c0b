"""Several machines share the inputs: their parts become the table of one run, or are refused."""

import csv
import gzip
import json
import shutil

import numpy as np
import polars
import pytest

import aectl as package
from aectl.data.shares import InputShare, Shard, Window
from aectl.errors import ConfigError
from aectl.outputs.unfinished import record_of

ENDINGS = [".csv", ".csv.gz", ".jsonl", ".parquet", ".npz", ".npy", ".safetensors"]


@pytest.fixture
def photos(scans, tmp_path):
    """A folder of 40 images in two classes, and three files that are none: the first, one in the
    middle, and the last."""
    for number in range(40):
        folder = tmp_path / "photos" / "ab"[number // 20]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(scans / f"{number:03d}.png", folder)
    for name in ("a/000.png", "a/019.png", "b/999.png"):
        (tmp_path / "photos" / name).write_bytes(b"none")
    return "photos"


def in_parts(aectl, count, *words, stdin=b""):
    """Writes all parts of a table; their exit statuses."""
    ran = [aectl(*words, "--shard", f"{n + 1}/{count}", "-q", stdin=stdin) for n in range(count)]
    return [one.status for one in ran]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_shares_are_consecutive_and_of_equal_size(count):
    names = [("a", 1), ("b", 17), ("c", 1), ("d", 4)]
    found = [InputShare.of(Shard(number + 1, count), names) for number in range(count)]
    assert [one.first for one in found[1:]] == [one.last for one in found[:-1]]
    assert (found[0].first, found[-1].last) == (0, 23)
    assert {one.last - one.first for one in found} <= {23 // count, -(-23 // count)}
    assert {one.total for one in found} == {23}
    seen = [[] for _ in found]
    for share, places in zip(found, seen, strict=True):
        window = Window(share)
        for name, size in names:
            places += [(name, place) for place in window.within(size)]
        assert window.is_past
    whole = [(name, place) for name, size in names for place in range(size)]
    assert [one for places in seen for one in places] == whole


@pytest.mark.parametrize(
    "text", ["", "3", "0/3", "4/3", "1/0", "-1/3", "1/2/3", "a/b", "1/1000000"]
)
def test_a_shard_that_is_none_is_refused(aectl, dense, scans, text):
    done = aectl("encode", dense, scans, "--out", "t.csv", f"--shard={text}")
    assert (done.status, done.out) == (2, "")
    assert "from 1/64 to 64/64" in done.err


@pytest.mark.parametrize(
    ("ending", "layout"),
    [*((ending, "columns") for ending in ENDINGS), *((ending, "sparse") for ending in ENDINGS[:5])],
)
def test_merged_parts_are_the_table_of_one_run(aectl, dense, photos, tmp_path, ending, layout):
    words = ("encode", dense, photos, "--label-from-folder", "--layout", layout, "--batch-size", 9)
    whole = aectl(*words, "--out", f"whole{ending}", "--errors", "whole.errors.csv")
    assert whole.status == 1
    assert in_parts(aectl, 3, *words, "--out", f"t{ending}") == [1, 1, 1]
    done = aectl("merge", f"t{ending}.shards", "--out", f"t{ending}", "--errors", "errors.csv")
    assert (done.status, done.out) == (1, f"t{ending}\n")
    assert done.err.count("aectl: left out photos/") == 3
    assert "3 parts, 38 rows\n3 of 41 inputs were left out" in done.err
    made, wanted = (tmp_path / f"{name}{ending}" for name in ("t", "whole"))
    if ending == ".csv.gz":
        assert gzip.decompress(made.read_bytes()) == gzip.decompress(wanted.read_bytes())
    elif ending == ".npz":
        a, b = np.load(made), np.load(wanted)
        assert a.files == b.files
        assert all(np.array_equal(a[name], b[name]) for name in a.files)
    else:
        assert made.read_bytes() == wanted.read_bytes()
    if ending in (".npy", ".safetensors"):
        ids = (tmp_path / f"{name}{ending}.ids.parquet" for name in ("t", "whole"))
        assert next(ids).read_bytes() == next(ids).read_bytes()
    errors = (tmp_path / name for name in ("errors.csv", "whole.errors.csv"))
    assert next(errors).read_bytes() == next(errors).read_bytes()


@pytest.mark.parametrize("count", [1, 5, 64])
def test_there_may_be_more_shards_than_inputs(aectl, dense, photos, tmp_path, count):
    assert aectl("encode", dense, photos, "--out", "whole.csv").status == 1
    statuses = in_parts(aectl, count, "encode", dense, photos, "--out", "t.csv")
    assert sum(statuses) == min(count, 3)
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 1
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_paths_on_stdin_are_shared(aectl, dense, scans, tmp_path):
    listed = "".join(f"{scans}/{number:03d}.png\n" for number in (7, 3, 250, 9, 8)).encode()
    assert aectl("encode", dense, "-", "--out", "whole.csv", stdin=listed).status == 0
    assert in_parts(aectl, 2, "encode", dense, "-", "--out", "t.csv", stdin=listed) == [0, 0]
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 0
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_datasets_beside_files_are_shared(aectl, classifier, scans, tmp_path):
    words = ("classify", classifier, scans / "005.png", "digits:test", scans / "017.png", "--out")
    assert aectl(*words, "whole.csv").status == 0
    assert in_parts(aectl, 4, *words, "t.csv") == [0] * 4
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 0
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_lines_of_text_are_shared(aectl, trained, corpus, tmp_path):
    lines = [b"line %d of so many\n" % number for number in range(50)]
    lines[10:10], lines[20], lines[30] = [b"\n", b" \n"], b"\xff\n", b"\n"
    (tmp_path / "lines.txt").write_bytes(b"".join(lines))
    model = trained(
        "--model", "text-autoencoder", "--dataset", str(corpus), "--hidden", "9,7", "--epochs", "1",
        "--vocabulary", "300",
    )  # fmt: skip
    words = ("encode", model, "lines.txt", "--out")
    assert aectl(*words, "whole.csv").status == 1
    told = []
    for number in range(1, 8):
        done = aectl(*words, "t.csv", "--shard", f"{number}/7")
        told += [line for line in done.err.splitlines() if "empty lines" in line]
    assert sum(int(line.rsplit(" ", 1)[1]) for line in told) == 3
    done = aectl("merge", "t.csv.shards", "--out", "t.csv")
    assert "1 of 49 inputs were left out" in done.err
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.fixture
def vectors(aectl, tmp_path):
    """A model of vectors, and a folder of three files of them, one of which it cannot take."""
    rows = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", rows)
    assert aectl("train", "-q", "--dataset", "x.npy", "--epochs", 1, "--out", "m").status == 0
    (tmp_path / "files").mkdir()
    rows[13, 2] = np.nan
    np.save(tmp_path / "files" / "a.npy", rows[:30])
    np.save(tmp_path / "files" / "b.npy", rows[:, :4])
    np.savetxt(tmp_path / "files" / "c.csv", rows[30:], delimiter=",", header="a,b,c,d,e")
    return "m", "files"


def test_vectors_are_shared(aectl, vectors, tmp_path):
    words = ("encode", *vectors, "--batch-size", 4, "--out")
    assert aectl(*words, "whole.csv").status == 1
    in_parts(aectl, 7, *words, "t.csv")
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 1
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_anomalies_are_detected_in_shares(aectl, dense, scans, tmp_path):
    words = ("detect", dense, "digits:test/17", scans, "--normal", "digits:test", "--out")
    assert aectl(*words, "whole.csv").status == 0
    assert in_parts(aectl, 3, *words, "t.csv") == [0, 0, 0]
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 0
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("kind", ["images", "text", "vectors"])
def test_a_share_goes_on_from_each_of_its_batches(
    aectl, dense, photos, vectors, trained, corpus, kind
):
    text = ("--model", "text-autoencoder", "--dataset", str(corpus), "--hidden", "9,7", "--epochs",
            "1", "--vocabulary", "300")  # fmt: skip
    model, inputs = {
        "images": (dense, photos), "text": (trained(*text), str(corpus)), "vectors": vectors,
    }[kind]  # fmt: skip
    encoding = package.encode(model, inputs, shard="2/3", batch_size=3)
    whole = list(encoding)
    assert len(whole) >= 4
    for done, batch in enumerate(whole):
        with encoding.use.results(encoding.compute, batch.batch.position) as rest:
            assert [one.paths for one in rest] == [one.paths for one in whole[done + 1 :]]


@pytest.fixture
def parts(aectl, dense, scans, tmp_path):
    """A folder of three parts."""
    assert in_parts(aectl, 3, "encode", dense, scans, "--out", "t.csv") == [0, 0, 0]
    return tmp_path / "t.csv.shards"


def with_record(path, to):
    shutil.copy(path, to)
    shutil.copy(record_of(path), record_of(to))


def without(path):
    path.unlink()
    record_of(path).unlink()


def changed(parts, part, change):
    """Changes the key in the record of a part."""
    record = record_of(parts / part)
    told = json.loads(record.read_text())
    change(told["key"])
    record.write_text(json.dumps(told))


WRONG = {
    "a part is missing": (
        lambda parts: without(parts / "2-of-3.csv"),
        "1 of 3 shards are missing; run them again: --array=2",
    ),
    "two parts are missing": (
        lambda parts: [without(parts / f"{n}-of-3.csv") for n in (2, 3)],
        "2 of 3 shards are missing; run them again: --array=2-3",
    ),
    "its file alone is missing": (
        lambda parts: (parts / "2-of-3.csv").unlink(), "2-of-3.csv is not there",
    ),
    "a part is there twice": (
        lambda parts: with_record(parts / "2-of-3.csv", parts / "copy.csv"),
        "2-of-3.csv and {parts}/copy.csv are both shard 2/3",
    ),
    "a byte more": (
        lambda parts: (parts / "2-of-3.csv").open("a").write("\n"), "2-of-3.csv was changed",
    ),
    "another byte": (
        lambda parts: (parts / "2-of-3.csv").write_bytes(
            (parts / "2-of-3.csv").read_bytes().replace(b"1", b"2", 1)
        ),
        "2-of-3.csv was changed",
    ),
    "another model": (
        lambda parts: changed(parts, "3-of-3.csv", lambda key: key.update(model="0")),
        "3-of-3.csv was made with model '0'",
    ),
    "other inputs": (
        lambda parts: changed(parts, "3-of-3.csv", lambda key: key.update(list="0")),
        "3-of-3.csv was made with list '0'",
    ),
    "of another number": (
        lambda parts: changed(parts, "3-of-3.csv", lambda key: key.update(shard="3/4")),
        "3-of-3.csv shard 3/4",
    ),
    "no part": (
        lambda parts: changed(parts, "3-of-3.csv", lambda key: key.pop("shard")),
        "3-of-3.csv was written without --shard",
    ),
    "a damaged record": (
        lambda parts: record_of(parts / "1-of-3.csv").write_text("{"), "json is damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".npy", ".safetensors"])
@pytest.mark.parametrize("spoil", [lambda ids: ids.write_bytes(b"none"), lambda ids: ids.unlink()])
def test_paths_beside_an_array_are_checked_too(aectl, dense, scans, tmp_path, ending, spoil):
    in_parts(aectl, 2, "encode", dense, scans, "--out", f"t{ending}")
    spoil(tmp_path / f"t{ending}.shards" / f"1-of-2{ending}.ids.parquet")
    done = aectl("merge", f"t{ending}.shards", "--out", f"t{ending}")
    assert (done.status, done.out) == (2, "")
    assert f"1-of-2{ending}.ids.parquet " in done.err
    assert not list(tmp_path.glob(f"t{ending}*.parquet"))


def test_paths_beside_another_array_are_not_replaced(aectl, dense, scans, tmp_path):
    in_parts(aectl, 1, "encode", dense, scans, "--out", "t.npy")
    (tmp_path / "t.npy.ids.parquet").write_text("mine")
    done = aectl("merge", "t.npy.shards", "--out", "t.npy")
    assert (done.status, "t.npy.ids.parquet exists" in done.err) == (2, True)
    assert (tmp_path / "t.npy.ids.parquet").read_text() == "mine"


def test_parts_of_parquet_are_a_table_as_they_stand(aectl, dense, scans, tmp_path):
    in_parts(aectl, 3, "encode", dense, scans, "--out", "t.parquet")
    assert aectl("merge", "t.parquet.shards", "--out", "t.parquet").status == 0
    parts = polars.read_parquet(tmp_path / "t.parquet.shards" / "*.parquet")
    assert parts.equals(polars.read_parquet(tmp_path / "t.parquet"))


def test_shards_of_nothing_are_refused(aectl, dense, scans):
    done = aectl("encode", dense, scans, "--ext", "jpg", "--out", "t.csv", "--shard", "1/2")
    assert (done.status, done.out) == (2, "")
    assert f"there are no images in {scans}" in done.err


def test_a_table_of_before_shards_is_no_part(aectl, dense, scans, tmp_path):
    assert aectl("encode", dense, scans, "--out", "t.csv").status == 0
    record = record_of(tmp_path / "t.csv")
    told = json.loads(record.read_text())
    del told["late"]
    record.write_text(json.dumps(told))
    assert "t.csv was written without --shard" in aectl("merge", "t.csv").err


def test_maps_of_several_shards_stand_in_one_folder(aectl, dense, scans, tmp_path):
    few = [scans / f"{number:03d}.png" for number in range(4)]
    words = ("detect", dense, *few, "--normal", "digits:test", "--maps", "maps", "--out", "t.csv",
             "--fail-on-anomaly", "--alarm-rate", "0.5")  # fmt: skip
    assert set(in_parts(aectl, 2, *words)) <= {0, 3}
    assert len(list((tmp_path / "maps").rglob("*.png"))) == 8


@pytest.mark.parametrize("wrong", WRONG)
def test_what_are_not_the_parts_of_one_table_is_refused_by_name(aectl, parts, tmp_path, wrong):
    spoil, said = WRONG[wrong]
    spoil(parts)
    done = aectl("merge", parts, "--out", "t.csv")
    assert (done.status, done.out) == (2, "")
    assert said.format(parts=parts) in done.err
    assert not (tmp_path / "t.csv").exists()


def test_a_part_of_other_inputs_is_refused(aectl, dense, photos, tmp_path):
    words = ("encode", dense, photos, "--out", "t.csv", "-q")
    assert aectl(*words, "--shard", "1/2").status == 1
    (tmp_path / photos / "a" / "019.png").rename(tmp_path / photos / "a" / "020.png")
    assert aectl(*words, "--shard", "2/2").status == 1
    done = aectl("merge", "t.csv.shards", "--out", "t.csv")
    assert done.status == 2
    assert "2-of-2.csv was made with list" in done.err


def test_an_unfinished_part_is_told(aectl, parts):
    without(parts / "3-of-3.csv")
    (parts / "3-of-3.csv.part").mkdir()
    done = aectl("merge", parts)
    assert "--array=3 (3 begun: --resume continues)" in done.err


def test_parts_are_only_checked_where_no_table_is_asked_for(aectl, parts, tmp_path):
    done = aectl("merge", parts)
    assert (done.status, done.out, done.err) == (0, "", "3 parts, 360 rows\n")
    assert not (tmp_path / "t.csv").exists()


def test_parts_may_be_named_one_by_one(aectl, parts, tmp_path):
    names = [parts / f"{number}-of-3.csv" for number in (3, 1, 2)]
    assert aectl("merge", *names, "--out", "t.csv").status == 0
    with (tmp_path / "t.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 360
    refused = aectl("merge", *names, "--out", "t.csv")
    assert (refused.status, "t.csv exists" in refused.err) == (2, True)
    assert aectl("merge", *names, "--out", "t.csv", "--overwrite").status == 0
    other = aectl("merge", *names, "--out", "t.parquet")
    assert "is of another format than t.parquet" in other.err


def test_a_finished_part_is_not_written_again(aectl, dense, scans, parts):
    before = (parts / "2-of-3.csv").stat().st_mtime_ns
    words = ("encode", dense, scans, "--out", "t.csv", "--shard", "2/3")
    assert "exists" in aectl(*words).err
    assert "is complete" in aectl(*words, "--resume").err
    assert (parts / "2-of-3.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--out", "t.csv", "--errors", "e.csv"), "give --errors to aectl merge"),
        ((), "name the file with --out"),
        (("--out", "t.xyz"), "the extension of a table must be one of"),
    ],
)
def test_options_that_cannot_go_with_a_shard_are_refused(aectl, dense, scans, given, said):
    done = aectl("encode", dense, scans, "--shard", "1/2", *given)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_a_shard_in_python_is_that_of_the_command(dense, scans):
    paths = [
        path
        for number in (1, 2, 3)
        for batch in package.encode(dense, str(scans), shard=f"{number}/3")
        for path in batch.paths
    ]
    assert paths == [path for batch in package.encode(dense, str(scans)) for path in batch.paths]
    with pytest.raises(ConfigError, match="--shard 4/3"):
        package.encode(dense, str(scans), shard="4/3")
