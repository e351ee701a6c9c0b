"""The functions of the package against what the commands write, and what importing it loads."""

import doctest
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file

import aectl as package
from aectl.cli.app import COMMANDS
from aectl.errors import ConfigError, DataError, ModelFileError
from aectl.verbs.input_options import InputOptions


def test_encode_gives_the_values_that_the_command_writes(aectl, dense, scans, tmp_path):
    aectl("encode", dense, scans, "--out", tmp_path / "t.parquet")
    table = polars.read_parquet(tmp_path / "t.parquet")
    batches = list(package.encode(dense, str(scans), batch_size=50))
    assert [path for batch in batches for path in batch.paths] == table["path"].to_list()
    code = np.concatenate([batch.code for batch in batches])
    assert code.dtype == np.float32
    assert np.array_equal(code, table.drop("path").to_numpy())


def test_encode_takes_the_options_of_the_command(dense, scans):
    (batch,) = package.encode(
        dense, [str(scans)], normalize="l2", dtype="float16", include=["*1*.png"],
        label_from_folder=True,
    )  # fmt: skip
    assert batch.code.dtype == np.float16
    assert np.linalg.norm(batch.code.astype(float), axis=1) == pytest.approx(1, abs=1e-2)
    assert all("1" in path for path in batch.paths)
    assert set(batch.labels) == {scans.name}


def test_inputs_that_cannot_be_read_are_passed_to_a_function(dense, scans, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    bad = []
    inputs = [str(tmp_path / "bad.png"), str(scans)]
    encoded = package.encode(dense, inputs, on_bad=lambda path, reason: bad.append(path))
    assert sum(len(batch.paths) for batch in encoded) == len(list(scans.iterdir()))
    assert bad == [str(tmp_path / "bad.png")]


@pytest.mark.parametrize("name", ["encode", "detect", "reconstruct", "evaluate", "classify"])
def test_an_empty_list_is_not_the_test_split(dense, classifier, name):
    model = classifier if name == "classify" else dense
    with pytest.raises(ConfigError, match="the list of inputs is empty"):
        getattr(package, name)(model, [])


def test_an_encoding_can_be_iterated_over_again(dense, scans):
    encoding = package.encode(dense, str(scans))
    first, second = (np.concatenate([batch.code for batch in encoding]) for _ in range(2))
    assert np.array_equal(first, second)


def test_classify_gives_the_classes_that_the_command_writes(aectl, classifier, scans, tmp_path):
    aectl("classify", classifier, scans, "--top-k", "2", "--out", tmp_path / "t.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    classification = package.classify(classifier, str(scans), top_k=2)
    predicted = [
        [classification.classes[number] for number in numbers]
        for result in classification
        for numbers in result.predictions
    ]
    assert predicted == [[row["prediction"], row["prediction_2"]] for row in rows]


def test_train_gives_the_weights_of_the_command_and_prints_nothing(aectl, tmp_path, capfdbinary):
    options = ["--dataset", "digits", "--epochs", "2", "--hidden", "8", "--sparse"]
    assert aectl("train", *options, "--out", "a").status == 0
    threads, rows = torch.get_num_threads(), []
    trained = package.train(
        "b", dataset="digits", epochs=2, hidden=[8], sparse=True, on_epoch=rows.append
    )
    assert capfdbinary.readouterr() == (b"", b"")
    assert trained.model == Path("b/model.safetensors")
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in "ba")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert trained.metrics == rows
    assert torch.get_num_threads() == threads
    assert {path.name for path in Path("a").iterdir()} == {
        path.name for path in Path("b").iterdir()
    }


def test_train_takes_text_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lines.txt").write_text("the cat sat\n" * 30)
    trained = package.train(
        model="text-autoencoder", dataset="lines.txt", epochs=1, hidden="4,3", vocabulary=300
    )
    assert trained.folder.parent == Path("runs")
    (batch,) = package.encode(trained.model, "lines.txt")
    assert batch.code.shape == (30, 3)


@pytest.mark.parametrize(
    "options",
    [{"dataset": "no such folder"}, {"rho": 2}, {"sparse": 1}, {"datset": "digits"}, {"k": 3}],
)
def test_train_refuses_wrong_options_and_leaves_nothing(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, DataError)):
        package.train("run", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda model, _: package.encode(model, "no such folder/"), DataError),
        (lambda model, _: package.encode(model, layer=9), ConfigError),
        (lambda model, _: package.classify(model), ModelFileError),
        (lambda model, scans: package.encode(model, scans, absolute=True, relative_to="."),
         ConfigError),
        (lambda _, scans: package.encode(scans), ModelFileError),
    ],
)  # fmt: skip
def test_wrong_use_is_an_exception_of_the_package(dense, scans, call, error):
    with pytest.raises(error):
        list(call(dense, str(scans)))


def test_each_argument_has_the_name_of_an_option_of_its_command():
    for name in ("encode", "classify", "detect", "evaluate", "reconstruct", "train"):
        command = COMMANDS["eval" if name == "evaluate" else name]
        options = set(inspect.signature(command).parameters)
        own = set(inspect.signature(getattr(package, name)).parameters) - {"model", "options"}
        called_back = {"on_bad", "on_remark", "skipped", "notice", "warning", "stdin", "on_epoch"}
        own -= called_back
        of_inputs = InputOptions.__annotations__.keys() - called_back
        given = own if name == "train" else own | of_inputs
        if name == "reconstruct":  # which shows neither labels nor paths
            given -= {"label_from_folder", "relative_to", "absolute"}
        if name == "evaluate":  # whose inputs are given by --dataset, and labels found by need
            given -= {"inputs", "label_from_folder"}
        assert given <= options


def write_folder_of_sae_lens(folder):
    """One of 3 features and 4 units."""
    folder.mkdir()
    config = {"architecture": "standard", "d_in": 3, "d_sae": 4, "l1_coefficient": 0.1}
    (folder / "cfg.json").write_text(json.dumps(config))
    shapes = {"W_enc": (3, 4), "b_enc": (4,), "W_dec": (4, 3), "b_dec": (3,)}
    tensors = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "sae_weights.safetensors")


@pytest.mark.parametrize("name", [None, *package.__all__])
def test_the_example_in_each_docstring_runs(name, dense, classifier, scans, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(dense / "model.safetensors", "model.safetensors")
    shutil.copy(classifier / "model.safetensors", "classifier.safetensors")
    Path("photos").mkdir()
    for number in range(3):
        shutil.copy(scans / f"{number:03}.png", f"photos/{number}.png")
    write_folder_of_sae_lens(Path("sae"))
    text = package.__doc__ if name is None else inspect.getdoc(getattr(package, name))
    example = doctest.DocTestParser().get_doctest(text, {"aectl": package}, str(name), None, 0)
    assert doctest.DocTestRunner().run(example) == (0, len(example.examples))
    assert example.examples


@pytest.mark.parametrize("verb", ["encode", "classify", "reconstruct"])
def test_results_of_every_function_have_the_paths_and_labels_of_their_rows(
    verb, dense, classifier, scans
):
    model = classifier if verb == "classify" else dense
    results = list(getattr(package, verb)(model, str(scans), label_from_folder=True))
    assert len(results) == 2
    paths = [path for result in results for path in result.paths]
    assert paths == [str(path) for path in sorted(scans.iterdir())]
    assert [label for result in results for label in result.labels] == [scans.name] * 360


def test_results_of_text_have_the_paths_and_labels_of_their_rows(trained, tmp_path):
    lines = tmp_path / "lines.txt"
    lines.write_text("the cat sat\n" * 30)
    model = trained(
        "--model", "text-autoencoder", "--dataset", str(lines), "--epochs", "1", "--hidden", "4,3",
        "--vocabulary", "300",
    )  # fmt: skip
    (result,) = package.reconstruct(model, str(lines), count=2)
    assert result.paths == [f"{lines}:1", f"{lines}:2"]
    assert result.labels == [None, None]
    assert result.original == ["the cat sat"] * 2


def test_importing_the_package_loads_nothing_heavy():
    code = "import aectl, sys; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "PIL", "typer", "rich", "polars", "safetensors", "sklearn"}
    assert not heavy & set(done.stdout.split())
    assert "aectl" in done.stdout.split()


@pytest.mark.parametrize("kind", ["dense", "classifier"])
def test_evaluate_gives_the_metrics_that_the_command_prints(aectl, kind, request):
    model = request.getfixturevalue(kind)
    (printed,) = json.loads(aectl("eval", model, "--dataset", "digits:test", "--json").out)
    measured = package.evaluate(model, "digits:test")
    assert json.loads(json.dumps(measured)) == printed


def test_reconstruct_gives_the_pictures_that_the_command_writes(aectl, dense, scans, tmp_path):
    aectl("reconstruct", dense, scans, "--each", "made", "--count", "300")
    results = list(package.reconstruct(dense, str(scans), count=300))
    assert sum(len(result.paths) for result in results) == 300
    for result in results:
        for path, image in zip(result.paths, result.reconstruction, strict=True):
            written = np.asarray(Image.open(next((tmp_path / "made").rglob(Path(path).name))))
            assert np.array_equal(written, np.round(image[0] * 255))


def test_evaluate_refuses_what_has_no_effect(dense):
    with pytest.raises(ConfigError, match="--skip-unknown has no effect"):
        package.evaluate(dense, "digits", skip_unknown=True)
