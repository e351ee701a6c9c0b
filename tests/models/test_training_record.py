"""The record of the training in a model file."""

import os

import pytest

from aectl.errors import ModelFileError
from aectl.models import training_record

SOUND = {
    "command": "aectl train", "options": {"lr": 0.1, "hidden": [3]}, "images": 0, "seconds": 1,
    "versions": {"torch": "2"}, "baselines": {"most": [1, 2]}, "held_out": ["0f"],
    "of a later version": [None],
}  # fmt: skip


def test_known_fields_are_kept_and_unknown_ones_too():
    assert training_record.checked(SOUND) == SOUND
    assert training_record.checked({}) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("command", 1), ("options", []), ("images", -1), ("images", True), ("images", 1.0),
        ("seconds", -0.1), ("seconds", "1"), ("seconds", True), ("versions", {"torch": 2}),
        ("baselines", {"most": [-1]}), ("baselines", {"most": 1}), ("baselines", []),
        ("options", {"lr": "0.1"}), ("options", {"hidden": "a"}), ("threads", None),
        ("held_out", "a"), ("held_out", [1]), ("continued", "a"), ("continued", [{}]),
        ("continued", {"a": []}), ("unfinished", ["a"]), ("unfinished", 3),
    ],
)  # fmt: skip
def test_a_known_field_of_another_type_is_refused_by_name(field, value):
    with pytest.raises(ModelFileError, match=f"training.{field}"):
        training_record.checked({**SOUND, field: value})


@pytest.mark.parametrize("value", [None, [], "a"])
def test_something_else_is_no_record(value):
    with pytest.raises(ModelFileError, match="no record"):
        training_record.checked(value)


def test_names_that_are_not_utf_8_are_as_python_has_them():
    options = {"dataset": "file:caf%E9", "include": ["file:%E9", "plain"]}
    found = training_record.checked({"options": options})["options"]
    name = os.fsdecode(b"\xe9")
    assert found == {"dataset": os.fsdecode(b"caf\xe9"), "include": [name, "plain"]}
