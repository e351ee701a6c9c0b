"""Vectors in every command: trained, encoded, reconstructed, measured, classified, and refused."""

import csv
import io
import json
import os
import pickle

import numpy as np
import polars
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from aectl.models.model_file import load, read_card

ROWS = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32)
HUGE, ENDLESS = ROWS.astype("f8") * 1e300, np.where(ROWS > 0, np.inf, ROWS)
TRAIN = ("train", "--hidden", "9", "--sparsity", "topk", "--k", "3", "--epochs", "3", "-q")
WINE = load_wine()
FRAME = polars.DataFrame(WINE.data, schema=WINE.feature_names).with_columns(target=WINE.target)
TABLES = (".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet")


def written(folder, ending, rows=ROWS, name="rows"):
    """A file of vectors; a table of them has columns f0 ... fN."""
    path = folder / f"{name}{ending}"
    frame = polars.DataFrame(rows, schema=[f"f{n}" for n in range(rows.shape[1])])
    match ending:
        case ".npy":
            np.save(path, rows)
        case ".npz":
            np.savez(path, rows=rows)
        case ".safetensors":
            save_file({"rows": rows}, path)
        case ".csv":
            frame.write_csv(path)
        case ".csv.gz":
            frame.write_csv(path, compression="gzip")
        case ".tsv":
            frame.write_csv(path, separator="\t")
        case ".jsonl":
            frame.write_ndjson(path)
        case ".parquet":
            frame.write_parquet(path)
        case ".vector.parquet":
            polars.DataFrame({"features": rows}).write_parquet(path)
        case ".lists.jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows.tolist()))
        case ".bare.csv":
            frame.write_csv(path, include_header=False)
    return path


def weights(folder):
    return {name: value.clone() for name, value in load(folder)[0].state_dict().items()}


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def numbers(text, count, start="f"):
    return np.array([[float(row[f"{start}{n}"]) for n in range(count)] for row in table(text)])


@pytest.fixture(scope="module")
def model(tmp_path_factory, trained):
    """A model of ROWS, scaled."""
    path = written(tmp_path_factory.mktemp("vectors"), ".npy")
    return trained("--dataset", str(path), *TRAIN[1:], "--scale", "standard")


FORMATS = (
    ".npy", ".npz", ".safetensors", *TABLES, ".vector.parquet", ".lists.jsonl", ".bare.csv",
)  # fmt: skip


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_vectors_in_any_format_give_the_same_model_and_the_same_codes(
    aectl, tmp_path, model, ending
):
    path, out = written(tmp_path, ending), tmp_path / "m"
    done = aectl(*TRAIN, "--dataset", path, "--scale", "standard", "--out", out)
    assert (done.status, done.err) == (0, "")
    assert (done.out, found := weights(out)).index(found) == 1
    assert all(torch.equal(value, found[name]) for name, value in weights(model).items())
    of_both = [aectl("encode", model, one, "-q") for one in (path, written(tmp_path, ".npy"))]
    assert [done.status for done in of_both] == [0, 0]
    np.testing.assert_array_equal(*(numbers(done.out, 9) for done in of_both))


def bfloat16(path, rows):
    save_torch({"rows": torch.from_numpy(rows).bfloat16()}, path)
    return torch.from_numpy(rows).bfloat16().float().numpy()


def halved(path, rows):
    save_torch({"rows": torch.from_numpy(rows).half()}, path)
    return rows.astype("f2")


def arrays(kind):
    def save(path, rows):
        np.save(path, rows.astype(kind))
        return rows.astype(kind)

    return save


def in_columns(path, rows):
    np.save(path, np.asfortranarray(rows))
    return rows


TYPES = {
    **{kind: (arrays(kind), ".npy") for kind in ("f2", "f4", ">f4", "f8", "i1", "u2", "i8", "?")},
    "Fortran's order": (in_columns, ".npy"),
    "bfloat16": (bfloat16, ".safetensors"),
    "half": (halved, ".safetensors"),
}


@pytest.mark.parametrize(("save", "ending"), TYPES.values(), ids=TYPES)
def test_numbers_of_any_type_are_encoded_as_numpy_would(aectl, tmp_path, save, ending):
    """The code of a network of one layer, from the numbers of its file."""
    rows = save(path := tmp_path / f"a{ending}", 9 * ROWS)
    train = ("train", "--hidden", "4", "--epochs", "2", "-q", "--code-activation", "linear")
    assert aectl(*train, "--dataset", path, "--out", tmp_path / "m").status == 0
    found, x = weights(tmp_path / "m"), torch.from_numpy(rows.astype("f4"))
    center = found["encoder.center"]
    torch.testing.assert_close(center, x.mean(0), rtol=1e-5, atol=1e-5)
    wanted = (x - center) @ found["encoder.layers.0.weight"].T + found["encoder.layers.0.bias"]
    codes = numbers(aectl("encode", tmp_path / "m", path, "-q").out, 4)
    np.testing.assert_allclose(codes, wanted, rtol=1e-5, atol=1e-5)


SCALES = {
    "standard": lambda x: ((x - x.mean(0)) / x.std(0), x.mean(0), x.std(0)),
    "minmax": lambda x: ((x - x.min(0)) / np.ptp(x, 0), x.min(0), np.ptp(x, 0)),
    "center": lambda x: (x - x.mean(0), x.mean(0), 1),
    "unit-norm": lambda x: (
        x / np.linalg.norm(x, axis=1, keepdims=True), 0, np.linalg.norm(x, axis=1, keepdims=True)
    ),
    "layer-norm": lambda x: (
        (x - x.mean(1, keepdims=True)) / (x.std(1, ddof=1, keepdims=True) + 1e-5),
        x.mean(1, keepdims=True),
        x.std(1, ddof=1, keepdims=True),
    ),
    "none": lambda x: (x, 0, 1),
}  # fmt: skip


@pytest.mark.parametrize("scale", SCALES)
def test_metrics_and_reconstructions_are_in_the_units_of_the_vectors(aectl, tmp_path, scale):
    """All of it computed again with NumPy, from the weights."""
    x = (ROWS * [1, 10, 100, 1, 0.1, 3] + [0, 5, 1000, 0, 1, -9]).astype("f4")
    np.save(tmp_path / "x.npy", x)
    train = ("train", "--hidden", "3", "--code-activation", "linear", "--epochs", "5", "-q")
    done = aectl(*train, "--dataset", "x.npy", "--scale", scale, "--out", "m")
    assert (done.status, done.err) == (0, "")
    scaled, offset, factor = SCALES[scale](x.astype("f8"))
    found = {name: value.double().numpy() for name, value in weights(tmp_path / "m").items()}
    w, b = found["encoder.layers.0.weight"], found["encoder.layers.0.bias"]
    code = (scaled - found["encoder.center"]) @ w.T + b
    made = code @ found["decoder.layers.0.weight"].T + found["decoder.layers.0.bias"]
    made = made * factor + offset
    codes = numbers(aectl("encode", "m", "x.npy", "-q").out, 3)
    np.testing.assert_allclose(codes, code, rtol=0, atol=1e-6 * np.abs(code).max())
    rows = numbers(aectl("reconstruct", "m", "x.npy", "-q").out, 6)
    np.testing.assert_allclose(rows, made, rtol=1e-4, atol=1e-3)
    (report,) = json.loads(aectl("eval", "m", "--dataset", "x.npy", "--json", "-q").out)
    mse, spread = ((made - x) ** 2).mean(), ((x - x.mean(0)) ** 2).sum()
    assert report["mse"] == pytest.approx(mse, rel=1e-4)
    assert report["explained_variance"] == pytest.approx(1 - mse * x.size / spread, abs=1e-6)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(made, axis=1)
    assert report["cosine_similarity"] == pytest.approx(((made * x).sum(1) / lengths).mean(), 1e-5)
    assert {"psnr", "sse"}.isdisjoint(report)


def test_a_vector_that_no_float_can_follow_is_left_out_and_ends_no_measurement_unsaid(
    aectl, tmp_path
):
    train = ("train", "--hidden", "3", "--code-activation", "linear", "--epochs", "1", "-q")
    rows = (ROWS * 1e-2).astype("f4")
    np.save(tmp_path / "x.npy", rows)
    scale = ("--scale", "standard")
    assert aectl(*train, "--dataset", "x.npy", *scale, "--out", "m").status == 0
    rows[1] = 3e38  # divided by a deviation of 0.01
    np.save(tmp_path / "far.npy", rows[:4])
    for verb in ("encode", "reconstruct"):
        done = aectl(verb, "m", "far.npy")
        assert done.status == 1
        assert "left out far.npy:1: the model's output for it is not finite" in done.err
        assert [line.split(",")[0] for line in done.out.splitlines()[1:]] == [
            "far.npy:0", "far.npy:2", "far.npy:3"
        ]  # fmt: skip
    done = aectl("eval", "m", "--dataset", "far.npy")
    assert (done.status, done.out) == (2, "")
    assert "far.npy:1: its values are too large" in done.err


def test_codes_in_a_table_are_decoded_to_vectors(aectl, model, tmp_path):
    path = written(tmp_path, ".npy")
    made = numbers(aectl("reconstruct", model, path, "-q").out, 6)
    for ending in (".csv", ".jsonl", ".parquet", ".npz"):
        assert aectl("encode", model, path, "-q", "--out", f"codes{ending}").status == 0
        done = aectl("reconstruct", model, "--from-codes", f"codes{ending}", "-q")
        assert (done.status, [row["path"] for row in table(done.out)][-1]) == (0, f"{path}:59")
        np.testing.assert_allclose(numbers(done.out, 6), made, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".parquet", ".npz"])
def test_a_table_that_encode_wrote_is_learnt_from_with_its_paths(aectl, model, tmp_path, ending):
    path = written(tmp_path, ".npy")
    for layout in ("columns", "vector"):
        if layout == "vector" and "csv" in ending:
            continue
        codes = tmp_path / f"{layout}{ending}"
        assert aectl("encode", model, path, "--layout", layout, "-q", "--out", codes).status == 0
        done = aectl("train", "--dataset", codes, "--hidden", "4", "--epochs", "2", "--out", "two",
                     "--overwrite")  # fmt: skip
        assert done.status == 0
        assert ("rows are named by the column path" in done.err) == (ending != ".npz")
        assert read_card(tmp_path / "two").architecture.vector == (9,)
        rows = table(aectl("encode", "two", codes, "-q").out)
        assert [row["path"] for row in rows] == [f"{path}:{n}" for n in range(60)]


def test_tables_with_names_are_learnt_by_their_names(aectl, tmp_path):
    FRAME.with_columns(name=polars.Series([f"w{n}" for n in range(178)])).write_csv("wine.csv")
    done = aectl("train", "--dataset", "wine.csv", "--scale", "standard", "--hidden", "5",
                 "--epochs", "5", "--out", "m")  # fmt: skip
    assert done.status == 0
    assert "rows are named by the column name" in done.err
    assert "labels are in the column target" in done.err
    card = read_card(tmp_path / "m")
    assert card.columns == tuple(WINE.feature_names)
    FRAME[:, ::-1].with_columns(more=1.0).write_csv("other.csv")
    one, two = (aectl("encode", "m", name, "-q").out for name in ("wine.csv", "other.csv"))
    np.testing.assert_array_equal(numbers(one, 5), numbers(two, 5))
    assert [table(one)[3][name] for name in ("path", "label")] == ["w3", "0"]
    assert table(two)[3]["path"] == "other.csv:3"
    made = table(aectl("reconstruct", "m", "wine.csv", "-q").out)
    assert list(made[0]) == ["path", *WINE.feature_names]
    FRAME.drop("hue").write_csv("less.csv")
    done = aectl("encode", "m", "less.csv")
    assert (done.status, done.out) == (2, "")
    assert "lacks columns of the model: hue" in done.err


def test_a_classifier_learns_the_labels_of_a_table_alone_or_on_an_encoder(aectl, tmp_path):
    FRAME.write_csv("wine.csv")
    usual = ("--dataset", "wine.csv", "--epochs", "40", "-q", "--validation", "0.2")
    train = ("train", "--model", "classifier", "--scale", "standard", "--hidden", "16", *usual)
    assert aectl(*train, "--out", "c").status == 0
    (report,) = json.loads(aectl("eval", "c", "--dataset", "wine.csv", "--json", "-q").out)
    assert report["accuracy"] > 0.9
    assert read_card(tmp_path / "c").classes == ("0", "1", "2")
    rows = table(aectl("classify", "c", "wine.csv", "-q").out)
    right = [row["prediction"] == row["label"] for row in rows]
    assert sum(right) / 178 == pytest.approx(report["accuracy"])
    assert aectl("train", *usual, "--scale", "standard", "--hidden", "8", "--out", "a").status == 0
    on = (
        "train",
        "--encoder",
        "a",
        "--hidden",
        "",
        "--lr",
        "0.05",
        "--epochs",
        "20",
        "-q",
        "--out",
        "on",
    )
    assert aectl(*on).status == 0
    done = aectl(*on, "--modality", "images", "--overwrite")
    assert (done.status, done.err) == (2, "aectl: --encoder encodes vectors, not images\n")
    (report,) = json.loads(aectl("eval", "on", "--dataset", "wine.csv", "--json", "-q").out)
    assert report["accuracy"] > 0.9
    np.save("bare.npy", WINE.data)
    done = aectl("train", "--model", "classifier", "--dataset", "bare.npy", "--out", "none")
    assert (done.status, "--label-column" in done.err) == (2, True)


def test_folders_of_shards_and_several_files_are_one_set(aectl, tmp_path):
    (tmp_path / "shards" / "more").mkdir(parents=True)
    np.save("shards/a.npy", ROWS[:20])
    save_file({"x": ROWS[20:50]}, "shards/b.safetensors")
    np.savez("shards/more/c.npz", x=ROWS[50:])
    np.save("all.npy", ROWS)
    for number, words in enumerate(
        (["all.npy"], ["shards"], ["shards/a.npy", "shards/b.safetensors:x", "shards/more/c.npz:x"])
    ):
        given = [part for word in words for part in ("--dataset", word)]
        assert aectl(*TRAIN, *given, "--out", f"m{number}").status == 0
        found = weights(tmp_path / f"m{number}")
        assert all(torch.equal(v, found[k]) for k, v in weights(tmp_path / "m0").items())
    rows = table(aectl("encode", "m1", "-q").out)
    assert [rows[n]["path"] for n in (0, 20, 59)] == [
        "shards/a.npy:0", "shards/b.safetensors:0", "shards/more/c.npz:9",
    ]  # fmt: skip
    rows = table(aectl("encode", "m1", "shards/more/c.npz:x", "-q").out)
    assert rows[9]["path"] == "shards/more/c.npz:x:9"


def test_the_modality_follows_from_the_data_or_is_asked_for(aectl, tmp_path):
    np.save("acts.npy", ROWS)
    done = aectl("train", "--dataset", "acts.npy", "--modality", "images", "--out", "m")
    assert (done.status, "which --model autoencoder learns from" in done.err) == (2, True)
    done = aectl("train", "--dataset", "acts.npy", "--model", "conv-autoencoder", "--out", "m")
    assert (done.status, "acts.npy is a file of vectors" in done.err) == (2, True)
    csv_text = "\n".join(",".join(map(str, row)) for row in ROWS.tolist()).encode()
    train = ("train", "--hidden", "4", "--epochs", "2", "-q", "--out", "m")
    done = aectl(*train, "--dataset", "-", "--modality", "vectors", stdin=csv_text)
    assert (done.status, done.err) == (0, "")
    done = aectl("encode", "m", "-", "-q", stdin=csv_text)
    assert [row["path"] for row in table(done.out)][:2] == ["stdin:0", "stdin:1"]


def test_text_in_a_tsv_file_is_no_table(aectl, tmp_path):
    (tmp_path / "reviews.tsv").write_text("a\tgood day\nb\tbad day\n")
    done = aectl("train", "--dataset", "reviews.tsv", "--out", "m")
    assert (done.status, "is text, which --model text-autoencoder learns" in done.err) == (2, True)
    done = aectl("train", "--model", "classifier", "--dataset", "reviews.tsv", "--out", "m")
    assert (done.status, "name it with --encoder" in done.err) == (2, True)


IDLE = {
    "--size": "28", "--channels": "1", "--shift": "1", "--flip": None, "--value-range": "0,9",
    "--loss": "ssim", "--noise": "salt-and-pepper", "--patches": "9", "--length": "4",
}  # fmt: skip


@pytest.mark.parametrize("option", IDLE)
def test_options_without_meaning_for_vectors_are_refused_by_name(aectl, tmp_path, option):
    np.save("acts.npy", ROWS)
    given = [option] if IDLE[option] is None else [option, IDLE[option]]
    done = aectl("train", "--dataset", "acts.npy", *given, "--out", "m")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"aectl: {option}")
    assert "has no effect" in done.err


@pytest.mark.parametrize("option", ["--scale=standard", "--missing=mean", "--id-column=a"])
def test_options_of_vectors_are_refused_for_images(aectl, option):
    done = aectl("train", "--dataset", "digits", option, "--out", "m")
    assert (done.status, "has no effect on images" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("command", "option"),
    [("reconstruct", ("--each", "d")), ("reconstruct", ("--interpolate", "a", "b")),
     ("eval", ("--ssim",)), ("eval", ("--judge", "j")),
     ("encode", ("--null",))],
)  # fmt: skip
def test_options_of_other_commands_without_meaning_are_refused(aectl, model, command, option):
    done = aectl(command, model, *option)
    assert (done.status, done.err) == (
        2,
        f"aectl: {option[0]} has no effect with a model of vectors\n",
    )


def test_a_run_on_vectors_that_was_interrupted_goes_on_to_the_same_weights(aectl, tmp_path, model):
    path = written(tmp_path, ".npy")
    train = ("train", "--hidden", "5", "--scale", "standard", "--missing", "mean", "-q")
    assert aectl(*train, "--dataset", path, "--epochs", "4", "--out", "whole").status == 0
    assert aectl(*train, "--dataset", path, "--epochs", "2", "--schedule", "constant",
                 "--warmup", "0", "--out", "half").status == 0  # fmt: skip
    assert aectl("train", "--resume", "half", "--epochs", "4", "-q").status == 0
    assert aectl(*train, "--dataset", path, "--epochs", "4", "--schedule", "constant",
                 "--warmup", "0", "--out", "once").status == 0  # fmt: skip
    once = weights(tmp_path / "once")
    assert all(torch.equal(v, once[k]) for k, v in weights(tmp_path / "half").items())


def test_a_model_is_learnt_further_with_its_own_scaling(aectl, tmp_path, model):
    np.save("other.npy", 5 + ROWS)
    train = ("train", "--load", model, "--dataset", "other.npy", "--epochs", "1", "-q")
    assert aectl(*train, "--out", "m").status == 0
    for name in ("scaling.offset", "scaling.factor"):
        assert torch.equal(weights(tmp_path / "m")[name], weights(model)[name])


def test_missing_values_are_refused_by_name_and_place_or_filled_with_the_mean(aectl, tmp_path):
    x = ROWS.astype("f8").copy()
    x[7, 2] = np.nan
    names = list("abcdef")
    polars.DataFrame(x, schema=names).fill_nan(None).write_csv("x.csv")
    train = ("train", "--dataset", "x.csv", "--hidden", "3", "--epochs", "3", "--out", "m")
    done = aectl(*train)
    assert (done.status, done.out) == (2, "")
    assert "x.csv:7 lacks a value, column c; --missing mean fills" in done.err
    assert aectl(*train, "--missing", "mean", "-q").status == 0
    fill = weights(tmp_path / "m")["scaling.fill"]
    np.testing.assert_allclose(fill, np.nanmean(x, 0), rtol=1e-5, atol=1e-6)
    done = aectl("encode", "m", "x.csv", "-q")
    assert (done.status, len(table(done.out))) == (0, 60)
    x[7, 2] = fill[2]
    polars.DataFrame(x, schema=names).write_csv("full.csv")
    np.testing.assert_allclose(
        numbers(done.out, 3), numbers(aectl("encode", "m", "full.csv", "-q").out, 3), rtol=1e-5
    )


def test_rows_that_a_model_cannot_take_are_left_out_and_named(aectl, model, tmp_path):
    x = ROWS.copy()
    x[3, 1], x[5, 0], x[9, 0] = np.nan, np.inf, np.inf
    np.save("x.npy", x)
    done = aectl("encode", model, "x.npy")
    assert (done.status, len(table(done.out))) == (1, 57)
    assert "x.npy:3: lacks a value, feature 1" in done.err
    assert "x.npy:5: has a value beyond 32-bit floats, feature 0" in done.err
    assert "like x.npy:5" in done.err
    np.testing.assert_array_equal(
        numbers(done.out, 9),
        numbers(aectl("encode", model, written(tmp_path, ".npy"), "-q").out, 9)[
            [n for n in range(60) if n not in (3, 5, 9)]
        ],
    )


def saved(array, **how):
    stream = io.BytesIO()
    np.save(stream, array, **how)
    return stream.getvalue()


class Harm:
    """An object whose pickle runs a command when it is read."""

    def __reduce__(self):
        return os.mkdir, ("harmed",)


BAD = {
    "an object array": ("a.npy", saved(np.array([Harm()], object)), "Python objects"),
    "a pickle": ("a.npy", pickle.dumps([1, 2]), "only a pickle"),
    "text called .npy": ("a.npy", b"1,2\n3,4\n", "it is not an .npy file"),
    "no dimensions": ("a.npy", saved(np.float32(1)), "two dimensions"),
    "a header that is code": (
        "a.npy",
        b"\x93NUMPY\1\0\x20\0" + b"__import__('os').mkdir('harmed')\n",
        "not an .npy file, or is damaged",
    ),
    "a name twice in an object": ("a.jsonl", b'{"a": 1, "a": 2}\n', "two columns a"),
    "objects without values": ("a.jsonl", b"{}\n", "numbers; it has no columns"),
    "two columns without a name": ("a.csv", b"a,,\n1,2,3\n", "two columns (without a name)"),
    "a quote that is not closed": ("a.csv", b'a,b\n"1,2\n3,4\n', "a quote is not closed"),
    "truncated": ("a.npy", saved(ROWS)[:-4], "not an .npy file, or is damaged"),
    "empty": ("a.npy", b"", "empty"),
    "no rows": ("a.npy", saved(ROWS[:0]), "has no rows"),
    "no features": ("a.npy", saved(ROWS[:, :0]), "has no features"),
    "one dimension": ("a.npy", saved(ROWS[0]), "two dimensions"),
    "three dimensions": ("a.npy", saved(ROWS.reshape(3, 20, 6)), "two dimensions"),
    "text": ("a.npy", saved(np.array([["a"]])), "does not hold numbers"),
    "complex": ("a.npy", saved(ROWS * 1j), "does not hold numbers"),
    "inf": ("a.npy", saved(ENDLESS), "beyond 32-bit floats, feature 0"),
    "beyond float32": (
        "a.npy",
        saved(HUGE),
        "beyond 32-bit floats, feature 0",
    ),
    "no archive": ("a.npz", b"PK", "not an .npz file"),
    "no tensors": ("a.safetensors", b"\0" * 64, "not a .safetensors file"),
    "a ragged table": ("a.csv", b"a,b\n1,2\n1,2,3\n", "more values than the first line"),
    "a short row": ("a.csv", b"a,b\n1,2\n1\n", "a.csv:1 lacks a value, column b"),
    "an empty table": ("a.csv", b"", "empty"),
    "names alone": ("a.csv", b"a,b\n", "has no rows"),
    "no numbers": ("a.csv", b"a,b\nx,y\n", "no columns of numbers"),
    "names that are not UTF-8": ("a.csv", b"a\xff,b\n1,2\n", "not UTF-8"),
    "two columns of a name": ("a.csv", b"a,a\n1,2\n", "two columns a"),
    "no gzip": ("a.csv.gz", b"a,b\n1,2\n", "not a gzip file"),
    "no JSON": ("a.jsonl", b"{\n", "line 1 is not JSON"),
    "ragged lists": ("a.jsonl", b"[1, 2]\n[1]\n", "row 1 (from 0) has 1, row 0 2"),
    "a surrogate": ("a.jsonl", b'{"\\ud800": 1}\n', "unpaired surrogate"),
    "no Parquet": ("a.parquet", b"PAR1" * 9, "not a Parquet file"),
}


@pytest.mark.parametrize(("name", "content", "reason"), BAD.values(), ids=BAD)
def test_a_file_that_holds_no_vectors_is_refused_in_a_line_and_nothing_is_written(
    aectl, tmp_path, name, content, reason
):
    (tmp_path / name).write_bytes(content)
    done = aectl("train", "--dataset", name, "--hidden", "2", "--out", "m")
    assert (done.status, done.out) == (2, "")
    assert reason in done.err
    assert "Traceback" not in done.err
    assert os.listdir() == [name]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("second", [2**53 + 3, None])
def test_whole_numbers_beyond_64_bit_floats_name_rows_exactly(
    aectl, model, tmp_path, ending, second
):
    names = [2**53 + 1, second, 2**60 + 1]
    frame = polars.DataFrame({"id": names, **{f"f{n}": ROWS[:3, n] for n in range(6)}})
    write = {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}
    write[ending](tmp_path / f"t.{ending}")
    rows = table(aectl("encode", model, f"t.{ending}", "-q").out)
    assert [row["path"] for row in rows] == ["" if one is None else str(one) for one in names]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_second_column_with_a_name_of_rows_is_no_feature_in_any_format(aectl, tmp_path, ending):
    frame = polars.DataFrame({"id": [5, 6, 7], "index": [1, 2, 3], "a": [0.5, 0.25, 2.0]})
    write = {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}
    write[ending](tmp_path / f"t.{ending}")
    train = ("train", "--dataset", f"t.{ending}", "--hidden", "1", "--epochs", "1", "--out", "m")
    done = aectl(*train)
    assert done.status == 0
    assert "columns that seem to name or label rows, too, are left out: index" in done.err
    assert read_card(tmp_path / "m").architecture.vector == (1,)


def test_a_file_that_cannot_be_read_costs_only_its_own_rows(aectl, model, tmp_path):
    np.save("a.npy", ROWS[:2])
    np.save("b.npy", ROWS[:2, :4])
    (tmp_path / "c.npy").write_bytes(b"")
    done = aectl("encode", model, "a.npy", "b.npy", "c.npy")
    assert (done.status, len(table(done.out))) == (1, 2)
    assert "b.npy: has 4 features; the model takes 6" in done.err
    assert "c.npy: it is empty" in done.err


def test_a_table_of_20_000_columns_is_learnt(aectl, tmp_path):
    np.savetxt("wide.csv", np.arange(60_000).reshape(3, -1) % 7, "%d", ",")
    train = ("train", "--dataset", "wide.csv", "--hidden", "2", "--epochs", "1", "-q")
    assert aectl(*train, "--out", "m").status == 0
    assert read_card(tmp_path / "m").architecture.vector == (20_000,)


def test_which_array_of_several_is_said_by_name(aectl, tmp_path):
    np.savez("a.npz", one=ROWS, two=ROWS[:, :3], three=ROWS[0])
    done = aectl("train", "--dataset", "a.npz", "--out", "m")
    assert (done.status, "(one, two): name one, such as a.npz:one" in done.err) == (2, True)
    done = aectl("train", "--dataset", "a.npz:four", "--out", "m")
    assert (done.status, "it has no array four" in done.err) == (2, True)
    train = ("train", "--dataset", "a.npz:two", "--hidden", "2", "--epochs", "1", "-q")
    assert aectl(*train, "--out", "m").status == 0
    assert read_card(tmp_path / "m").trained_on == ("a.npz:two",)


def test_what_the_vectors_came_from_is_kept(aectl, tmp_path):
    np.save("a.npy", ROWS)
    given = ("--parent", "gpt2", "--layer-of", "transformer.h.6")
    train = ("train", "--dataset", "a.npy", "--hidden", "2", "--epochs", "1", "-q", "--out", "m")
    assert aectl(*train, *given).status == 0
    told = json.loads(aectl("info", "m", "--json").out)
    assert told["training"]["options"]["parent"] == "gpt2"
    assert told["training"]["options"]["layer_of"] == "transformer.h.6"
    assert told["preprocessing"] == {"features": 6}
    assert len(told["training"]["data_sha256"]) == 64


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("ending", [".npy", ".safetensors"])
def test_codes_are_written_as_an_array_with_their_paths_beside_it(
    aectl, model, tmp_path, ending, dtype
):
    path = written(tmp_path, ".npy")
    wanted = numbers(aectl("encode", model, path, "-q").out, 9).astype(dtype)
    given = ("--dtype", dtype, "--out", f"codes{ending}", "--batch-size", "7", "-q")
    assert aectl("encode", model, path, *given).status == 0
    assert sorted(os.listdir()) == sorted(
        [f".codes{ending}.aectl.json", f"codes{ending}", f"codes{ending}.ids.parquet", "rows.npy"]
    )
    file = tmp_path / f"codes{ending}"
    codes = np.load(file) if ending == ".npy" else load_file(file)["features"]
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, wanted)
    beside = polars.read_parquet(f"codes{ending}.ids.parquet")
    assert beside["path"].to_list() == [f"{path}:{n}" for n in range(60)]
    train = ("train", "--dataset", ".", "--hidden", "2", "--epochs", "1", "-q", "--out", "two")
    os.remove(path)
    assert aectl(*train).status == 0
    rows = table(aectl("encode", "two", f"codes{ending}", "-q").out)
    assert [row["path"] for row in rows] == [f"{path}:{n}" for n in range(60)]
    decoded = aectl("reconstruct", model, "--from-codes", f"codes{ending}", "-q")
    assert [row["path"] for row in table(decoded.out)] == [row["path"] for row in rows]
    done = aectl("encode", model, file, "--out", f"codes{ending}")
    assert (done.status, "--overwrite replaces it" in done.err) == (2, True)


def test_an_array_has_no_sparse_rows_and_no_classes(aectl, classifier, model, tmp_path):
    path = written(tmp_path, ".npy")
    done = aectl("encode", model, path, "--layout", "sparse", "--out", "codes.npy")
    assert (done.status, "an array has no sparse rows" in done.err) == (2, True)
    done = aectl("classify", classifier, "digits:test/0", "--out", "classes.npy")
    assert (done.status, "an array holds codes that are vectors" in done.err) == (2, True)
    assert os.listdir() == ["rows.npy"]


def test_columns_are_chosen_in_use_as_in_training(aectl, tmp_path):
    names = ["one", "two", "three", "tag", "kind"]
    frame = polars.DataFrame(ROWS[:, :3].astype("f8"), schema=names[:3]).with_columns(
        tag=polars.Series([f"r{n}" for n in range(60)]), kind=polars.Series(["a", "b"] * 30)
    )
    frame.write_csv("x.csv")
    given = ("--columns", "t*", "--columns", "one", "--id-column", "tag", "--label-column", "kind")
    train = ("train", "--dataset", "x.csv", "--hidden", "2", "--epochs", "2", "--out", "m")
    done = aectl(*train, *given)
    assert (done.status, "column" in done.err) == (0, False)  # nothing was guessed
    assert read_card(tmp_path / "m").columns == ("two", "three", "one")
    first = aectl("encode", "m", "x.csv", "-q").out
    row = table(first)[1]
    assert (row["path"], row["label"]) == ("r1", "b")
    frame.rename({name: name.upper() for name in names}).write_parquet("Y.parquet")
    done = aectl("encode", "m", "Y.parquet")
    assert (done.status, "lacks columns of the model: two, three, one" in done.err) == (2, True)
    upper = [word.upper() if word in ("one", "tag", "kind") else word for word in given]
    upper[1] = "TWO, THREE"
    done = aectl("encode", "m", "Y.parquet", "-q", *upper)
    assert (done.status, done.out) == (0, first)
    done = aectl("encode", "m", "x.csv", "--id-column", "none")
    assert (done.status, "no column none, which --id-column names" in done.err) == (2, True)


def test_columns_have_no_effect_on_images(aectl, dense):
    done = aectl("encode", dense, "--columns", "a")
    assert (done.status, done.err) == (2, "aectl: --columns has no effect with a model of images\n")


@pytest.mark.parametrize("content", ["1,2,3,4,5,6\n", "f0,f1,f2,f3,f4,f5\n1,2,3,4,5,6\n"])
def test_a_model_with_names_takes_vectors_without_them(aectl, tmp_path, content):
    polars.DataFrame(ROWS, schema=list("abcdef")).write_csv("x.csv")
    train = ("train", "--dataset", "x.csv", "--hidden", "2", "--epochs", "1", "-q", "--out", "m")
    assert aectl(*train).status == 0
    (tmp_path / "y.csv").write_text(content)
    np.save("y.npy", np.arange(1.0, 7)[None])
    polars.DataFrame({"v": [[1.0, 2, 3, 4, 5, 6]]}).write_parquet("y.parquet")
    codes = [numbers(aectl("encode", "m", f"y{e}").out, 2) for e in (".csv", ".npy", ".parquet")]
    assert all(np.array_equal(one, codes[0]) for one in codes)


def test_each_row_and_each_column_has_its_error(aectl, model, tmp_path):
    path = written(tmp_path, ".csv")
    given = ("--per-row", "each.csv", "--sort", "--per-column", "columns.csv", "--json", "-q")
    (report,) = json.loads(aectl("eval", model, "--dataset", path, *given).out)
    rows, columns = (table((tmp_path / f"{name}.csv").read_text()) for name in ("each", "columns"))
    scaled = [float(row["scaled_mse"]) for row in rows]
    assert scaled == sorted(scaled, reverse=True)
    assert "label" not in rows[0]  # the name of the folder of the only file is none
    errors = [float(row["mse"]) for row in rows]
    assert np.mean(errors) == pytest.approx(report["mse"], rel=1e-5)
    made = numbers(aectl("reconstruct", model, path, "-q").out, 6)
    found = [float(row["explained_variance"]) for row in columns]
    wanted = 1 - ((made - ROWS) ** 2).sum(0) / ((ROWS - ROWS.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert [row["column"] for row in columns] == [f"f{n}" for n in range(6)]
    in_run = table((model / "columns.csv").read_text())
    assert float(in_run[0]["mse"]) == pytest.approx(float(columns[0]["mse"]), rel=1e-4)


def test_rows_of_columns_of_unlike_units_are_sorted_by_the_error_of_their_scaled_values(
    aectl, tmp_path
):
    FRAME.drop("target").write_csv("wine.csv")
    train = ("train", "--dataset", "wine.csv", "--scale", "standard", "--validation", "0")
    assert aectl(*train, "--hidden", "4", "--epochs", "2", "-q", "--out", "m").status == 0
    given = ("--per-row", "each.csv", "--sort", "--json", "-q")
    (report,) = json.loads(aectl("eval", "m", "--dataset", "wine.csv", *given).out)
    shown = table(aectl("reconstruct", "m", "wine.csv", "-q").out)
    made = np.array([[float(row[name]) for name in WINE.feature_names] for row in shown])
    wanted = (((made - WINE.data) / WINE.data.std(0)) ** 2).mean(1)
    rows = table((tmp_path / "each.csv").read_text())
    found = [float(row["scaled_mse"]) for row in rows]
    np.testing.assert_allclose(found, np.sort(wanted)[::-1], rtol=1e-4)
    assert report["scaled_mse"] == pytest.approx(wanted.mean(), rel=1e-4)
    errors = [float(row["mse"]) for row in rows]
    assert errors != sorted(errors, reverse=True)
    assert "scaled_mse" in (tmp_path / "m" / "report.html").read_text()


def test_pca_and_the_probe_are_those_of_scikit_learn(aectl, tmp_path):
    FRAME.write_csv("wine.csv")
    train = ("train", "--dataset", "wine.csv", "--hidden", "3", "--code-activation", "linear")
    assert aectl(*train, "--epochs", "2", "-q", "--out", "m").status == 0
    done = aectl("eval", "m", "--dataset", "wine.csv", "--pca", "--probe", "--json", "-q")
    (report,) = json.loads(done.out)
    pca = PCA(3).fit(WINE.data)
    error = ((pca.inverse_transform(pca.transform(WINE.data)) - WINE.data) ** 2).mean()
    assert report["pca_mse"] == pytest.approx(error, rel=1e-3)
    assert 0 <= report["probe_error"] < 40


def test_a_linear_autoencoder_of_a_table_is_as_good_as_pca(aectl):
    """Of features with standard deviation 1, after training without a schedule of one's own."""
    polars.DataFrame(StandardScaler().fit_transform(WINE.data)).write_parquet("x.parquet")
    train = ("train", "--dataset", "x.parquet", "--hidden", "4", "--code-activation", "linear")
    assert aectl(*train, "-q", "--out", "m").status == 0
    (report,) = json.loads(aectl("eval", "m", "--pca", "--json", "-q").out)
    assert report["mse"] == pytest.approx(report["pca_mse"], rel=0.01)


def test_features_of_unlike_scales_are_scaled_and_constant_ones_named(aectl, tmp_path):
    x = ROWS.astype("f8") * [1, 1, 1e-3, 5000, 1, 0] + [0, 0, 0, 0, 0, 7]
    polars.DataFrame(x, schema=list("abcdef")).write_csv("x.csv")
    train = ("train", "--dataset", "x.csv", "--hidden", "2", "--epochs", "1", "--overwrite")
    done = aectl(*train, "--out", "m")
    assert done.status == 0
    assert "features that are the same in all vectors: 1 (f)" in done.err
    ratio = x[:, 3].std() / x[:, 2].std()
    assert f"of d is {ratio:,.0f} times that of c: each feature is scaled to one of 1" in done.err
    scaled = aectl("encode", "m", "x.csv", "-q").out
    assert "times that of" not in aectl(*train, "--scale", "standard", "--out", "m").err
    assert aectl("encode", "m", "x.csv", "-q").out == scaled
    assert "times that of" not in aectl(*train, "--scale", "none", "--out", "m").err
    assert aectl("encode", "m", "x.csv", "-q").out != scaled
    several = ("--bottleneck-factor", "3,6", "--epochs", "1", "-q", "--out", "several")
    assert aectl("train", "--dataset", "x.csv", *several).status == 0
    configs = [one.read_text() for one in tmp_path.glob("several/*/config.toml")]
    assert [one.count('scale = "standard"') for one in configs] == [1, 1]
