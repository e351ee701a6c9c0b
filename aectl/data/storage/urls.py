"""URLs: which words are URLs, their parts, and the credentials that none may hold."""

import re

from aectl.errors import DataError

FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)

WEB = ("http", "https")
"""The protocols of the web, which have files and no folders."""

WITH_USER = ("abfs", "abfss", "az", "hf")
"""Protocols in whose URLs an @ stands after the name of a container, or before a revision."""

SECRET = re.compile(r"sig|token|key|secret|passw|auth|cred|x-amz|x-goog", re.IGNORECASE)
"""Parts of the names of parameters that are secret, such as the signature of a signed URL."""

PASSWORD, QUERY = (
    re.compile(r"(://)[^\s/@]*:[^\s@]*@"),
    re.compile(r"(://[^\s?'\"<>]*)\?[^\s'\"<>]*"),
)


def is_url(word: str) -> bool:
    """Whether a word is a URL."""
    return "://" in word and FORM.fullmatch(word) is not None


def protocol_of(url: str) -> str:
    """The protocol of a URL, in lower case."""
    return url.partition("://")[0].lower()


def join(folder: str, name: str) -> str:
    """The URL of what is in a folder."""
    return folder + name if folder.endswith("/") else f"{folder}/{name}"


def name_in(url: str) -> str:
    """The name of the file that a URL names."""
    path = url.partition("://")[2]
    if protocol_of(url) in WEB:
        path = path.partition("?")[0].partition("#")[0]
    return path.rstrip("/").rpartition("/")[2]


def below(url: str, folder: str) -> str | None:
    """The path of a URL below that of a folder; None if it is elsewhere."""
    start = join(folder, "")
    return url.removeprefix(start) if url.startswith(start) else None


def secret_in(url: str) -> str | None:
    """The reason for refusing a URL that holds credentials, which would stand in tables, logs and
    model files; None for any other."""
    protocol, rest = protocol_of(url), url.partition("://")[2]
    authority = rest.partition("/")[0].partition("?")[0]
    user, at, host = authority.rpartition("@")
    port = re.sub(r"\[.*\]", "", host).partition(":")[2]
    named = bool(at) and (":" in user or protocol not in WITH_USER)
    if named or not (port.isdigit() or not port):
        return "holds a name or a password"
    marks = "?#" if protocol in WEB else "?"
    for parameter in re.split("[?#&;]", re.sub(f"^[^{marks}]*", "", rest)):
        name, equals, value = parameter.partition("=")
        if equals and value and SECRET.search(name):
            return f"holds a secret, {name}"
    return None


def refuse_secrets(url: str) -> None:
    """Raises DataError for a URL that holds credentials; the message has none of them."""
    if reason := secret_in(url):
        raise DataError(f"the URL {without_secrets(url)} {reason}: {WAY_OUT}")


WAY_OUT = (
    "it would stand in tables, logs and model files; give credentials in the way of the storage's"
    " own tools, such as their environment variables, or download the file first"
)


def without_secrets(url: str) -> str:
    """A URL without the parts that may hold credentials, for messages."""
    protocol, rest = protocol_of(url), re.split("[?#]", url.partition("://")[2])[0]
    authority = rest.partition("/")[0]
    if "@" in rest or ":" in authority:
        return f"{protocol}://..."
    return f"{protocol}://{rest}?..."


def redacted(message: str) -> str:
    """A message of a driver, without passwords and parameters of the URLs in it."""
    return QUERY.sub(r"\1?...", PASSWORD.sub(r"\1...@", message))
