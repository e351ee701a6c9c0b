"""Options in writing: as TOML, and as a command line."""

import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aectl.config import declaration as options
from aectl.config.all_options import OPTIONS, SHORTHAND
from aectl.config.encodings import conversion, narrow, wide
from aectl.config.precedence import coerced
from aectl.config.spelling import all_spelt, shell_word, spelt
from aectl.errors import ConfigError
from aectl.files import opened


def to_toml(values: Mapping[str, Any]) -> str:
    """Options as a TOML text that `read_toml` reads."""
    import tomli_w

    return tomli_w.dumps(
        {name.replace("_", "-"): all_spelt(value) for name, value in values.items()}
    )


def command(asked: Mapping[str, Any]) -> str:
    """`aectl train` with these options, as a shell takes it."""
    words = ["aectl", "train"]
    for name, value in asked.items():
        if isinstance(value, bool):
            words.append(
                options.flag(name) if value else options.flag(name).replace("--", "--no-", 1)
            )
        else:
            parts = value if isinstance(value, list | tuple) else [value]
            patterns = parts and all(isinstance(part, str) for part in parts)
            for word in parts if patterns else [",".join(map(str, parts))]:
                words += [options.flag(name), spelt(word)]
    return shlex.join(words)


def read_toml(path: Path) -> dict[str, object]:
    """The options in a TOML file, by name.

    Raises ConfigError for a file that is missing, not TOML, or has a key that is no option.
    """
    try:
        with opened(path) as file:
            read = tomllib.loads(_in_utf_8(path, file.read()))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    known = {name.replace("_", "-"): name for name in (*OPTIONS, *SHORTHAND)}
    try:
        found = coerced({known[key]: value for key, value in read.items() if key in known})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    for key in read:
        if key not in known:
            raise ConfigError(f"{path}: no option '{key}'{options.near_miss(key, known)}")
    return found


def _in_utf_8(path: Path, content: bytes) -> str:
    """The text of a file. Raises ConfigError if it is in another encoding."""
    encoding = wide(content)
    if encoding is None:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            encoding = narrow(content) or "ENCODING"
    raise ConfigError(f"{path} is not UTF-8: {conversion(encoding, shell_word(str(path)))}")
