"""The calibration in a model file: what comes back out of it, and what is refused."""

import dataclasses
import json
import struct

import pytest
import torch
from safetensors.numpy import load_file, save_file

from aectl.config.model_options import ModelConfig
from aectl.errors import ModelFileError
from aectl.models import metadata
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.calibration import Calibration
from aectl.models.model_card import ModelCard
from aectl.models.model_file import load, load_calibration, read_card, save, verify

ARCHITECTURE = Architecture(ModelConfig(hidden=(3,)), (1, 4, 5))
CALIBRATION = Calibration("neighbours", 0.05, 2, 3, ("good é", "b"), {"shape": [1, 4, 5]})
TENSORS = {"scores": torch.tensor([0.5, 0.75]), "codes": torch.ones(3, 3)}


@pytest.fixture
def model(tmp_path):
    card = ModelCard(ARCHITECTURE, calibration=CALIBRATION)
    save(tmp_path / "m.safetensors", build_network(ARCHITECTURE), card, calibrated=TENSORS)
    return tmp_path / "m.safetensors"


def forged(path, change):
    """The file with its description changed, of which the digest is written anew."""
    tensors = load_file(path)
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        described = json.loads(json.loads(file.read(length))["__metadata__"]["aectl"])
    del described[metadata.DIGEST]
    change(described, tensors)
    save_file(tensors, path, {"aectl": metadata.write(described)})
    return path


def test_it_comes_back_as_it_was(model):
    network, card = load(model)
    assert card.calibration == CALIBRATION
    again = load_calibration(model)
    assert again.keys() == TENSORS.keys()
    assert all(torch.equal(again[name], TENSORS[name]) for name in TENSORS)
    assert not [name for name in network.state_dict() if "calibration" in name]


def test_its_tensors_are_verified(model):
    assert verify(model) == (True, True)
    content = model.read_bytes()
    model.write_bytes(content.replace(struct.pack("<f", 0.75), struct.pack("<f", 0.875)))
    load(model)
    with pytest.raises(ModelFileError, match="not those that were saved"):
        verify(model)


def test_a_model_without_one_has_no_trace_of_it(model):
    save(model, build_network(ARCHITECTURE), ModelCard(ARCHITECTURE))
    assert "calibration" not in read_card(model).to_json()
    assert load_calibration(model) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("score", 1),
        ("alarm_rate", 0.0),
        ("alarm_rate", 1),
        ("n", 0),
        ("n", True),
        ("fitted_to", -1),
        ("on", "good"),
        ("on", [1]),
        ("size", []),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(model, field, value):
    forged(model, lambda described, _: described["calibration"].update({field: value}))
    with pytest.raises(ModelFileError, match=rf"calibration\.{field} must be"):
        read_card(model)


@pytest.mark.parametrize("described", [[], {"other": 1}, "x"])
def test_what_is_no_calibration_is_refused(model, described):
    forged(model, lambda whole, _: whole.update({"calibration": described}))
    with pytest.raises(ModelFileError, match="its calibration"):
        read_card(model)


def test_a_calibration_of_inputs_of_another_size_is_refused_with_a_way_out():
    other = dataclasses.replace(CALIBRATION, size={"shape": [1, 8, 8]})
    CALIBRATION.refuse_other_size({"shape": (1, 4, 5)})
    with pytest.raises(ModelFileError) as caught:
        other.refuse_other_size({"shape": (1, 4, 5)})
    assert str(caught.value) == (
        "it is calibrated on inputs with shape: [1, 8, 8], and takes those with shape: [1, 4, 5]:"
        " calibrate it again (aectl detect --calibrate)"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda described, tensors: tensors.pop("calibration.scores"),
        lambda described, tensors: described["calibration"].update(n=3),
        lambda described, tensors: described.pop("calibration"),
        lambda described, tensors: (
            described.pop("calibration"), tensors.pop("calibration.scores")
        ),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_it_are_refused(model, change):
    forged(model, change)
    with pytest.raises(ModelFileError, match="its calibration does not fit its tensors"):
        load(model)


def test_numbers_that_are_not_finite_are_refused(model):
    forged(model, lambda _, tensors: tensors["calibration.codes"].fill(float("nan")))
    load(model)
    with pytest.raises(ModelFileError, match=r"calibration\.codes' contains values that are not"):
        load_calibration(model)
