"""Strict reading of the JSON in a model file, so that no later code has to check it again.

Every value is bounded, and the text ends with its own digest.
"""

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from aectl.config.spelling import all_spelt
from aectl.errors import ModelFileError

LONGEST_TEXT = 1_000_000
"""Characters of a string."""

MOST_ITEMS = 1_000_000
"""Items of a list or an object."""

DEEPEST = 8
"""Levels of nested lists and objects."""

LARGEST = 2**63 - 1
"""The largest whole number; other numbers must be finite."""


DIGEST = "sha256"
"""The field that ends a description: the SHA-256 of the text without it."""


def parse(text: str) -> dict[str, Any]:
    """Parses a JSON object.

    Raises ModelFileError for anything else, and for values that aectl never writes: NaN, a field
    given twice, an unpaired surrogate, or one beyond the limits above.
    """
    try:
        value = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise ModelFileError("its description is not JSON") from None
    if not isinstance(value, dict):
        raise ModelFileError("its description is not a JSON object")
    if flaw := _flaw(value, 1):
        raise ModelFileError(flaw.removeprefix("."))
    return value


def write(described: Mapping[str, Any]) -> str:
    """The JSON that `parse` reads, of at least one field, with its digest at the end.

    Names that are not UTF-8, which Python holds with surrogates, are `spelt`.
    """
    text = json.dumps(all_spelt(described), allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text[:-1]}, "{DIGEST}": "{digest}"}}'


def is_as_written(text: str) -> bool:
    """Whether the digest at the end of a description matches the text before it."""
    end = re.search(rf', "{DIGEST}": "([0-9a-f]{{64}})"}}\Z', text)
    if end is None:
        return False
    return hashlib.sha256(f"{text[: end.start()]}}}".encode()).hexdigest() == end[1]


def refuse_unknown(described: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Raises ModelFileError for unknown fields of an object, which the message calls `what`."""
    if unknown := sorted(map(repr, described.keys() - set(known))):
        raise ModelFileError(f"{what} has unknown fields: {', '.join(unknown)}")


def shown(value: object) -> str:
    """The repr of a value for a message, shortened if it is long."""
    said = repr(value)
    return said if len(said) <= 80 else f"{said[:80]}..."


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is given twice")
    return found


def _flaw(value: object, depth: int) -> str:
    """Names the value beyond the limits, within this one, and the reason; "" if there is none."""
    if isinstance(value, str):
        return _flaw_of_text(value)
    if isinstance(value, int | float):
        bounded = abs(value) <= LARGEST if isinstance(value, int) else math.isfinite(value)
        return "" if bounded else f" is not a finite number, or is too large: {shown(value)}"
    if not isinstance(value, list | dict):
        return ""
    if depth > DEEPEST:
        return " is nested too deeply"
    if len(value) > MOST_ITEMS:
        return f" has {len(value):,} items"
    if isinstance(value, list):
        return next(filter(None, (_flaw(part, depth + 1) for part in value)), "")
    for name, part in value.items():
        if flaw := _flaw_of_text(name):
            return f"a name{flaw}"
        if flaw := _flaw(part, depth + 1):
            return f".{shown(name)[1:-1]}{flaw}"
    return ""


def _flaw_of_text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        return f" has {len(text):,} characters"
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        return f" has an unpaired surrogate: {shown(text)}"
    return ""
