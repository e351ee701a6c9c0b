"""The JSON of a model file: what is refused, the limits, and the digest at its end."""

import hashlib
import json
import os

import pytest

from aectl.errors import ModelFileError
from aectl.models import metadata


def nested(levels):
    """A JSON text of lists within lists, in an object."""
    return '{"a": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


REFUSED = {
    "no JSON": ("{", "is not JSON"),
    "a list": ("[]", "is not a JSON object"),
    "a field twice": ('{"a": 1, "a": 1}', "is not JSON"),
    "an inner field twice": ('{"a": [{"b": 1, "b": 2}]}', "is not JSON"),
    "NaN": ('{"a": NaN}', "a is not a finite number"),
    "an infinity": ('{"a": {"b": -Infinity}}', "a.b is not a finite number"),
    "a number beyond floats": ('{"a": 1e999}', "a is not a finite number"),
    "a number of 65 bits": ('{"a": 9223372036854775808}', "a is not a finite number"),
    "an unpaired surrogate": ('{"a": "\\ud800"}', "a has an unpaired surrogate"),
    "one in a name": ('{"\\udfff": 1}', "a name has an unpaired surrogate"),
    "nine levels": (nested(9), "is nested too deeply"),
    "a million levels": (nested(10**6), "is not JSON"),
    "a long string": (json.dumps({"a": "b" * 1_000_001}), "a has 1,000,001 characters"),
    "a long list": (json.dumps({"a": [0] * 1_000_001}), "a has 1,000,001 items"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_aectl_never_writes_is_refused_by_name(text, reason):
    with pytest.raises(ModelFileError) as caught:
        metadata.parse(text)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, True, None, "ü\U0001f600", {"b": []}]}, {"a": 2**63 - 1},
        {"a": -(2**63) + 1}, {"a": 1.7e308}, {"a": "b" * 1_000_000}, json.loads(nested(8)),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_values_within_the_limits_come_back(value):
    text = metadata.write(value)
    assert json.loads(text) == metadata.parse(text)
    assert metadata.parse(text) == {**value, "sha256": json.loads(text)["sha256"]}


def test_the_digest_is_that_of_the_text_without_it():
    text = metadata.write({"a": [1, "é"]})
    before, _, digest = text.removesuffix('"}').partition(', "sha256": "')
    assert hashlib.sha256(f"{before}}}".encode()).hexdigest() == digest
    assert metadata.is_as_written(text)


@pytest.mark.parametrize("place", range(len(metadata.write({"a": 1, "b": "c"}))))
def test_every_change_of_the_text_is_noticed(place):
    text = metadata.write({"a": 1, "b": "c"})
    changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
    assert not metadata.is_as_written(changed)


def test_a_name_that_is_not_utf_8_is_written_as_utf_8():
    assert json.loads(metadata.write({"a": os.fsdecode(b"\xe9")}))["a"] == "file:%E9"


def test_unknown_fields_are_named():
    metadata.refuse_unknown({"a": 1}, ("a", "b"), "it")
    with pytest.raises(ModelFileError, match="it has unknown fields: 'c', 'd'"):
        metadata.refuse_unknown({"d": 1, "a": 1, "c": 1}, ("a",), "it")


@pytest.mark.parametrize("value", ["a" * 10**6, list(range(10**5)), {"a": "b" * 1000}])
def test_a_long_value_is_shortened_in_a_message(value):
    assert len(metadata.shown(value)) < 100
    assert metadata.shown(value).startswith(repr(value)[:50])
