"""The model file: what comes back out of it, and every kind of file that is refused."""

import ast
import copy
import dataclasses
import hashlib
import json
import os
import struct
import subprocess
import sys
import tracemalloc
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from aectl.config.model_options import ModelConfig
from aectl.config.shapes import TextShape
from aectl.errors import ModelFileError, OutputError
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.calibration import Calibration
from aectl.models.model_card import ModelCard
from aectl.models.model_file import (
    LARGEST_HEADER,
    load,
    load_calibration,
    read_card,
    resolve,
    save,
    tensor_shapes,
    verify,
)
from aectl.models.vocabulary import Vocabulary

SHAPE = (1, 4, 5)
TRAINING = {"options": {"dataset": "digits", "lr": 0.1}, "images": 7}
DENSE = ModelConfig(hidden=(6, 3), code_activation="sigmoid", dropout=0.25)
DESCRIPTION = {
    "format_version": 1,
    "kind": "autoencoder",
    "architecture": {
        "model": "autoencoder", "hidden": [6, 3], "activation": "relu",
        "code_activation": "sigmoid", "output_activation": "clamp", "tied": False,
        "dropout": 0.25, "shape": [1, 4, 5],
    },
    "preprocessing": {
        "channels": 1, "height": 4, "width": 5, "scaling": "0..255 to 0..1",
        "resize": "bilinear, antialiased", "transparency": "over white",
    },
    "classes": [],
    "training": TRAINING,
}  # fmt: skip
"""Version 1 of the format, written by hand: it stays readable."""

TENSORS = {
    "encoder.layers.0.weight": (6, 20), "encoder.layers.0.bias": (6,),
    "encoder.layers.1.weight": (3, 6), "encoder.layers.1.bias": (3,),
    "decoder.layers.0.weight": (6, 3), "decoder.layers.0.bias": (6,),
    "decoder.layers.1.weight": (20, 6), "decoder.layers.1.bias": (20,),
}  # fmt: skip

ARCHITECTURES = {
    "dense": Architecture(DENSE, SHAPE),
    "tied": Architecture(ModelConfig(hidden=(6, 3), tied=True, activation="tanh"), SHAPE),
    "conv": Architecture(ModelConfig(model="conv-autoencoder", hidden=(4, 3)), (3, 5, 7)),
    "classifier": Architecture(ModelConfig(model="classifier", hidden=(6,), dropout=0.5), SHAPE, 3),
    "logistic regression": Architecture(ModelConfig(model="classifier", hidden=()), SHAPE, 3),
    "classifier on dense": Architecture(
        ModelConfig(model="classifier", hidden=(4,)), SHAPE, 3, Architecture(DENSE, SHAPE)
    ),
    "classifier on conv": Architecture(
        ModelConfig(model="classifier", hidden=(4,)), (3, 5, 7), 3,
        Architecture(ModelConfig(model="conv-autoencoder", hidden=(4, 3)), (3, 5, 7)),
    ),
}  # fmt: skip
kinds = pytest.mark.parametrize("kind", ARCHITECTURES)


def saved(path, kind):
    """A network with random weights, its card, and the file that holds both."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES[kind]
    classes = ("a cat", "großer Hund", 'd"\n')[: architecture.classes]
    network, card = build_network(architecture), ModelCard(architecture, classes, TRAINING)
    save(path, network, card)
    return network, card


def forged(path, description=DESCRIPTION, tensors=None, **metadata):
    """A file written without aectl; a description that is a text stands in it as it is."""
    shapes = TENSORS if tensors is None else tensors
    arrays = {
        name: value if isinstance(value, np.ndarray) else np.full(value, 0.5, np.float32)
        for name, value in shapes.items()
    }
    text = description if isinstance(description, str) else json.dumps(description)
    save_file(arrays, path, {"aectl": text, **metadata})
    return path


def changed(*keys, to):
    """The description with one of its fields replaced."""
    description = copy.deepcopy(DESCRIPTION)
    place = description
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return description


def without(key):
    return {name: value for name, value in DESCRIPTION.items() if name != key}


def refusal(path):
    """The message with which `load` refuses a file."""
    with pytest.raises(ModelFileError) as caught:
        load(path)
    return str(caught.value)


@kinds
def test_weights_and_card_come_back_bit_for_bit(kind, tmp_path):
    network, card = saved(tmp_path / "m.safetensors", kind)
    again, card_again = load(tmp_path / "m.safetensors")
    before, after = network.state_dict(), again.state_dict()
    assert type(again) is type(network)
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert dataclasses.replace(card_again, weights_sha256=None) == card
    assert not again.training


@kinds
def test_a_loaded_network_computes_what_the_saved_one_did(kind, tmp_path):
    network, card = saved(tmp_path / "m.safetensors", kind)
    again, _ = load(tmp_path / "m.safetensors")
    x = torch.rand(3, *card.shape)
    assert torch.equal(network.eval()(x), again(x))
    assert {p.device.type for p in again.parameters()} == {"cpu"}
    assert all(p.requires_grad for p in again.parameters())


@kinds
def test_safetensors_itself_reads_the_file_and_its_metadata_is_json(kind, tmp_path):
    network, card = saved(tmp_path / "m.safetensors", kind)
    arrays = load_file(tmp_path / "m.safetensors")
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(arrays[name], value.numpy())
    with safe_open(tmp_path / "m.safetensors", framework="numpy") as file:
        described = json.loads(file.metadata()["aectl"])
    channels, height, width = card.shape
    assert set(described) == {*DESCRIPTION, "weights_sha256", "sha256"}
    assert described["format_version"] == 5
    assert described["kind"] == card.architecture.config.model
    assert described["preprocessing"] | {"channels": channels} == described["preprocessing"]
    assert (described["preprocessing"]["height"], described["preprocessing"]["width"]) == (
        height, width,
    )  # fmt: skip
    assert described["classes"] == list(card.classes)
    assert described["training"] == TRAINING


def test_the_digest_is_that_of_names_shapes_and_values(tmp_path):
    path = forged(tmp_path / "m.safetensors")
    found = hashlib.sha256()
    for name in sorted(TENSORS):
        shape = ", ".join(map(str, TENSORS[name]))
        found.update(f"{name} [{shape}]\n".encode() + struct.pack("<f", 0.5) * prod(TENSORS[name]))
    described = DESCRIPTION | {"weights_sha256": found.hexdigest()}
    assert verify(forged(path, described)) == (True, False)
    other = {**TENSORS, "decoder.layers.1.bias": np.full(20, 0.25, np.float32)}
    with pytest.raises(ModelFileError, match="not those that were saved"):
        verify(forged(path, described, other))
    with pytest.raises(ModelFileError, match="has no digest"):
        verify(forged(path))


@kinds
def test_what_was_saved_is_verified_until_a_bit_changes(kind, tmp_path):
    path = tmp_path / "m.safetensors"
    saved(path, kind)
    assert verify(path) == (True, True)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="weights are not those that were saved"):
        verify(path)


def test_no_bit_of_a_file_can_change_without_being_found(tmp_path):
    path = tmp_path / "m.safetensors"
    saved(path, "classifier on dense")
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    for bit in range(0, 8 * (8 + length), 11):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ModelFileError):
            verify(path)


def test_the_digest_of_the_description_is_that_of_the_text_before_it(tmp_path):
    path = tmp_path / "m.safetensors"
    saved(path, "classifier")
    with safe_open(path, framework="numpy") as file:
        text = file.metadata()["aectl"]
    described = json.loads(text)
    digest = described.pop("sha256")
    assert digest == hashlib.sha256(json.dumps(described).encode()).hexdigest()
    assert json.dumps(described | {"sha256": digest}) == text
    others = {
        "another class": {**described, "classes": ["a cat", "a dog", "b"], "sha256": digest},
        "no digest": described,
        "another place of the digest": {"sha256": digest, **described},
        "another digest": {**described, "sha256": "ab" * 32},
    }
    for other in others.values():
        save_file(load_file(path), path, {"aectl": json.dumps(other)})
        with pytest.raises(ModelFileError, match="description was changed"):
            verify(path)
    save_file(load_file(path), path, {"aectl": text})
    assert verify(path) == (True, True)


def test_a_tied_decoder_s_weights_stand_in_the_file_once(tmp_path):
    saved(tmp_path / "m.safetensors", "tied")
    assert tensor_shapes(tmp_path / "m.safetensors") == {
        "encoder.layers.0.weight": (6, 20), "encoder.layers.0.bias": (6,),
        "encoder.layers.1.weight": (3, 6), "encoder.layers.1.bias": (3,),
        "decoder.layers.0.bias": (6,), "decoder.layers.1.bias": (20,), "encoder.center": (20,),
    }  # fmt: skip


def test_a_file_of_version_1_written_by_hand_is_read(tmp_path):
    network, card = load(forged(tmp_path / "m.safetensors"))
    without = dataclasses.replace(DENSE, center=False)  # of which the file says nothing
    assert card == ModelCard(Architecture(without, SHAPE), (), TRAINING, format_version=1)
    assert card.trained_on == ("digits",)
    assert all((value == 0.5).all() for value in network.state_dict().values())


def test_saving_twice_writes_the_same_bytes_and_leaves_nothing_else_behind(tmp_path):
    network, card = saved(tmp_path / "a.safetensors", "dense")
    save(tmp_path / "b.safetensors", network, card)
    a, b = sorted(tmp_path.iterdir())
    assert (a.name, b.name) == ("a.safetensors", "b.safetensors")
    assert a.read_bytes() == b.read_bytes()


def test_a_file_that_cannot_be_written_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        saved(tmp_path / "missing" / "m.safetensors", "dense")


def test_a_run_folder_stands_for_the_model_in_it(tmp_path):
    _, card = saved(tmp_path / "model.safetensors", "dense")
    assert resolve(tmp_path) == tmp_path / "model.safetensors"
    assert read_card(tmp_path) == load(tmp_path)[1]
    assert dataclasses.replace(read_card(tmp_path), weights_sha256=None) == card
    assert set(tensor_shapes(tmp_path)) == {*TENSORS, "encoder.center"}


def test_the_card_is_read_without_torch(tmp_path):
    path = forged(tmp_path / "m.safetensors")
    program = (
        "import sys\nfrom pathlib import Path\nfrom aectl.models.model_file import read_card\n"
        "card = read_card(Path(sys.argv[1]))\n"
        "print([card.architecture.hidden, sorted({'torch', 'torchvision'} & set(sys.modules))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(done.stdout) == [(6, 3), []]


NO_FILES = {
    "a text file": (b"weights: 1, 2, 3\n", "not a .safetensors file"),
    "an empty file": (b"", "not a .safetensors file"),
    "a pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.", "not a .safetensors file"),
    "a header longer than the file": (b"\xff" * 8 + b"{}", "not a .safetensors file"),
    "a header that is no JSON": (b"\x02" + b"\0" * 7 + b"{!", "not a .safetensors file"),
}


@pytest.mark.parametrize(("content", "reason"), NO_FILES.values(), ids=NO_FILES)
def test_a_file_of_another_kind_is_refused_in_one_line(content, reason, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    said = refusal(path)
    assert reason in said
    assert str(path) in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("left", [4, 8, 100, -1])
def test_a_truncated_file_is_refused_in_one_line(left, tmp_path):
    whole = forged(tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / "m.safetensors"
    path.write_bytes(whole[:left])
    assert refusal(path) == f"{path} is not a model: not a .safetensors file"


def test_a_missing_file_and_a_folder_without_a_model_are_refused_by_name(tmp_path):
    assert refusal(tmp_path / "missing") == f"no model file {tmp_path / 'missing'}"
    assert refusal(tmp_path) == f"the folder {tmp_path} holds no model.safetensors"


def test_a_safetensors_file_of_somebody_else_is_refused_in_one_line(tmp_path):
    path = tmp_path / "m.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"w": np.zeros(3, np.float32)}, path, metadata)
        assert refusal(path) == f"{path} is a .safetensors file, but not a model of aectl"


CONV = {
    "model": "conv-autoencoder", "hidden": [4, 3], "activation": "relu",
    "code_activation": "relu", "output_activation": "clamp", "shape": [1, 4, 5],
}  # fmt: skip
CLASSIFIER = {"model": "classifier", "hidden": [6], "shape": [1, 4, 5], "classes": 3}

DESCRIPTIONS = {
    "no JSON": ("{'a': 1}", "not JSON"),
    "an empty text": ("", "not JSON"),
    "deeply nested lists": ("[" * 100_000, "not JSON"),
    "deeply nested objects": ('{"a":' * 50_000 + "1" + "}" * 50_000, "not JSON"),
    "a number of 5,000 digits": ('{"format_version": ' + "1" * 5_000 + "}", ""),
    "a list": ("[1]", "not a JSON object"),
    "null": ("null", "not a JSON object"),
    "no version": (without("format_version"), "format version"),
    "a newer version": (changed("format_version", to=6), "format version 6"),
    "a far newer version": (changed("format_version", to=10**9), "format version 1000000000"),
    "a version of 30 digits": (changed("format_version", to=10**30), "too large: 1000000"),
    "version 0": (changed("format_version", to=0), "format version"),
    "version true": (changed("format_version", to=True), "format version"),
    "version 1.0": (changed("format_version", to=1.0), "format version"),
    "version '1'": (changed("format_version", to="1"), "format version"),
    "a digest that is a number": (DESCRIPTION | {"weights_sha256": 5}, "digest"),
    "a digest of all that is a list": (DESCRIPTION | {"sha256": []}, "digest"),
    "a digest of another kind": (DESCRIPTION | {"weights_sha256": "ab" * 16}, "digest"),
    "an unknown field of all": (DESCRIPTION | {"head": 5}, "unknown fields: 'head'"),
    "a field given twice": ('{"format_version": 1, "format_version": 1}', "not JSON"),
    "a vocabulary of images": (DESCRIPTION | {"vocabulary": {}}, "vocabulary"),
    "no architecture": (without("architecture"), "architecture"),
    "an architecture that is a list": (changed("architecture", to=[1]), "architecture"),
    "an unknown field": (changed("architecture", "heads", to=8), "heads"),
    "a field of another section": (changed("architecture", "lr", to=0.1), "lr"),
    "a field whose name breaks the line": (changed("architecture", "a\nb", to=8), ""),
    "an unknown model": (changed("architecture", "model", to="transformer"), "transformer"),
    "a model that is a list": (changed("architecture", "model", to=["autoencoder"]), "--model"),
    "an unknown activation": (changed("architecture", "activation", to="eval"), "eval"),
    "an activation that is null": (changed("architecture", "activation", to=None), "--activation"),
    "a tied that is a text": (changed("architecture", "tied", to="no"), "--tied"),
    "no widths": (changed("architecture", "hidden", to=[]), "--hidden"),
    "widths that are null": (changed("architecture", "hidden", to=None), "--hidden"),
    "a million layers": (changed("architecture", "hidden", to=[1] * 1_000_000), "--hidden"),
    "a negative width": (changed("architecture", "hidden", to=[6, -3]), "--hidden"),
    "a width of zero": (changed("architecture", "hidden", to=[0, 3]), "--hidden"),
    "a huge width": (changed("architecture", "hidden", to=[10**12]), "--hidden"),
    "a width of 400 digits": (changed("architecture", "hidden", to=[10**400]), "hidden is no"),
    "a width that is a fraction": (changed("architecture", "hidden", to=[6.5, 3]), "--hidden"),
    "a width that is true": (changed("architecture", "hidden", to=[True, 3]), "--hidden"),
    "a width that is a list": (changed("architecture", "hidden", to=[[6], 3]), "--hidden"),
    "widths that break the line": (changed("architecture", "hidden", to="6\n\x1b[2Jx"), "--hidden"),
    "a k left open": (changed("architecture", "sparsity", to="topk"), "not set hidden or k"),
    "a k of 0": (changed("architecture", "k", to=0), "--k"),
    "a k of more units than there are": (changed("architecture", "k", to=10**6), "--k"),
    "an alpha beyond all numbers of units": (changed("architecture", "alpha", to=1e308), "--alpha"),
    "a bandwidth of 0": (changed("architecture", "bandwidth", to=0), "--bandwidth"),
    "a rate of NaN": (changed("architecture", "rate", to=float("nan")), "architecture.rate is no"),
    "a dropout of 1": (changed("architecture", "dropout", to=1.0), "--dropout"),
    "a dropout of NaN": (changed("architecture", "dropout", to=float("nan")), "dropout is no"),
    "a dropout of 400 digits": (changed("architecture", "dropout", to=10**400), "dropout is no"),
    "no shape": (changed("architecture", "shape", to=None), "shape"),
    "a shape of two sides": (changed("architecture", "shape", to=[4, 5]), "shape"),
    "a huge shape": (changed("architecture", "shape", to=[1, 10**9, 10**9]), "shape"),
    "a shape with a zero": (changed("architecture", "shape", to=[1, 0, 5]), "shape"),
    "a shape with a negative side": (changed("architecture", "shape", to=[1, -4, -5]), "shape"),
    "two channels": (changed("architecture", "shape", to=[2, 4, 5]), "shape"),
    "a shape of fractions": (changed("architecture", "shape", to=[1.0, 4.0, 5.0]), "shape"),
    "classes of an autoencoder": (changed("architecture", "classes", to=3), "classes"),
    "an encoder of an autoencoder": (changed("architecture", "encoder", to=CONV), "encoder"),
    "another kind": (changed("kind", to="classifier"), "kind"),
    "no kind": (without("kind"), "kind"),
    "no preprocessing": (without("preprocessing"), "preprocessing"),
    "another height": (changed("preprocessing", "height", to=28), "preprocessing"),
    "another scaling": (changed("preprocessing", "scaling", to="-1..1"), "preprocessing"),
    "not a list of classes": (changed("classes", to={}), "classes"),
    "classes that are numbers": (changed("classes", to=[1, 2]), "classes"),
    "more names than classes": (changed("classes", to=["a"]), "classes"),
    "no training": (without("training"), "trained"),
    "a training that is a text": (changed("training", to="yes"), "trained"),
}  # fmt: skip


@pytest.mark.parametrize(("description", "reason"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_description_that_is_not_one_of_ours_is_refused_in_one_line(
    description, reason, tmp_path
):
    path = forged(tmp_path / "m.safetensors", description)
    said = refusal(path)
    assert reason in said.removeprefix(str(path))
    assert said.startswith(str(path))
    assert len(said.splitlines()) == 1
    assert said.isprintable()
    with pytest.raises(ModelFileError):
        read_card(path)


def as_classifier(names=("a", "b", "c"), **architecture):
    return DESCRIPTION | {
        "kind": "classifier",
        "architecture": CLASSIFIER | architecture,
        "classes": list(names),
    }


ON_ITSELF = CLASSIFIER | {"encoder": CLASSIFIER}
CLASSIFIERS = {
    "a name twice": (as_classifier(["a", "b", "a"]), "the same name"),
    "fewer names than classes": (as_classifier(["a", "b"]), "2 classes for 3"),
    "no classes": (as_classifier([], classes=0), "0 classes"),
    "a negative number of classes": (as_classifier([], classes=-1), "-1 classes"),
    "a fraction of classes": (as_classifier(classes=3.0), "3.0 classes"),
    "a billion classes": (as_classifier(classes=10**9), "1000000000 classes"),
    "an encoder that is a classifier": (as_classifier(encoder=CLASSIFIER), "encoder"),
    "an encoder on an encoder": (as_classifier(encoder=ON_ITSELF), ""),
    "an encoder that is a number": (as_classifier(encoder=3), "architecture"),
    "an encoder of other images": (as_classifier(encoder=CONV | {"shape": [1, 9, 9]}), ""),
}  # fmt: skip


@pytest.mark.parametrize(("description", "reason"), CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_that_cannot_be_one_is_refused_in_one_line(description, reason, tmp_path):
    path = forged(tmp_path / "m.safetensors", description)
    said = refusal(path)
    assert reason in said.removeprefix(str(path))
    assert len(said.splitlines()) == 1
    with pytest.raises(ModelFileError):
        read_card(path)


def told(**fields):
    return changed("training", to=TRAINING | fields)


def with_options(**options):
    return told(options=options)


HALF = "\ud800"
DEEP = {"a": {"b": {"c": {"d": {"e": {"f": {"g": {}}}}}}}}
TRAININGS = {
    "options that are a number": (told(options=5), "options must be an object"),
    "options that are a list": (told(options=[]), "options must be an object"),
    "options that are null": (told(options=None), "options must be an object"),
    "a seed that is a list": (with_options(seed=[1]), "--seed"),
    "a seed that is a text": (with_options(seed="1"), "--seed"),
    "a seed that is true": (with_options(seed=True), "--seed"),
    "a rho that is a text": (with_options(rho="</script>"), "--rho"),
    "a rho of NaN": (with_options(rho=float("nan")), "training.options.rho is not a finite"),
    "a rho of infinity": (with_options(rho=float("inf")), "training.options.rho is not a finite"),
    "a rho that overflows": (json.dumps(with_options(rho=7)).replace("7", "1e999"), "finite"),
    "a dataset that is a number": (with_options(dataset=5), "--dataset"),
    "a dataset that is a list": (with_options(dataset=[["a"]]), "--dataset"),
    "epochs that are an object": (with_options(epochs={}), "--epochs"),
    "epochs of 400 digits": (with_options(epochs=10**400), "training.options.epochs is no"),
    "a sparsity that is null": (with_options(sparsity=None), "--sparsity"),
    "versions that are a number": (told(versions=5), "versions must be"),
    "versions that are a list": (told(versions=["1.0"]), "versions must be"),
    "a version that is a number": (told(versions={"torch": 2.1}), "versions must be"),
    "a command that is a list": (told(command=["rm"]), "command must be a string"),
    "images that are negative": (told(images=-1), "images must be a whole number"),
    "seconds that are a text": (told(seconds="1"), "seconds must be a number"),
    "guesses that are a text": (told(baselines="abc"), "baselines must be"),
    "guesses of a model of images": (told(baselines={"unigram": [3] * 5}), "baselines"),
    "half a character in the command": (told(command=HALF), "training.command has an unpaired"),
    "half a character in a name": (told(**{HALF: 1}), "unpaired surrogate"),
    "half a character in an option": (with_options(dataset=HALF), "unpaired surrogate"),
    "half a character in a class": (as_classifier(["a", "b", HALF]), "classes has an unpaired"),
    "what is nested too deep": (told(more=DEEP), "nested too deeply"),
    "a text without an end": (told(more="x" * 1_000_001), "1,000,001 characters"),
}  # fmt: skip


@pytest.mark.parametrize(("description", "reason"), TRAININGS.values(), ids=TRAININGS)
def test_what_is_said_of_the_training_has_its_type_or_is_refused_in_one_line(
    description, reason, tmp_path
):
    path = forged(tmp_path / "m.safetensors", description)
    with pytest.raises(ModelFileError) as caught:
        read_card(path)
    said = str(caught.value)
    assert reason in said
    assert said.startswith(f"{path}: ")
    assert len(said) < len(str(path)) + 400
    assert said.isprintable()


def test_more_that_is_said_of_the_training_is_kept(tmp_path):
    more = TRAINING | {"host": "a", "options": {"lr": 1, "an older option": [1, "b"]}}
    card = read_card(forged(tmp_path / "m.safetensors", changed("training", to=more)))
    assert card.training == more


def test_bytes_that_are_no_utf8_are_spelt_out_where_a_model_is_saved(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    architecture = ARCHITECTURES["classifier"]
    card = ModelCard(architecture, (name, "b", "c"), {"command": name})
    save(tmp_path / "m.safetensors", build_network(architecture), card)
    again = read_card(tmp_path / "m.safetensors")
    assert again.classes == ("file:caf%E9", "b", "c")
    assert again.training == {"command": "file:caf%E9"}


FORMATS = Path(__file__).parents[1] / "formats"
NEWER = ("3-conv", "3-shorter-text", "4-dense", "4-vectors", "5-dense")


@pytest.mark.parametrize("name", sorted(path.stem for path in FORMATS.iterdir()))
def test_a_file_of_each_format_version_stays_readable(name):
    path = FORMATS / f"{name}.safetensors"
    network, card = load(path)
    version = int(name[0])
    assert card.format_version == version
    assert verify(path) == (True, version > 1)
    assert card.training["options"]["model"] == card.architecture.kind
    assert (card.calibration is not None) == (name == "5-dense")
    assert card.training["versions"]["aectl"] == ("0.2.0" if name in NEWER else "0.1.0")
    if "shorter" in name:
        assert network.encode(torch.tensor([[4, 5, 6]])).text.shape == (1, 2)
    elif "text" in name:
        (tokens,) = card.vocabulary.encode(["the cat"])
        row = torch.tensor([(tokens + [0] * 5)[:5]])
        assert card.architecture.text == (5, len(card.vocabulary))
        made = network(row) if "classifier" in name else network.encode(row)
        assert made.shape == (1, 2 if "classifier" in name else 3)
    elif "vectors" in name:
        assert card.columns == ("a", "b", "c")
        assert network.scaling(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[-1.0, 0.0, 1.0]]
    else:
        assert network(torch.zeros(1, *card.shape)).shape[0] == 1
        assert card.trained_on == ("digits",)


def test_an_older_convolutional_model_keeps_its_dense_code():
    """The numbers are those that the version which wrote the file computed."""
    network, card = load(FORMATS / "3-conv.safetensors")
    assert card.architecture.config.bottleneck == "vector"
    image = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
    wanted = torch.tensor([[0.4505939, 0.4672091, 0.5386038, 0.4429106]])
    torch.testing.assert_close(network.encode(image), wanted)
    assert network(image).sum().item() == pytest.approx(20.2076376, rel=1e-5)


def test_a_calibration_of_format_version_5_stays_readable():
    card, tensors = (of(FORMATS / "5-dense.safetensors") for of in (read_card, load_calibration))
    assert card.calibration == Calibration(
        "mahalanobis", 0.05, 40, 40, ("good",), {"shape": [1, 8, 8]}
    )
    assert tensors["scores"].shape == (40,)
    assert (
        tensors["directions"].shape[1:] == tensors["mean"].shape == (card.architecture.code_size,)
    )


def test_each_format_version_describes_the_same_network():
    for kind in ("dense", "text", "text-classifier"):
        of_versions = [read_card(path) for path in sorted(FORMATS.glob(f"?-{kind}.safetensors"))]
        assert len({card.architecture for card in of_versions[-2:]}) == 1


def test_a_tensor_of_more_axes_than_numpy_has_is_refused(tmp_path):
    path = forged(tmp_path / "m.safetensors")
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header[BIAS]["shape"] = [1] * 64 + [3]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    for use in (read_card, verify, load):
        with pytest.raises(ModelFileError, match="has 65 dimensions"):
            use(path)


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "m.safetensors")
    assert "not a regular file" in refusal(tmp_path / "m.safetensors")


def swapped(name, value):
    return TENSORS | {name: value}


BIAS = "encoder.layers.1.bias"
WRONG_TENSORS = {
    "a missing tensor": ({n: s for n, s in TENSORS.items() if n != BIAS}, BIAS),
    "no tensor": ({}, "tensor"),
    "an extra tensor": (swapped("extra", (2,)), "extra"),
    "an extra tensor whose name breaks the line": (swapped("a\nb", (2,)), ""),
    "a longer bias": (swapped(BIAS, (4,)), BIAS),
    "a transposed weight": (swapped("encoder.layers.0.weight", (20, 6)), "encoder.layers.0.weight"),
    "a bias with an axis too many": (swapped(BIAS, (3, 1)), BIAS),
    "float64": (swapped(BIAS, np.zeros(3)), "F64"),
    "float16": (swapped(BIAS, np.zeros(3, np.float16)), "F16"),
    "integers": (swapped(BIAS, np.zeros(3, np.int64)), "I64"),
    "booleans": (swapped(BIAS, np.zeros(3, bool)), "BOOL"),
}


@pytest.mark.parametrize(("tensors", "reason"), WRONG_TENSORS.values(), ids=WRONG_TENSORS)
def test_tensors_that_do_not_fit_the_description_are_refused_in_one_line(tensors, reason, tmp_path):
    path = forged(tmp_path / "m.safetensors", tensors=tensors)
    said = refusal(path)
    assert reason in said.removeprefix(str(path))
    assert said.startswith(str(path))
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_finite_numbers_are_refused(value, tmp_path):
    bias = np.array([0, value, 0], np.float32)
    said = refusal(forged(tmp_path / "m.safetensors", tensors=swapped(BIAS, bias)))
    assert f"'{BIAS}' contains values that are not finite" in said


def test_a_header_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    path = forged(tmp_path / "m.safetensors", padding="x" * LARGEST_HEADER)
    tracemalloc.start()
    said = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "its header takes" in said
    assert peak < 2**20


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (swapped("extra", (2,)), "tensor 'extra' should be absent and is (2,)"),
        ({n: s for n, s in TENSORS.items() if n != BIAS}, f"'{BIAS}' should be (3,) and is absent"),
        (swapped(BIAS, (4,)), f"tensor '{BIAS}' should be (3,) and is (4,)"),
    ],
)
def test_a_tensor_that_does_not_fit_is_told_with_what_it_should_be(tensors, said, tmp_path):
    assert refusal(forged(tmp_path / "m.safetensors", tensors=tensors)).endswith(said)


def test_a_network_too_large_for_any_machine_is_refused_before_it_is_built(tmp_path):
    for architecture in (
        CONV | {"hidden": [10**6, 10**6], "shape": [3, 4096, 4096]},
        CONV | {"model": "autoencoder", "hidden": [10**6] * 32, "shape": [3, 4096, 4096]},
    ):
        described = DESCRIPTION | {
            "kind": architecture["model"],
            "architecture": architecture,
            "preprocessing": DESCRIPTION["preprocessing"]
            | {"channels": 3, "height": 4096, "width": 4096},
        }
        assert "tensor" in refusal(forged(tmp_path / "m.safetensors", described))


WORDS = Vocabulary.learnt([], 300)
VECTOR = Architecture(
    ModelConfig(model="text-autoencoder", hidden=(6, 3)), TextShape(9, len(WORDS))
)
OF_TEXTS = {
    "vector": VECTOR,
    "text": Architecture(
        ModelConfig(model="text-autoencoder", hidden=(6,), bottleneck="text", ratio=0.3),
        TextShape(9, len(WORDS)),
    ),
    "classifier": Architecture(
        ModelConfig(model="classifier", hidden=(4,)), TextShape(9, len(WORDS)), 2, VECTOR
    ),
}  # fmt: skip


def saved_of_texts(path, kind):
    torch.manual_seed(0)
    architecture = OF_TEXTS[kind]
    card = ModelCard(architecture, ("a", "b")[: architecture.classes], TRAINING, None, WORDS)
    network = build_network(architecture)
    save(path, network, card)
    return network, card


@pytest.mark.parametrize("kind", OF_TEXTS)
def test_a_model_of_text_and_its_vocabulary_come_back(kind, tmp_path):
    network, card = saved_of_texts(tmp_path / "m.safetensors", kind)
    again, card_again = load(tmp_path / "m.safetensors")
    before, after = network.state_dict(), again.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert dataclasses.replace(card_again, weights_sha256=None) == card
    with safe_open(tmp_path / "m.safetensors", framework="numpy") as file:
        described = json.loads(file.metadata()["aectl"])
    assert described["preprocessing"]["length"] == 9
    assert described["vocabulary"]["pieces"] == list(WORDS.pieces)


OTHERS = {
    "no vocabulary": (("vocabulary",), None, "vocabulary"),
    "a vocabulary of another size": (
        ("vocabulary", "pieces"), [*WORDS.pieces, "zz"], "260 tokens, its network 259",
    ),
    "no tokens": (("architecture", "tokens"), 0, "0 tokens"),
    "tokens that are no number": (("architecture", "tokens"), "x", "'x' tokens"),
    "a billion tokens": (("architecture", "tokens"), 10**9, "1000000000 tokens"),
    "the shape of an image": (("architecture", "shape"), [1, 9, 9], "no shape of images"),
    "a length that is not the network's": (("preprocessing", "length"), 8, "preprocessing"),
    "an encoder through text": (("architecture", "encoder", "bottleneck"), "text", ""),
    "an encoder of other tokens": (("architecture", "encoder", "tokens"), 300, "encoder"),
}  # fmt: skip


@pytest.mark.parametrize(("keys", "to", "reason"), OTHERS.values(), ids=OTHERS)
def test_a_model_of_text_that_cannot_be_one_is_refused_in_one_line(keys, to, reason, tmp_path):
    path = tmp_path / "m.safetensors"
    _, card = saved_of_texts(path, "classifier")
    description = json.loads(json.dumps(card.to_json()))
    place = description
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    said = refusal(forged(path, description, load_file(path)))
    assert reason in said.removeprefix(str(path))
    assert len(said.splitlines()) == 1
