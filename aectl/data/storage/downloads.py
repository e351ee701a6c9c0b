"""Downloads of known files, with limits on size and time."""

import contextlib
import hashlib
import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from aectl.data.storage import network
from aectl.data.storage.origins import DownloadError, Origin
from aectl.data.storage.urls import redacted
from aectl.errors import OutputError
from aectl.files import replacing

IDLE_SECONDS = 10.0
"""Maximum seconds without data from a server."""

TOTAL_SECONDS, SLOWEST = 60.0, 100_000
"""Time limit of a download: a constant in seconds, and bytes per further second."""

LARGEST_UNKNOWN = 128 << 20
"""Maximum bytes of a file whose size is not known beforehand."""

PIECE = 1 << 16

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def fetch(origin: Origin, data_dir: Path) -> Path:
    """The path of a file in `data_dir`; it is downloaded unless the right file is there.

    Raises DownloadError if no address has the file; no temporary files are left then.
    """
    path = data_dir / origin.place
    if path.is_file() and _is_right(path, origin):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in origin.urls:
        try:
            with replacing(path) as temporary:
                _download(url, origin, temporary)
        except (DownloadError, OutputError) as error:
            reasons.append(" ".join(str(error).split()))
        else:
            return path
    raise DownloadError("; ".join(dict.fromkeys(reasons)))


def _is_right(path: Path, origin: Origin) -> bool:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: _digest(origin)).hexdigest()
    return found == (origin.sha256 or origin.md5)


def _digest(origin: Origin) -> Any:
    return hashlib.sha256() if origin.sha256 else hashlib.md5(usedforsecurity=False)


def _download(url: str, origin: Origin, path: Path) -> None:
    """Raises DownloadError if the content is not that of the file."""
    most = LARGEST_UNKNOWN if origin.size is None else origin.size
    found, length = _digest(origin), 0
    with path.open("wb") as file:
        for piece in _pieces(url, TOTAL_SECONDS + most / SLOWEST):
            length += len(piece)
            if length > most:
                raise DownloadError(f"{url} has more than the {most:,} bytes that it may have")
            found.update(piece)
            file.write(piece)
    if length < (origin.size or 0):
        raise DownloadError(f"{url} broke off after {length:,} of {most:,} bytes")
    if found.hexdigest() != (origin.sha256 or origin.md5):
        kind = "SHA-256" if origin.sha256 else "MD5"
        raise DownloadError(f"{url} has another {kind} than it should: it is not that file")


def _pieces(url: str, seconds: float) -> Iterator[bytes]:
    """Downloads the content of a URL. Raises DownloadError, also after the time limit."""
    with answer(url, seconds) as found:
        while piece := found.read1(PIECE):
            yield piece


@contextlib.contextmanager
def answer(
    url: str, seconds: float, method: str = "GET", headers: Mapping[str, str] = NO_HEADERS
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request; what the block reads of it must come within the time limit.

    Raises DownloadError, also for an OSError in the block.
    """
    if network.is_off():
        raise DownloadError(network.NOT_ASKED)
    deadline, sockets = time.monotonic() + seconds, list[socket.socket]()
    watch = threading.Timer(seconds, _cut, [sockets])
    watch.daemon = True
    watch.start()
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - the opener has http alone
    try:
        with _opener(sockets).open(request, timeout=min(IDLE_SECONDS, seconds)) as found:
            yield found
    except (OSError, http.client.HTTPException) as error:
        if time.monotonic() < deadline:
            said = redacted(str(error)) or type(error).__name__
            raise DownloadError(f"{url}: {said}") from error
    finally:
        watch.cancel()
    if time.monotonic() >= deadline:
        raise DownloadError(f"{url} took more than {seconds:,.0f} s")


def _cut(sockets: list[socket.socket]) -> None:
    """Shuts down sockets, which ends all waiting for data."""
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _opener(sockets: list[socket.socket]) -> urllib.request.OpenerDirector:
    """Opens URLs, and records the sockets that it opens."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, request: Any) -> Any:
            return self.do_open(Plain, request)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, request: Any) -> Any:
            return self.do_open(Secure, request)

    return urllib.request.build_opener(PlainHandler, SecureHandler, _SameProtocol)


class _SameProtocol(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but none to another protocol: of http, from https, which is not safe,
    or of ftp, whose connections have no time limit here."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """The next request. Raises DownloadError for one of another protocol."""
        if urlsplit(newurl).scheme != urlsplit(req.full_url).scheme:
            raise DownloadError(f"{req.full_url} leads to {redacted(newurl)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
