"""Files at URLs that are kept on the disk, with the digest of what was downloaded."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from aectl.data.storage import drivers, network
from aectl.data.storage.urls import protocol_of
from aectl.files import replacing


class _Origin(NamedTuple):
    """The record of a download: the version that the storage gave, and the size and the SHA-256 of
    the content."""

    url: str
    version: str
    size: int
    sha256: str


def place_of(url: str, cache: Path) -> Path:
    """The path of the copy of a file or folder at a URL: of the same parts, where they can be
    names of files."""
    parts = url.partition("://")[2].rstrip("/").split("/")
    if any(part in ("", ".", "..") or len(part) > 200 or "?" in part for part in parts):
        digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return cache / protocol_of(url) / digest / "model.safetensors"
    return cache.joinpath(protocol_of(url), *parts)


def kept(url: str, cache: Path) -> Path:
    """The copy of a file at a URL; it is downloaded unless the cache has the same version. Without
    the network, that of the cache is the one.

    Raises OSError, FileNotFoundError where there is none.
    """
    path = place_of(url, cache)
    origin = _origin_of(path)
    if network.is_off():
        if origin is None:
            raise FileNotFoundError(f"{cache} has no whole copy of it, and {network.NOT_ASKED}")
        return path
    entry = drivers.entry_of(url)
    if entry.is_folder:
        raise IsADirectoryError("it is a folder")
    if origin and entry.version and (entry.version, entry.size) == (origin.version, origin.size):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        drivers.fetch(url, str(temporary), entry.size)
        found = _sha256(temporary)
        if entry.sha256 and entry.sha256 != found:
            raise OSError("its SHA-256 is not the one that the server states: download it again")
        size = temporary.stat().st_size
    with replacing(_record_of(path)) as record:
        record.write_text(json.dumps(_Origin(url, entry.version, size, found)._asdict()))
    return path


def _record_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.origin.json")


def _origin_of(path: Path) -> _Origin | None:
    """The record of a copy; None if there is none, or the copy is not what was downloaded."""
    try:
        origin = _Origin(**json.loads(_record_of(path).read_bytes()))
        same = os.stat(path).st_size == origin.size and _sha256(path) == origin.sha256
    except (OSError, ValueError, TypeError):
        return None
    return origin if same else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
