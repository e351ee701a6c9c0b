"""Entries of a storage, and the patience with which it is asked."""

import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from aectl.data.storage.urls import redacted
from aectl.errors import first_line

Answer = TypeVar("Answer")

ATTEMPTS, PAUSE = 4, 0.5
"""How often a storage is asked, and the seconds before it is asked again, which double."""

SECONDS, SLOWEST, USUAL_SIZE = 20.0, 100_000, 16 << 20
"""Time limit of an answer: a constant in seconds, and bytes per further second; the bytes where
their number is not known."""

LARGEST_UNSTATED = 4 << 30
"""Maximum number of bytes of a file that is copied although the storage does not state its size."""

LASTING = (
    FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError,
    ImportError, MemoryError,
)  # fmt: skip
"""Errors that another attempt would not mend."""

GONE, FORBIDDEN = (404, 410), (401, 403, 407)
FOR_NOW = (408, 425, 429)
"""Statuses of HTTP: of what is not there or not for us, and those below 500 after which a request
may succeed later."""

WITHOUT_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "NoAuthTokenError", "ProfileNotFound",
    "SSOTokenLoadError", "UnauthorizedSSOTokenError", "LoginTokenLoadError",  # of S3
    "DefaultCredentialsError", "RefreshError",  # of Google
    "ClientAuthenticationError",  # of Azure
}  # fmt: skip
"""The names of the drivers' errors for credentials that are missing or rejected."""

STATUSES = ("status_code", "status")
"""The names of the attributes of errors that hold an HTTP status. In the causes of errors, an
attribute `code` may hold another number."""

LASTING_NUMBERS = (errno.EINVAL, errno.ENOSPC, errno.EROFS, errno.ENAMETOOLONG)


class Entry(NamedTuple):
    """A file or a folder of a storage: its name and its bytes; what tells its version from others,
    and the SHA-256 of the content, where the storage knows them."""

    name: str
    size: int | None = None
    is_folder: bool = False
    version: str = ""
    sha256: str = ""


class Driver(Protocol):
    """Access to a storage; its methods take URLs, and raise OSError and exceptions of their own.

    `renames`: whether what is put at a URL is there before it is complete, so that it has to be
    put elsewhere and renamed.
    """

    renames: bool

    def entries(self, url: str) -> list[Entry]:
        """The entries of a folder."""
        ...

    def entry(self, url: str) -> Entry:
        """The file or folder at a URL. Raises FileNotFoundError."""
        ...

    def read(self, url: str, size: int | None, most: int) -> bytes:
        """The content of a file whose size may be known; of a larger one, more than `most`
        bytes."""
        ...

    def part(self, url: str, first: int, end: int) -> bytes:
        """The bytes of a file from `first` on, before `end`."""
        ...

    def fetch(self, url: str, size: int | None, file: BinaryIO) -> None:
        """Writes the content of a file to another."""
        ...

    def put(self, path: str, url: str) -> None:
        """Puts a local file at a URL."""
        ...

    def rename(self, before: str, after: str) -> None:
        """Moves a file."""
        ...

    def remove(self, url: str) -> None:
        """Removes a file."""
        ...


def seconds_for(size: int | None) -> float:
    """The time limit of an answer of so many bytes."""
    return SECONDS + (USUAL_SIZE if size is None else size) / SLOWEST


def patiently(ask: Callable[[], Answer]) -> Answer:
    """The answer of a storage, which is asked again after a while if it gives none.

    Raises OSError: its `strerror` is the reason, without URLs that may hold credentials.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1))  # noqa: S311
        try:
            return ask()
        except Exception as failure:
            error = _of_answer(failure)
            said = reason_in(error)
            number = error.errno if isinstance(error, OSError) else None
            if isinstance(error, LASTING) or number in LASTING_NUMBERS:
                raise _like(error, said) from None
    raise OSError(errno.EIO, f"{said} ({ATTEMPTS} attempts)")


def refuse_short(length: int, stated: int | None) -> None:
    """Raises ConnectionError for fewer bytes than the storage stated, if it did."""
    if stated is not None and length < stated:
        raise ConnectionError(f"broke off after {length:,} of {stated:,} bytes")


def refuse_long(length: int, stated: int | None) -> None:
    """Raises OSError if a file has more bytes than the storage stated; if it stated none, more than
    `LARGEST_UNSTATED`."""
    if length <= (LARGEST_UNSTATED if stated is None else stated):
        return
    if stated is not None:
        raise OSError(errno.EINVAL, f"has more than the {stated:,} bytes that the server stated")
    raise OSError(
        errno.EINVAL,
        f"has more than {LARGEST_UNSTATED:,} bytes, and the server does not state its size:"
        " download it first",
    )


def of_status(status: int) -> OSError:
    """The error of an answer of HTTP with such a status."""
    if status in GONE:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if status in FORBIDDEN:
        return PermissionError(errno.EACCES, f"the server refuses it ({status})")
    said = f"the server answers {status}"
    lasting = status < 500 and status not in FOR_NOW  # of 300 and more, where it is not followed
    return OSError(errno.EINVAL, said) if lasting else ConnectionError(said)


def _of_answer(error: Exception) -> Exception:
    """The OSError for the HTTP status in a driver's error or in one of its causes, or for missing
    credentials; the error itself, if there is neither."""
    if isinstance(error, OSError) and error.strerror and error.errno != errno.EIO:
        return error
    if isinstance(code := getattr(error, "code", None), int) and code >= 400:
        return of_status(code)
    for one in _with_causes(error):
        if (status := _status_in(one)) is not None:
            return of_status(status)
        if WITHOUT_CREDENTIALS & {kind.__name__ for kind in type(one).__mro__}:
            return PermissionError(errno.EACCES, f"no valid credentials: {first_line(one)}")
    return error


def _status_in(error: BaseException) -> int | None:
    """The HTTP status in a driver's error; None if it has none."""
    answer = getattr(error, "response", None)
    told = [getattr(one, name, None) for one in (error, answer) for name in STATUSES]
    if isinstance(answer, dict):  # of S3
        told.append(answer.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    if isinstance(error, OSError) and str(error).startswith("Forbidden"):  # of Google
        told.append(403)
    return next((one for one in told if isinstance(one, int) and one >= 400), None)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an error, its cause, the cause of that, and so on."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _like(error: Exception, said: str) -> OSError:
    """An error of the same kind that says the reason alone."""
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, said)
    return OSError(getattr(error, "errno", None) or errno.EIO, said)


def reason_in(error: Exception) -> str:
    """The reason in an error, in a line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(redacted(str(said)).split())[:300] or type(error).__name__
