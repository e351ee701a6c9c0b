"""Files that go to a URL: written on this machine, and put there once they are complete."""

import collections
import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aectl.data.storage import drivers
from aectl.data.storage.ahead import in_order
from aectl.data.storage.objects import room_for_copies
from aectl.data.storage.urls import WEB, is_url, join, name_in, protocol_of, refuse_secrets
from aectl.errors import OutputError


class Staged:
    """A file that goes to a URL, and those beside it: `path` is where it is written on this
    machine, in a folder below `room` that no other `user` of the same URL has.

    Raises OutputError for a URL that no file can be written to.
    """

    def __init__(self, url: str, room: Path, user: str = "") -> None:
        refuse_secrets(url)
        name = name_in(url)
        if protocol_of(url) in WEB:
            raise OutputError(
                f"cannot write {url}: nothing can be written to an address of the web"
            )
        is_bucket = "/" not in url.partition("://")[2] and protocol_of(url) not in drivers.LOCAL
        if is_bucket or not name or url.endswith("/"):
            raise OutputError(f"cannot write {url}: it names a folder")
        self.url, self.base = url, url[: -len(name)]
        digest = hashlib.sha256(f"{url}\0{user}".encode("utf-8", "surrogatepass")).hexdigest()
        self.folder = room / digest[:16]
        self.path = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)

    def url_of(self, path: Path) -> str:
        """The URL that a file in the folder goes to."""
        return join(self.base, path.relative_to(self.folder).as_posix())

    def refuse_existing(self, path: Path) -> None:
        """Raises OutputError where a file is at the URL of one in the folder."""
        if self._exists(path):
            raise OutputError(f"{self.url_of(path)} exists; --overwrite replaces it")

    def start_again(self) -> None:
        """Removes complete files that could not be put at their URLs."""
        for one in self.folder.iterdir():
            if one.is_file():
                one.unlink()

    def restore(self, path: Path, *beside: Path) -> None:
        """Copies a file that was put at its URL before, and those `beside` it, back to the folder,
        unless there is anything in it."""
        if any(self.folder.iterdir()) or not self._exists(path):
            return
        path.parent.mkdir(exist_ok=True)
        try:
            for one in (*beside, path):
                with contextlib.suppress(FileNotFoundError):
                    drivers.fetch(self.url_of(one), str(one))
        except OSError as error:
            raise OutputError(f"cannot read {self.url}: {error.strerror or error}") from None

    def publish(self, path: Path, replace: bool) -> None:
        """Puts the file at `path` and those beside it at their URLs, it last, and removes the
        folder; the parts that an engine merged are not put anywhere.

        Raises OutputError; the folder stays then.
        """
        made = [one for one in sorted(path.parent.iterdir()) if one.is_file()]
        made.sort(key=lambda one: one == path)
        try:
            for one in made:
                if not replace and not one.name.startswith("."):
                    self.refuse_existing(one)
                drivers.put(str(one), self.url_of(one))
        except (OSError, OutputError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise OutputError(
                f"cannot write {self.url}: {said}\nit is complete in {self.folder}; the same"
                " command with --resume, or --overwrite, writes it again"
            ) from None
        shutil.rmtree(self.folder)

    def leave(self) -> None:
        """Removes the folder if it is empty."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _exists(self, path: Path) -> bool:
        try:
            drivers.entry_of(self.url_of(path))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise OutputError(f"cannot write {self.url}: {error.strerror or error}") from None
        return True


@contextmanager
def local_folder(path: str, room: Path) -> Iterator[Path]:
    """A local folder; of one at a URL, a copy of the files in it, without its sub-folders, which is
    removed after the block.

    Raises OutputError.
    """
    if not is_url(path):
        yield Path(path)
        return
    refuse_secrets(path)
    with room_for_copies(room) as place:
        copy = place / (name_in(path) or "parts")
        copy.mkdir()
        try:
            work = in_order(
                lambda one: drivers.fetch(join(path, one.name), str(copy / one.name), one.size),
                (one for one in drivers.entries_of(path) if not one.is_folder),
                lambda one: one.size or 0,
            )
            collections.deque(work, maxlen=0)
        except OSError as error:
            raise OutputError(f"cannot read {path}: {error.strerror or error}") from None
        yield copy
