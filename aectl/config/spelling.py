"""Names and other text as they are written: `spelt` where they are read again, in tables, options
and model files, and `spelt_out` where they are shown.

A name that is not UTF-8 is written as `file:` and its bytes in percent-encoding (RFC 3986), such as
`file:caf%E9.png`; one that begins with `file:` itself, or as a formula would, begins with `./`.
Other text in CSV that a spreadsheet would compute, or that begins with an apostrophe, has one more
before it. Other formats hold text as it is.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

MARK = "file:"

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With what a cell begins that a spreadsheet computes, or may: the last four are the first four as
wide as a letter of Japanese (OWASP, CSV injection).
"""


NUMBER = re.compile(r"[+-]([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""Begins as a formula does, and is none."""


def spelt(name: str) -> str:
    """The name as it stands in a table; one that is UTF-8 stays as it is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return MARK + quote(_bytes(name), safe="/:")
    return name


def from_table(name: str) -> str:
    """The name of the file that a table calls so, as Python spells it."""
    if not name.startswith(MARK):
        return name
    return unquote_to_bytes(name[len(MARK) :]).decode("utf-8", "surrogateescape")


def as_given(text: str) -> str:
    """The text of which `spelt` has made this one; any other text stays as it is."""
    given = from_table(text)
    return given if given != text and spelt(given) == text else text


def all_spelt(value: Any) -> Any:
    """A JSON value whose texts are all `spelt`."""
    if isinstance(value, str):
        return value if value.isascii() else spelt(value)
    if isinstance(value, Mapping):
        return {all_spelt(key): all_spelt(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [all_spelt(part) for part in value]
    return value


def spelt_out(line: str) -> str:
    """A line to be shown: its control characters are written as Python writes them, and bytes that
    are not UTF-8 as `\\xe9`.
    """
    text = line if line.isascii() else _bytes(line).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def guarded(path: str) -> str:
    """The path, with `./` before it where it begins as a formula or an encoded name would."""
    return f"./{path}" if path.startswith((*FORMULA, MARK)) else path


def cell(text: str) -> str:
    """Text, but for paths, as it stands in CSV; without one apostrophe at its start, it is back."""
    if not text.startswith((*FORMULA, "'")) or NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def _bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which no file's name has
        return name.encode("utf-8", "surrogatepass")
