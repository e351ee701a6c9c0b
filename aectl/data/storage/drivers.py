"""Drivers of storages: the protocols that fsspec opens, and the web, each loaded when needed."""

import contextlib
import errno
import functools
import logging
import os
import threading
from typing import Any, BinaryIO

from aectl.data.storage import clouds, network, s3_buckets
from aectl.data.storage.entries import (
    Driver,
    Entry,
    patiently,
    reason_in,
    refuse_short,
    seconds_for,
)
from aectl.data.storage.urls import WEB, join, name_in, protocol_of, refuse_secrets
from aectl.errors import DataError

EXTRAS = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az",
    "hf": "hf",
}  # fmt: skip
"""The extras of aectl that install drivers, by the protocol."""

RENAMED = ("memory", "file", "local", "sftp", "ssh", "ftp", "smb", "hdfs")
"""Protocols of file systems, in which a file is there while it is written; an object of the other
storages is there once it is complete."""

UNSTATED = "the server does not state its size"

LOCAL = ("memory", "file", "local")

LISTING_SECONDS = 600.0
"""Time limit for the list of a folder."""

OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"retries": {"max_attempts": 0}, "max_pool_connections": 64}}
}
"""Options of drivers: retries are counted in `entries.patiently` alone."""

LOGGING = (
    "adlfs", "aiobotocore", "azure", "botocore", "fsspec", "gcsfs", "google", "httpx",
    "huggingface_hub", "s3fs",
)  # fmt: skip
"""The names under which drivers log."""

_making = threading.Lock()


def driver_of(url: str) -> Driver:
    """The driver for a URL. Raises DataError where it is not installed, and for a URL that holds
    credentials."""
    refuse_secrets(url)
    protocol = protocol_of(url)
    if network.is_off() and protocol not in LOCAL:
        raise DataError(f"{protocol}://: {network.NOT_ASKED}")
    if protocol in WEB:
        from aectl.data.storage.web import Web

        return Web()
    with _making:
        return _objects(protocol, url.partition("://")[2].partition("/")[0])


@functools.lru_cache(maxsize=16)
def _objects(protocol: str, account: str) -> "_Objects":
    """The driver of a protocol for a bucket or an account."""
    try:
        kind = clouds.class_of(protocol)
    except ValueError:
        raise DataError(f"{protocol}:// is not a protocol that fsspec opens") from None
    except ImportError as error:
        if protocol in EXTRAS:
            way = f"pip install 'aectl[{EXTRAS[protocol]}]' installs it"
        else:
            way = " ".join(str(error).split())
        raise DataError(f"{protocol}:// needs a driver that is not installed; {way}") from None
    for name in LOGGING:  # of addresses that may be signed
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        options = {
            **OPTIONS.get(EXTRAS.get(protocol, ""), {}),
            **kind._get_kwargs_from_urls(f"{protocol}://{account}"),
            "use_listings_cache": False,
            "skip_instance_cache": True,
        }
        system = kind(**options)
    except OSError:
        raise
    except Exception as error:  # of what the driver needs, and does not find in its settings
        raise DataError(f"{protocol}:// cannot be opened: {reason_in(error)}") from None
    return _Objects(system, protocol, account)


class _Objects:
    """The objects of a storage that fsspec opens."""

    def __init__(self, system: Any, protocol: str, account: str) -> None:
        self._system, self.renames = system, protocol in RENAMED
        self._protocol, self._account, self._once = protocol, account, threading.Lock()
        clouds.without_retries(system)

    def _call(self, seconds: float, name: str, *arguments: Any, **options: Any) -> Any:
        """The result of a method, within a time limit where the driver is asynchronous; the others
        have limits of their own."""
        if not self._system.async_impl:
            return getattr(self._system, name)(*arguments, **options)
        return self._await(seconds, getattr(self._system, f"_{name}"), *arguments, **options)

    def _await(self, seconds: float, method: Any, *arguments: Any, **options: Any) -> Any:
        """The result of an asynchronous function, within a time limit."""
        from fsspec.asyn import sync

        return sync(self._system.loop, method, *arguments, timeout=seconds, **options)

    @property
    def _fast(self) -> s3_buckets.FastReads | None:
        """Faster reads of objects, if there are any."""
        with self._once:
            return self._reads

    @functools.cached_property
    def _reads(self) -> s3_buckets.FastReads | None:
        return s3_buckets.fast_reads(self._system, self._protocol, self._account)

    def _key(self, url: str) -> str:
        """The name of an object in its bucket."""
        return str(self._path(url)).partition("/")[2]

    def _path(self, url: str) -> Any:
        return self._system._strip_protocol(url)

    def entries(self, url: str) -> list[Entry]:
        """The entries of a folder, without links to folders. Raises OSError."""
        path = self._path(url)
        if self._protocol in s3_buckets.PROTOCOLS:
            pages: list[Entry] = self._await(LISTING_SECONDS, s3_buckets.listed, self._system, path)
            return pages
        found = self._call(LISTING_SECONDS, "ls", path, detail=True)
        own = str(path).strip("/")
        return [
            _entry(one)
            for one in found
            if str(one["name"]).strip("/") != own and not _is_link_to_folder(one)
        ]

    def entry(self, url: str) -> Entry:
        """The file or folder at a URL. Raises OSError."""
        return _entry(self._call(seconds_for(0), "info", self._path(url)))

    def read(self, url: str, size: int | None, most: int) -> bytes:
        """The content of a file. Raises OSError."""
        wanted = most + 1 if size is None else min(size, most + 1)
        if wanted == 0:
            return b""
        if self._fast and (found := self._fast.read(self._key(url), most)) is not None:
            refuse_short(len(found), None if size is None else wanted)
            return found
        # With a range, drivers do not ask for the size first.
        try:
            content: bytes = self._call(
                seconds_for(size), "cat_file", self._path(url), start=0, end=wanted
            )
        except OSError as error:
            if size is None and error.errno == errno.EINVAL and self.entry(url).size == 0:
                return b""  # no range lies in it
            raise
        refuse_short(len(content), None if size is None else wanted)
        return content

    def part(self, url: str, first: int, end: int) -> bytes:
        """The bytes of a file from `first` on, before `end`. Raises OSError."""
        if first == end:
            return b""
        seconds = seconds_for(end - first)
        found: bytes = self._call(seconds, "cat_file", self._path(url), start=first, end=end)
        refuse_short(len(found), end - first)
        return found

    def fetch(self, url: str, size: int | None, file: BinaryIO) -> None:
        """Writes the content of a file to another. Raises OSError."""
        if size is None:
            raise OSError(errno.EINVAL, UNSTATED)
        seconds = seconds_for(size)
        self._call(seconds, "get_file", self._path(url), file.name)
        refuse_short(os.stat(file.name).st_size, size)

    def put(self, path: str, url: str) -> None:
        """Puts a local file at a URL. Raises OSError."""
        self._call(seconds_for(os.stat(path).st_size), "put_file", path, self._path(url))

    def rename(self, before: str, after: str) -> None:
        """Moves a file. Raises OSError."""
        if self._system.isdir(self._path(after)):
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        self._system.mv(self._path(before), self._path(after))

    def remove(self, url: str) -> None:
        """Removes a file. Raises OSError."""
        self._system.rm_file(self._path(url))


def _entry(found: dict[str, Any]) -> Entry:
    """The entry that a driver describes."""
    version = next((found[key] for key in VERSIONS if found.get(key)), "")
    name = str(found["name"]).rstrip("/").rpartition("/")[2]
    large = found.get("lfs") or {}
    sha256 = str(large.get("sha256", "")) if isinstance(large, dict) else ""
    return Entry(name, found.get("size"), found.get("type") == "directory", str(version), sha256)


VERSIONS = (
    "blob_id", "oid", "ETag", "etag", "md5Hash", "content_settings", "LastModified", "updated",
    "last_modified", "mtime", "created",
)  # fmt: skip
"""The names by which drivers tell the versions of a file."""


def _is_link_to_folder(found: dict[str, Any]) -> bool:
    return bool(found.get("islink")) and found.get("type") == "directory"


def read(url: str, size: int | None, most: int) -> bytes:
    """The content of a file at a URL; of one that has more than `most` bytes, more than these.

    Raises OSError, with the reason.
    """
    driver = driver_of(url)
    return patiently(lambda: driver.read(url, size, most))


def end_of(url: str, count: int) -> bytes:
    """The last bytes of a file at a URL; all, if it has fewer. Raises OSError."""
    size = entry_of(url).size
    if size is None:
        raise OSError(errno.EINVAL, UNSTATED)
    driver = driver_of(url)
    return patiently(lambda: driver.part(url, max(0, size - count), size))


def entry_of(url: str) -> Entry:
    """The file or folder at a URL. Raises OSError, FileNotFoundError if there is none."""
    driver = driver_of(url)
    return patiently(lambda: driver.entry(url))


def entries_of(url: str) -> list[Entry]:
    """The entries of a folder, by name. Raises OSError, also where a name is that of a file
    elsewhere."""
    driver = driver_of(url)
    found = sorted(patiently(lambda: driver.entries(url)), key=lambda entry: entry.name)
    if any("/" in one.name for one in found):
        raise OSError(errno.EINVAL, "the server lists files that do not lie in this folder")
    return found


def fetch(url: str, path: str, size: int | None = None) -> None:
    """Copies a file at a URL, of a size that may be known, to a local file. Raises OSError."""
    driver = driver_of(url)
    if size is None:
        size = entry_of(url).size

    def once() -> None:
        with open(path, "wb") as file:
            driver.fetch(url, size, file)

    try:
        patiently(once)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def put(path: str, url: str) -> None:
    """Puts a local file at a URL, where it appears as a whole or not at all. Raises OSError."""
    driver = driver_of(url)
    if not driver.renames:
        patiently(lambda: driver.put(path, url))
        return
    folder = url.removesuffix(name_in(url))
    beside = join(folder, f".{name_in(url)}.{os.getpid()}.part")

    def once() -> None:
        driver.put(path, beside)
        driver.rename(beside, url)

    try:
        patiently(once)
    except BaseException:
        with contextlib.suppress(Exception):
            driver.remove(beside)
        raise
