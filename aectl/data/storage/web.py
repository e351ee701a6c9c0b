"""Files on the web, by the library of Python: http and https."""

import errno
import http.client
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO
from urllib.parse import quote

from aectl.data.storage import downloads
from aectl.data.storage.downloads import NO_HEADERS
from aectl.data.storage.entries import (
    LARGEST_UNSTATED,
    Entry,
    of_status,
    refuse_long,
    refuse_short,
    seconds_for,
)
from aectl.data.storage.origins import DownloadError
from aectl.data.storage.urls import name_in

IN_URLS = "%:/?#[]@!$&'()*+,;="
"""Characters of URLs beside letters, digits and `_.-~` (RFC 3986)."""


class Web:
    """Files on the web; no address is a folder."""

    renames = False

    def entries(self, url: str) -> list[Entry]:
        """Raises NotADirectoryError."""
        raise NotADirectoryError(errno.ENOTDIR, f"{url} is no folder: web pages are not searched")

    def entry(self, url: str) -> Entry:
        """The file at an address. Raises OSError."""
        try:
            return self._described(url, "HEAD")
        except (FileNotFoundError, ConnectionError):
            raise
        except OSError:  # some servers answer only requests for the content
            return self._described(url, "GET")

    def _described(self, url: str, method: str) -> Entry:
        with _answer(url, seconds_for(0), method) as answer:
            version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            return Entry(name_in(url), _length_of(answer), version=version)

    def read(self, url: str, size: int | None, most: int) -> bytes:
        """The content of a file, of at most one byte more than `most`. Raises OSError."""
        with _answer(url, seconds_for(size)) as answer:
            pieces, length = [], 0
            while length <= most and (piece := answer.read1(min(1 << 16, most + 1 - length))):
                pieces.append(piece)
                length += len(piece)
            if length <= most:
                refuse_short(length, _length_of(answer))
            return b"".join(pieces)

    def part(self, url: str, first: int, end: int) -> bytes:
        """The bytes of a file from `first` on, before `end`. Raises OSError."""
        wanted = {"Range": f"bytes={first}-{end - 1}"} if first < end else {}
        with _answer(url, seconds_for(end - first), headers=wanted) as answer:
            if wanted and answer.status != http.client.PARTIAL_CONTENT and first:
                raise OSError(errno.EINVAL, "the server gives no parts of files")
            found = answer.read(end - first)
            refuse_short(len(found), end - first)
            return found

    def fetch(self, url: str, size: int | None, file: BinaryIO) -> None:
        """Writes the content of a file to another. Raises OSError."""
        with _answer(url, seconds_for(size or LARGEST_UNSTATED)) as answer:
            length = 0
            while piece := answer.read1(1 << 18):
                length += len(piece)
                refuse_long(length, _length_of(answer) if size is None else size)
                file.write(piece)
            refuse_short(length, _length_of(answer))

    def put(self, path: str, url: str) -> None:
        """Raises OSError: a web server takes no files."""
        raise OSError(errno.EROFS, "nothing can be written to an address of the web")

    def rename(self, before: str, after: str) -> None:
        """Raises OSError, as `put` does."""
        self.put(before, after)

    def remove(self, url: str) -> None:
        """Raises OSError, as `put` does."""
        self.put("", url)


def _length_of(answer: http.client.HTTPResponse) -> int | None:
    """The number of bytes that the server states; None if it does not."""
    stated = answer.headers.get("Content-Length") or ""
    return int(stated) if stated.isdigit() else None


@contextmanager
def _answer(
    url: str, seconds: float, method: str = "GET", headers: Mapping[str, str] = NO_HEADERS
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request; characters that no URL has are percent-encoded. Raises OSError."""
    asked = quote(url, safe=IN_URLS, errors="surrogateescape")
    try:
        with downloads.answer(asked, seconds, method, headers) as answer:
            yield answer
    except DownloadError as error:
        raise _of_kind(error, asked) from None


def _of_kind(error: DownloadError, url: str) -> OSError:
    """The error of a download, as one of those that other storages have."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno == errno.EINVAL:  # raised in this module
        return cause
    if not isinstance(cause, urllib.error.HTTPError):
        reason = getattr(cause, "reason", None)  # of a URLError
        said = getattr(reason, "strerror", None) or reason
        said = said or str(error).removeprefix(url).removeprefix(": ").strip()
        return ConnectionError(str(said))
    return of_status(cause.code)
