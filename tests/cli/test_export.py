"""`aectl export`: files that onnxruntime and torch run, on pixels that another program decoded."""

import json
import resource
import sys
from importlib.metadata import version

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import polars
import pytest
import torch
from PIL import Image

from aectl.config.exports import OPSET

pytestmark = pytest.mark.usefixtures("converters_found_once")

BRIEF = ("--dataset", "digits:test", "--epochs", "1")
PATCHES = (
    "--model", "patch-autoencoder", "--hidden", "20", "--patch-size", "3x3", "--patches", "2000",
)  # fmt: skip
RULES = {
    "kl": ("--sparse", "--rho", "0.05"),
    "l1": ("--sparsity", "l1", "--hidden", "40"),
    "topk": ("--sparsity", "topk", "--hidden", "128", "--k", "5"),
    "batch-topk": ("--sparsity", "batch-topk", "--hidden", "128", "--k", "5"),
    "jumprelu": ("--sparsity", "jumprelu", "--hidden", "64"),
    "gated": ("--sparsity", "gated", "--hidden", "64"),
    "wta": ("--sparsity", "wta", "--hidden", "64"),
    "omp-1": ("--sparsity", "omp-1", "--hidden", "64", "--tied"),
    "deep": ("--hidden", "32,8", "--activation", "tanh", "--code-activation", "sigmoid", "--tied"),
}
CONVOLVED = {
    "map": ("--model", "conv-autoencoder", "--hidden", "8,6,3"),
    "vector": ("--model", "conv-autoencoder", "--bottleneck", "vector", "--hidden", "4,8,12"),
    "patches": PATCHES,
    "top-k patches": (*PATCHES, "--sparsity", "topk", "--k", "3", "--mirror"),
    "winners": ("--model", "conv-wta-autoencoder", "--hidden", "8,8", "--grid", "2x2"),
}
KINDS = {**RULES, **CONVOLVED}
PROGRAMS = ("batch-topk", "gated", "deep", "vector", "top-k patches")
"""Kinds that are exported as programs of torch, too; `top-k patches` as one alone, since its
operations as ONNX are those of `topk` and of `patches`. An ONNX file is made of such a program."""

PAIRS = [
    *((kind, "onnx") for kind in KINDS if kind != "top-k patches"),
    *((kind, "pt2") for kind in PROGRAMS),
]


@pytest.fixture(scope="module")
def pixels(scans):
    """The scans as Pillow decodes them, in sorted order: (n, 1, height, width)."""
    return np.stack([np.array(Image.open(path)) for path in sorted(scans.iterdir())])[:, None]


def onnx_run(path, inputs, sizes=(1, 7)):
    """The output for inputs, in batches of unlike sizes."""
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    ends = [*np.cumsum(sizes), len(inputs)]
    batches = np.split(inputs, ends[:-1])
    return np.concatenate([session.run(None, {name: batch})[0] for batch in batches])


def pt2_run(path, inputs):
    """The same of a program of torch."""
    module = torch.export.load(path).module()
    return np.concatenate([module(torch.from_numpy(one)).numpy() for one in np.split(inputs, [1])])


RUN = {"onnx": onnx_run, "pt2": pt2_run}


def apart(found, wanted):
    """The largest difference, as a fraction of the largest number."""
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize(("kind", "ending"), PAIRS)
def test_an_exported_encoder_gives_the_codes_of_the_table(
    aectl, trained, scans, pixels, kind, ending
):
    model = trained(*BRIEF, *KINDS[kind])
    done = aectl("export", model, scans, "--out", f"e.{ending}")
    assert done.status == 0, done.err
    assert done.out == f"e.{ending}\n"
    aectl("encode", model, scans, "--out", "codes.parquet")
    wanted = polars.read_parquet("codes.parquet").drop("path").to_numpy()
    found = RUN[ending](f"e.{ending}", pixels)
    assert apart(found, wanted) < 1e-5
    if kind in RULES:
        assert ((found == 0) == (wanted == 0)).all()


@pytest.mark.parametrize("kind", ["topk", "patches", "winners"])
def test_an_exported_autoencoder_gives_the_reconstructions(
    aectl, trained, scans, pixels, kind, tmp_path
):
    model = trained(*BRIEF, *KINDS[kind])
    done = aectl("export", model, scans, "--what", "autoencoder", "--out", "a.onnx")
    assert done.status == 0, done.err
    made = onnx_run("a.onnx", pixels)
    assert made.shape == pixels.shape
    done = aectl("eval", model, "--dataset", scans, "--per-image", "each.csv")
    assert done.status == 0, done.err
    wanted = polars.read_csv("each.csv").sort("path")["mse"].to_numpy()
    squares = np.square(made - pixels / np.float32(255)).mean((1, 2, 3))
    assert np.allclose(squares, wanted, rtol=1e-4, atol=1e-7)


def test_an_exported_decoder_takes_what_the_encoder_gives(aectl, trained, scans, pixels):
    model = trained(*BRIEF, *CONVOLVED["map"])
    for file in ("encoder.pt2", "decoder.onnx", "autoencoder.pt2"):
        what = file.partition(".")[0]
        assert aectl("export", model, scans, "--what", what, "--out", file).status == 0
    both = onnx_run("decoder.onnx", pt2_run("encoder.pt2", pixels))
    assert np.abs(both - pt2_run("autoencoder.pt2", pixels)).max() < 1e-5


@pytest.mark.parametrize("below", [None, "patches"])
def test_an_exported_classifier_gives_the_probabilities(aectl, trained, scans, pixels, below):
    encoder = () if below is None else ("--encoder", str(trained(*BRIEF, *KINDS[below])))
    model = trained(*BRIEF, "--model", "classifier", "--hidden", "16", *encoder)
    done = aectl("export", model, scans, "--out", "c.onnx")
    assert done.status == 0, done.err
    aectl("classify", model, scans, "--out", "labels.parquet")
    table = polars.read_parquet("labels.parquet")
    found = onnx_run("c.onnx", pixels)
    told = {one.key: one.value for one in onnx.load("c.onnx").metadata_props}
    classes = json.loads(told["classes"])
    assert [classes[number] for number in found.argmax(1)] == table["prediction"].to_list()
    assert np.abs(found.max(1) - table["probability"].to_numpy()).max() < 1e-5


@pytest.fixture(scope="module")
def acts(tmp_path_factory):
    """Vectors of features in unlike units."""
    path = tmp_path_factory.mktemp("acts") / "acts.npy"
    drawn = np.random.default_rng(0).standard_normal((600, 12))
    np.save(path, (drawn * np.arange(1, 13) + 3).astype("f4"))
    return path


@pytest.mark.parametrize(
    ("scale", "other"),
    [
        ("none", "pt2"),
        ("standard", "onnx"),
        ("minmax", "pt2"),
        ("center", "pt2"),
        ("unit-norm", "onnx"),
        ("layer-norm", "onnx"),
    ],
)
def test_vectors_are_scaled_in_the_graph(aectl, trained, acts, scale, other):
    model = trained(
        "--dataset", str(acts), "--hidden", "24", "--sparsity", "topk", "--k", "4",
        "--scale", scale, "--epochs", "2",
    )  # fmt: skip
    aectl("encode", model, acts, "--out", "code.npy")
    aectl("reconstruct", model, acts, "--out", "reconstruction.npy")
    for what, ending, table in (
        ("encoder", "pt2", "code"),
        ("autoencoder", other, "reconstruction"),
    ):
        done = aectl("export", model, acts, "--what", what, "--out", f"{what}.{ending}")
        assert done.status == 0, done.err
        found, wanted = RUN[ending](f"{what}.{ending}", np.load(acts)), np.load(f"{table}.npy")
        assert apart(found, wanted) < 1e-5


def test_values_that_are_missing_are_filled_in_the_graph(aectl, trained, acts, tmp_path):
    vectors = np.load(acts)
    vectors[::7, 2] = np.nan
    np.save(tmp_path / "gaps.npy", vectors)
    model = trained("--dataset", str(acts), "--hidden", "6", "--missing", "mean", "--epochs", "2")
    aectl("encode", model, "gaps.npy", "--out", "codes.npy")
    done = aectl("export", model, "gaps.npy", "--out", "e.onnx")
    assert done.status == 0, done.err
    assert apart(onnx_run("e.onnx", vectors), np.load("codes.npy")) < 1e-5


def test_tokens_come_from_the_tokenizer_in_the_file(aectl, trained, tmp_path):
    from tokenizers import Tokenizer

    lines = [f"the {one} cat sat on a {two} mat" for one in "red big old" for two in "new wet"] * 9
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    folder = tmp_path / "run"
    done = aectl(
        "train", "-q", "--dataset", "lines.txt", "--model", "text-autoencoder", "--hidden", "8,8",
        "--epochs", "1", "--length", "5", "--out", folder,
    )  # fmt: skip
    assert done.status == 0, done.err
    aectl("encode", folder, "lines.txt", "--out", "codes.npy")
    done = aectl("export", folder, "lines.txt", "--out", "e.onnx")
    assert done.status == 0, done.err
    told = {one.key: one.value for one in onnx.load("e.onnx").metadata_props}
    tokenizer, special = Tokenizer.from_str(told["tokenizer"]), 3
    tokens = np.zeros((len(lines), 5), np.int64)
    for row, line in zip(tokens, lines, strict=True):
        ids = tokenizer.encode(line).ids[:5]
        row[: len(ids)] = np.array(ids) + special
    assert apart(onnx_run("e.onnx", tokens), np.load("codes.npy")) < 1e-5


def test_the_file_says_what_it_is_and_names_no_path_of_the_source(aectl, trained, scans):
    model = trained(*BRIEF, *RULES["topk"])
    aectl("export", model, scans, "--out", "e.onnx")
    aectl("export", model, scans, "--out", "e.pt2")
    file = onnx.load("e.onnx")
    onnx.checker.check_model(file, full_check=True)
    assert [one.version for one in file.opset_import if one.domain == ""] == [OPSET]
    takes, gives = file.graph.input[0], file.graph.output[0]
    assert (takes.name, gives.name) == ("images", "code")
    assert [one.dim_param or one.dim_value for one in takes.type.tensor_type.shape.dim] == [
        "batch", 1, 8, 8,
    ]  # fmt: skip
    told = {one.key: one.value for one in file.metadata_props}
    assert told["what"] == "encoder"
    assert json.loads(told["model"])["architecture"]["hidden"] == [128]
    for name in ("e.onnx", "e.pt2"):
        with open(name, "rb") as written:
            assert b"site-packages" not in (content := written.read())
        assert b"models/graphs.py" not in content


def test_a_file_holds_the_weights_of_its_part_alone(aectl, trained, scans, tmp_path):
    model = trained(*BRIEF, *RULES["topk"])
    sizes = {}
    for what in ("encoder", "decoder", "autoencoder"):
        aectl("export", model, scans, "--what", what, "--out", f"{what}.pt2")
        sizes[what] = (tmp_path / f"{what}.pt2").stat().st_size
    both = 4 * 2 * 64 * 128
    assert max(sizes["encoder"], sizes["decoder"]) < sizes["autoencoder"] - both // 3


def test_the_report_tells_how_far_the_file_is_from_the_model(aectl, trained, scans, tmp_path):
    model = trained(*BRIEF, *RULES["kl"])
    done = aectl("export", model, scans, "--out", "e.onnx")
    report = json.loads((tmp_path / "e.onnx.json").read_text())
    assert report["versions"]["onnxruntime"] == version("onnxruntime")
    assert report["versions"]["opset"] == str(OPSET)
    assert report["batch_sizes"] == [1, 7, 513]
    assert report["inputs"] == len(list(scans.iterdir()))
    assert report["bytes"] == (tmp_path / "e.onnx").stat().st_size
    assert 0 <= report["outputs"]["code"]["relative"] < 1e-5
    assert len(done.err.splitlines()) == 2


def broken(monkeypatch, change):
    """Lets the exporter of torch write other weights than those of the model."""
    exporter = torch.onnx.export

    def export(*arguments, **options):
        program = exporter(*arguments, **options)
        for value in program.model.graph.initializers.values():
            weights = value.const_value.numpy()
            if weights.dtype == np.float32 and weights.ndim == 2:
                value.const_value = onnx_ir.tensor(change(weights))
                return program
        raise AssertionError("no weights to change")

    monkeypatch.setattr(torch.onnx, "export", export)


def broken_program(monkeypatch, change):
    """The same of programs of torch, whose weights `change` changes in place."""
    save = torch.export.save

    def changed(program, *arguments, **options):
        change(next(one for one in program.state_dict.values() if one.ndim == 2))
        save(program, *arguments, **options)

    monkeypatch.setattr(torch.export, "save", changed)


def test_a_file_that_does_not_agree_with_the_model_is_removed(
    aectl, trained, scans, tmp_path, monkeypatch
):
    model = trained(*BRIEF, *RULES["kl"])
    broken(monkeypatch, lambda weights: weights * np.float32(1.001))
    done = aectl("export", model, scans, "--out", "e.onnx")
    assert done.status == 2
    assert "e.onnx is not written: its code differs from the model's" in done.err
    assert list(tmp_path.iterdir()) == []
    done = aectl("export", model, scans, "--out", "e.onnx", "--tolerance", "0.01")
    assert done.status == 0, done.err


def test_an_earlier_file_stays_where_the_new_one_does_not_agree(
    aectl, trained, scans, tmp_path, monkeypatch
):
    model = trained(*BRIEF, *RULES["kl"])
    assert aectl("export", model, scans, "--out", "e.pt2").status == 0
    before = (tmp_path / "e.pt2").read_bytes()
    assert aectl("export", model, scans, "--out", "e.pt2").status == 2
    broken_program(monkeypatch, lambda weights: weights.add_(0.1))
    done = aectl("export", model, scans, "--out", "e.pt2", "--overwrite")
    assert done.status == 2 and "differs from the model's" in done.err
    assert (tmp_path / "e.pt2").read_bytes() == before


def test_small_outputs_are_compared_as_fractions_too(aectl, acts, tmp_path, monkeypatch):
    np.save(tmp_path / "small.npy", np.load(acts) * np.float32(1e-8))
    done = aectl("train", "-q", "--dataset", "small.npy", "--hidden", "4", "--scale", "standard",
                 "--epochs", "1", "--out", "run")  # fmt: skip
    assert done.status == 0, done.err
    words = ("export", "run", "small.npy", "--what", "autoencoder", "--out", "e.pt2")
    assert aectl(*words).status == 0
    broken_program(monkeypatch, lambda weights: weights.mul_(2))
    done = aectl(*words, "--overwrite")
    assert done.status == 2 and "differs from the model's" in done.err


def test_what_torch_cannot_convert_is_told_in_a_line(aectl, trained, scans, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise torch.onnx.OnnxExporterError("\nno operator aten::x\nfile.py:3")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    done = aectl("export", trained(*BRIEF, *RULES["kl"]), scans, "--out", "e.onnx")
    assert done.status == 2
    assert done.err == "aectl: torch.onnx cannot convert this model: no operator aten::x\n"
    assert list(tmp_path.iterdir()) == []


def test_a_program_on_a_full_disk_is_told_in_a_line(aectl, trained, acts, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would cut it short
    model = trained("--dataset", str(acts), "--hidden", "6", "--missing", "mean", "--epochs", "2")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        done = aectl("export", model, acts, "--out", "e.pt2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (done.status, done.err) == (2, "aectl: cannot write e.pt2: File too large\n")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_8_bits_take_a_quarter_of_the_space(aectl, trained, scans, pixels, tmp_path):
    model = trained(*BRIEF, "--hidden", "256")
    aectl("export", model, scans, "--out", "full.onnx")
    done = aectl("export", model, scans, "--quantize", "int8", "--out", "small.onnx")
    assert done.status == 0, done.err
    sizes = [(tmp_path / name).stat().st_size for name in ("small.onnx", "full.onnx")]
    assert sizes[0] < sizes[1] / 2
    found, wanted = onnx_run("small.onnx", pixels), onnx_run("full.onnx", pixels)
    rms = np.sqrt(np.square(found - wanted).sum() / np.square(wanted).sum())
    assert 1e-4 < rms < 0.1
    report = json.loads((tmp_path / "small.onnx.json").read_text())
    assert report["outputs"]["code"]["relative_rms"] == pytest.approx(rms, rel=0.2)
    done = aectl(
        "export", model, scans, "--quantize", "int8", "--tolerance", "1e-4", "--out", "x.onnx"
    )
    assert done.status == 2 and "root mean square" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "e.bin"), "must be .onnx or .pt2"),
        (("--out", "e", "--format", "onix"), "did you mean 'onnx'?"),
        (("--out", "e.pt2", "--format", "onnx"), "its extension is that of pt2, not of onnx"),
        (("--out", "e.onnx", "--what", "decodr"), "did you mean 'decoder'?"),
        (("--out", "e.onnx", "--what", "classifier"), "it has: encoder, autoencoder, decoder"),
        (("--out", "e.onnx", "--quantize", "int4"), "--quantize is one of int8"),
        (("--out", "e.pt2", "--quantize", "int8"), "--quantize needs --format onnx"),
        (("--out", "there/e.onnx"), "no such folder"),
        (("--out", ".", "--format", "sae-lens"), "--out . is no name of a file"),
        (("--out", "-", "--format", "onnx"), "--out - is no name of a file"),
        (("--out", "e.pt2", "--device", "cuda"), "--device cuda has no effect"),
        (("--out", "e.pt2", "--errors", "e.pt2.json"), "is the name of the report"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_line(aectl, trained, options, said):
    done = aectl("export", trained(*BRIEF, *RULES["topk"]), *options)
    assert done.status == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_the_model_itself_is_not_overwritten(aectl, trained, scans, tmp_path):
    model = tmp_path / "m.safetensors"
    model.write_bytes((trained(*BRIEF, *RULES["kl"]) / "model.safetensors").read_bytes())
    before = model.read_bytes()
    done = aectl("export", model, scans, "--out", model, "--format", "pt2", "--overwrite")
    assert (done.status, done.err) == (2, f"aectl: --out {model} is the model that is exported\n")
    assert model.read_bytes() == before


def test_pooled_features_have_no_decoder(aectl, trained):
    model = trained(*BRIEF, *CONVOLVED["patches"])
    done = aectl("export", model, "--what", "decoder", "--out", "d.onnx")
    assert done.status == 2
    assert "has no decoder to export; it has: encoder, autoencoder" in done.err


def test_without_inputs_there_is_nothing_to_check_with(aectl, trained, tmp_path):
    (tmp_path / "empty").mkdir()
    done = aectl("export", trained(*BRIEF, *RULES["topk"]), "empty", "--out", "e.onnx")
    assert done.status == 2
    assert "there are no images in empty" in done.err
    assert not (tmp_path / "e.onnx").exists()


def test_a_missing_package_is_named(aectl, trained, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    done = aectl("export", trained(*BRIEF, *RULES["topk"]), "--out", "e.onnx")
    assert done.status == 2
    assert "pip install 'aectl[export]'" in done.err


@pytest.mark.parametrize(
    ("name", "inputs"),
    [("1-dense", "digits:test"), ("2-text", "lines.txt"), ("3-shorter-text", "lines.txt")],
)
def test_models_of_older_versions_are_exported(aectl, request, tmp_path, name, inputs):
    (tmp_path / "lines.txt").write_text("a line\nanother one\nthe third\n")
    model = request.path.parent.parent / "formats" / f"{name}.safetensors"
    for what in ("encoder", "autoencoder"):
        done = aectl("export", model, inputs, "--what", what, "--out", f"{what}.pt2")
        assert done.status == 0, done.err
