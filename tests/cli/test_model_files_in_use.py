"""Model files that a stranger may have written, in the commands that use them."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from aectl.cli import main
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import TextShape
from aectl.inference import apply_text as text_inference
from aectl.inference import inspection
from aectl.inference.metrics import TextMetrics
from aectl.models import footprint, model_file
from aectl.models.architecture import Architecture
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.build import build_network
from aectl.models.model_card import ModelCard
from aectl.models.vocabulary import Vocabulary
from aectl.verbs import machine


def rewritten(source, path, tensors=None, **changed):
    """The model in a run folder with other tensors, or with fields of its description changed."""
    with safe_open(source / "model.safetensors", framework="numpy") as file:
        described = json.loads(file.metadata()["aectl"])
    arrays = tensors or load_file(source / "model.safetensors")
    save_file(arrays, path, {"aectl": json.dumps(described | changed)})
    return path


def with_huge_weights(source, path, size):
    tensors = load_file(source / "model.safetensors")
    huge = {n: np.full_like(v, size) if "weight" in n else v for n, v in tensors.items()}
    return rewritten(source, path, huge)


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "MODEL", "--json"],
        ["eval", "MODEL", "--report", "r.html"],
        ["reconstruct", "MODEL", "digits:test"],
    ],
    ids=str,
)
def test_weights_that_overflow_are_told_instead_of_measured(aectl, dense, words, tmp_path):
    path = with_huge_weights(dense, tmp_path / "m.safetensors", 3e38)
    done = aectl(*[path if word == "MODEL" else word for word in words])
    assert (done.status, done.out) == (2, "")
    assert "weights are too large" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "r.html").exists()


def test_a_classifier_whose_weights_overflow_is_not_measured(aectl, classifier, tmp_path):
    path = with_huge_weights(classifier, tmp_path / "m.safetensors", 3e38)
    done = aectl("eval", path)
    assert (done.status, done.out) == (2, "")
    assert "weights are too large" in done.err


def test_huge_weights_that_do_not_overflow_have_a_report(aectl, dense, tmp_path):
    path = with_huge_weights(dense, tmp_path / "m.safetensors", 1e15)
    done = aectl("eval", path, "--report", "r.html")
    assert (done.status, done.err) == (0, "")
    assert (tmp_path / "r.html").exists()


LARGE = {
    "conv-autoencoder": Architecture(
        ModelConfig(model="conv-autoencoder", hidden=(1,) * 8 + (2,), center=False), (3, 800, 900)
    ),
    "autoencoder": Architecture(ModelConfig(hidden=(2,)), (1, 1500, 1000)),
}
LENGTH, WORDS = 300, Vocabulary.learnt([], 300)
OF_TEXT = Architecture(
    ModelConfig(model="text-autoencoder", hidden=(3,), bottleneck="text", ratio=1.0),
    TextShape(LENGTH, len(WORDS)),
)  # fmt: skip


def of_architecture(architecture, path):
    torch.manual_seed(0)
    vocabulary = WORDS if architecture.modality == "text" else None
    model_file.save(
        path, build_network(architecture), ModelCard(architecture, vocabulary=vocabulary)
    )
    return path


@pytest.mark.parametrize("kind", LARGE)
def test_a_network_of_large_images_sees_one_at_a_time_whatever_the_batch_size(
    aectl, kind, scans, tmp_path, monkeypatch
):
    path = of_architecture(LARGE[kind], tmp_path / "m.safetensors")
    seen = []
    encode = AutoencoderBase.encode
    monkeypatch.setattr(
        AutoencoderBase, "encode", lambda s, x, *a: seen.append(len(x)) or encode(s, x, *a)
    )
    pictures = sorted(scans.iterdir())[:3]
    rows = [
        aectl("encode", path, *pictures, *options).out
        for options in ([], ["--batch-size", 1], ["--batch-size", 2])
    ]
    assert len(rows[0].splitlines()) == 4
    assert rows[0] == rows[1] == rows[2]
    assert aectl("eval", path, "--dataset", pictures[0], "--json").status == 0
    assert set(seen) == {1}


def test_a_network_of_ordinary_images_sees_as_many_as_before(aectl, dense, scans, monkeypatch):
    seen = []
    encode = AutoencoderBase.encode
    monkeypatch.setattr(
        AutoencoderBase, "encode", lambda s, x, *a: seen.append(len(x)) or encode(s, x, *a)
    )
    for images, size in ((scans / "000.png", 1), (scans, 100)):
        assert aectl("eval", dense, "--dataset", images, "--batch-size", size).status == 0
    assert seen == [32, 128, 128, 128, 128]


def test_what_images_take_is_that_of_their_copies():
    pixels = 3 * 4096 * 4096
    conv = ModelConfig(model="conv-autoencoder", hidden=(1, 2), center=False)
    needed = footprint.activation_bytes(Architecture(conv, (3, 4096, 4096)))
    # the input twice and the last layer: what it sees, and gives before and after its activation
    assert 4 * (3 * pixels) < needed < 4 * (5 * pixels)
    small = Architecture(ModelConfig(hidden=(392,)), (1, 28, 28))
    assert not footprint.one_at_a_time(small)


def test_the_logits_of_texts_are_measured_in_parts_where_they_are_many(tmp_path, monkeypatch):
    path = of_architecture(OF_TEXT, tmp_path / "m.safetensors")
    network = model_file.load(path)[0]
    tokens = torch.randint(3, len(WORDS), (4, LENGTH), generator=torch.Generator().manual_seed(0))
    whole, parts = TextMetrics(), TextMetrics()
    text_inference.measure_tokens(network, tokens, whole)
    monkeypatch.setattr(footprint, "ROOM", 1000)
    text_inference.measure_tokens(network, tokens, parts)
    for name, value in whole.result().items():
        assert parts.result()[name] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "eval"])
def test_a_model_larger_than_the_memory_is_refused_with_the_number(
    aectl, verb, tmp_path, monkeypatch
):
    architecture = Architecture(
        ModelConfig(model="conv-autoencoder", hidden=(1,) * 12 + (2,), center=False),
        (3, 4096, 4096),
    )
    path = of_architecture(architecture, tmp_path / "m.safetensors")
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(machine, "memory", lambda: 1 << 30)
    done = aectl(verb, path)
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        f"aectl: {path} needs 1.2 GiB of memory for a single input; this machine has 1.0 GiB:"
        " use a larger machine or a smaller model\n"
    )


STEERING = "\x1b]0;title\x07\x9b31m"


@pytest.fixture
def steering(classifier, tmp_path):
    """A model whose classes, dataset and command would steer a terminal."""
    return rewritten(
        classifier,
        tmp_path / "m.safetensors",
        classes=[STEERING, *"123456789"],
        training={"options": {"dataset": STEERING}, "command": f"aectl {STEERING}\nforged"},
    )


@pytest.mark.parametrize("words", [["info"], ["eval", "--dataset", "set"], ["classify"]], ids=str)
def test_a_model_file_cannot_steer_the_terminal(
    aectl, steering, scans, words, tmp_path, monkeypatch
):
    for label in (STEERING, "1"):
        (tmp_path / "set" / label).mkdir(parents=True)
        shutil.copy(scans / "000.png", tmp_path / "set" / label)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "400")  # no cell is folded
    verb, *options = words
    done = aectl(verb, steering, *(["set"] if verb == "classify" else options))
    assert done.status == 0
    assert not any(part in done.out for part in ("\x1b]", "\x07", "\x9b"))
    assert r"\x1b]0;title\x07\x9b31m" in done.out


def test_a_table_in_a_pipe_keeps_its_bytes(aectl, steering, scans):
    out = aectl("classify", steering, scans / "000.png", "--top-k", "10").out
    assert STEERING in out


NAME = b"caf\xe9"


@pytest.mark.parametrize(
    "words",
    [["info"], ["eval", "--dataset", "a.png"], ["eval", "--dataset", "a.png", "--csv"],
     ["eval", "--dataset", "a.png", "--json"], ["reconstruct", "a.png", "--each", "EACH"]],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_stdout_cannot_hold_are_no_defect(
    dense, scans, words, encoding, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = Path(os.fsdecode(NAME))
    folder.mkdir()
    rewritten(dense, "m.safetensors", training={"command": "aectl zażółć"})
    Path("m.safetensors").rename(folder / "model.safetensors")
    shutil.copy(scans / "000.png", "a.png")
    each = f"out-{folder}"
    verb, *options = [each if word == "EACH" else word for word in words]
    stdout = io.TextIOWrapper(io.BytesIO(), encoding, "strict")
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("sys.argv", ["aectl", verb, str(folder), *options])
    assert main() == 0
    said = stdout.buffer.getvalue()
    if "--each" in words:
        assert said == b"out-" + NAME + b"\n"
    elif "--json" in words:
        assert json.loads(said)[0]["model"] == "file:caf%E9"
    elif verb == "info":
        assert "aectl zażółć".encode(encoding, "backslashreplace") in said
    else:
        assert b"mse" in said


def test_a_picture_shows_fewer_images_where_they_are_large(aectl, dense, scans, monkeypatch):
    assert aectl("reconstruct", dense, scans, "--count", 3, "--out", "three.png").status == 0
    monkeypatch.setattr(sys.modules["aectl.cli.reconstruct"], "PICTURED_BYTES", 3 * 64 + 63)
    assert aectl("reconstruct", dense, scans, "--out", "some.png").status == 0
    assert Path("some.png").read_bytes() == Path("three.png").read_bytes()


def test_a_page_remembers_fewer_images_where_they_are_large(aectl, dense, scans, monkeypatch):
    found = []
    findings = inspection.Inspection.findings
    monkeypatch.setattr(inspection, "HELD_BYTES", 8 * 64)
    monkeypatch.setattr(
        inspection.Inspection,
        "findings",
        lambda *arguments: found.append(findings(*arguments)) or found[-1],
    )
    assert aectl("eval", dense, "--dataset", scans, "--report", "page.html").status == 0
    [made] = found
    assert 4 <= len(made.sample.images) <= 8
    assert {len(gallery.shown.images) for gallery in made.galleries.values()} == {2}
