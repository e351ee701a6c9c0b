"""Names and other text as they are written: `spelt` in tables, options and model files, which are
read again, and `spelt_out` in messages.

A name that is not UTF-8 is written as `file:` and its bytes in percent-encoding (RFC 3986), such as
`file:caf%E9.png`. A name that starts with `file:`, or with a character that starts a formula, gets
`./` before it. In CSV, other text that a spreadsheet would compute, or that starts with an
apostrophe, gets an apostrophe before it. Other formats hold text unchanged. `file://` starts a
URL, which stays as it is.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

MARK = "file:"

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of cells that a spreadsheet may compute; the last four are the full-width forms
of the first four (OWASP, CSV injection).
"""


NUMBER = re.compile(r"[+-]([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""A number, which starts like a formula but is none."""


def spelt(name: str) -> str:
    """The name as it is written in a table; a UTF-8 name stays unchanged."""
    return name if is_utf_8(name) else MARK + quote(_bytes(name), safe="/:")


def from_table(name: str) -> str:
    """The name of a file, as Python represents it, from its name in a table."""
    if not _is_marked(name):
        return name
    return unquote_to_bytes(name[len(MARK) :]).decode("utf-8", "surrogateescape")


def as_given(text: str) -> str:
    """The inverse of `spelt`; text that `spelt` does not produce stays unchanged."""
    given = from_table(text)
    return given if given != text and spelt(given) == text else text


def all_spelt(value: Any) -> Any:
    """A JSON value in which all strings are `spelt`."""
    if isinstance(value, str):
        return value if value.isascii() else spelt(value)
    if isinstance(value, Mapping):
        return {all_spelt(key): all_spelt(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [all_spelt(part) for part in value]
    return value


def spelt_out(line: str) -> str:
    """A line for a message: control characters are escaped as in Python, and bytes that are not
    UTF-8 as `\\xe9`.
    """
    text = line if line.isascii() else _bytes(line).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def first_of(names: Iterable[str], most: int) -> str:
    """The first names, at most so many, separated by commas, for a message."""
    listed = list(names)
    return ", ".join(listed[:most]) + ", ..." * (len(listed) > most)


def is_utf_8(text: str) -> bool:
    """Whether text is UTF-8; names of files and strings in JSON may hold unpaired surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shell_word(text: str) -> str:
    """Text as a word of a shell's command line, printable: as `$'run\\xe9'` if it would not be.

    bash, zsh and ksh read such words (ANSI-C quoting).
    """
    if spelt_out(text) == text:
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{spelt_out(escaped)}'"


def guarded(path: str) -> str:
    """The path, with `./` before it if it starts like a formula or an encoded name."""
    return f"./{path}" if path.startswith(FORMULA) or _is_marked(path) else path


def cell(text: str) -> str:
    """Text other than a path as it is written in CSV: with an apostrophe before it, if needed."""
    if not text.startswith((*FORMULA, "'")) or NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def _is_marked(name: str) -> bool:
    """Whether a name starts like an encoded one, and not like a URL."""
    return name.startswith(MARK) and not name.startswith(f"{MARK}//")


def _bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate, which no name of a file contains
        return name.encode("utf-8", "surrogatepass")
