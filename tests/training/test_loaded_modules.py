"""Libraries that training loads late, or never: each takes a good part of a second."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "aectl"

TEXT = ["--dataset", "lines.txt", "--length", "4", "--model", "text-autoencoder"]
TRAININGS = [
    ["--sparse"],
    ["--optimizer", "sgd", "--clip-grad", "1", "--weight-decay", "0.1", "--sparsity", "gated"],
    [
        "--optimizer",
        "adamw",
        "--sparsity",
        "topk",
        "--aux-k",
        "4",
        "--decoder-columns",
        "unit-norm",
    ],
    ["--optimizer", "muon", "--model", "classifier"],
    ["--optimizer", "lbfgs"],
    ["--hidden", "12,8", "--stack", "1", "--sparsity", "l1"],
    ["--contractive", "0.1", "--code-activation", "sigmoid", "--hidden", "12,8"],
    [
        "--model",
        "conv-autoencoder",
        "--hidden",
        "3,8",
        "--bottleneck",
        "vector",
        "--sparsity",
        "wta",
        "--noise",
        "masking",
    ],
    ["--model", "conv-autoencoder", "--hidden", "3,8"],
    ["--model", "conv-wta-autoencoder", "--hidden", "3,8", "--grid", "4"],
    ["--model", "patch-autoencoder", "--patches", "100", "--patch-size", "4"],
    ["--sparsity", "jumprelu"],
    [*TEXT, "--hidden", "6,8", "--sparsity", "batch-topk"],
    [*TEXT, "--hidden", "6", "--bottleneck", "words", "--lm-epochs", "1"],
]

MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stem not in ("__main__", "__init__")
]
LOADED_WHILE = """
import importlib, sys
modules, trainings, *words = sys.argv[1:]
for name in eval(modules):
    importlib.import_module(name)
print(*sys.modules)
from aectl.cli import main
from aectl.models.model_file import load
from pathlib import Path
for number, options in enumerate(eval(trainings)):
    sys.argv = ["aectl", "train", "-q", "--epochs", "1", "--out", f"run-{number}"]
    sys.argv += ["--dataset", "digits:test"] * ("--dataset" not in options)
    sys.argv += ["--hidden", "8"] * ("--hidden" not in options) + options
    assert main() == 0
    load(Path(f"run-{number}"))
    late = ("tokenizers", "torch._dynamo", "torchvision", "tensorboard", "matplotlib")
    print(*options, "LOADED", *(name for name in late if name in sys.modules))
sys.argv = ["aectl", "encode", "-q", *words, "--out", "codes.csv"]
assert main() == 0
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torchvision"))])
"""


@pytest.fixture(scope="module")
def told(trained, scans, tmp_path_factory):
    """The lines that `LOADED_WHILE` prints."""
    folder = tmp_path_factory.mktemp("loaded")
    (folder / "lines.txt").write_text("one two three four five six\n" * 40)
    words = [repr(MODULES), repr(TRAININGS), trained("--epochs", "20"), scans]
    command = [sys.executable, "-c", LOADED_WHILE, *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_training_and_encoding_load_no_compiler_and_no_tokenizer_for_images(told):
    _, *lines, at_the_end = told
    assert at_the_end == "[]"
    loaded = [line.partition("LOADED")[2].split() for line in lines[1::2]]
    of_texts = sum("--length" in options for options in TRAININGS)
    of_images = len(TRAININGS) - of_texts
    assert loaded == [[]] * of_images + [["tokenizers"]] * of_texts


def test_no_module_loads_a_library_that_few_commands_need(told):
    """When it is imported; functions load these libraries when they are called."""
    loaded = told[0].split()
    late = ("plotly", "tokenizers", "torch._dynamo", "torchvision", "matplotlib", "tensorboard")
    assert "torch" in loaded
    assert not {*late} & {*loaded}
