"""Files, images unless others are asked for, in tar and zip archives."""

import tarfile
import zipfile
from collections.abc import Iterator

from aectl.data.decoders import Found
from aectl.data.selection import EVERY_IMAGE, Search, Selection, Skipped

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
"""The endings by which an archive is known."""

LARGEST_MEMBER = 128 << 20
"""Bytes; what is larger in an archive is not unpacked into memory."""

TOO_LARGE = f"has more than {LARGEST_MEMBER:,} bytes"


def is_archive(path: str) -> bool:
    """Whether a file, by its ending, is an archive that can be read in place."""
    return path.lower().endswith(ARCHIVES)


def find_in_archive(
    archive: str, selection: Selection = EVERY_IMAGE, skipped: Skipped | None = None
) -> Iterator[Found]:
    """The images in a tar or zip archive, in its order, their paths those of the archive and more.

    An archive that is damaged is found with a reason, after what can be read of it; what is left
    aside is told to `skipped`.
    """
    search = (skipped or Skipped()).search(archive, selection)
    members = _zipped if archive.lower().endswith(".zip") else _tarred
    try:
        for found in members(archive, search):
            yield found._replace(path=f"{archive}/{found.path}" if found.path else archive)
    except Exception as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        yield Found(archive, reason=f"cannot be read as an archive: {said or repr(error)}")


def _tarred(archive: str, search: Search) -> Iterator[Found]:
    with tarfile.open(archive, "r|*") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # else it remembers each of a million
            name = member.name.removeprefix("./")
            if member.isdir() or not search.takes(name):
                continue
            if not member.isfile():
                yield Found(name, reason="is a link in an archive, not a file")
            elif member.size > LARGEST_MEMBER:
                yield Found(name, reason=TOO_LARGE)
            elif file := tar.extractfile(member):
                yield Found(name, content=file.read())
        # A header that cannot be read ends a tar as its proper end does, which is of zeros.
        assert tar.fileobj is not None
        if tar.fileobj.tell() < tar.offset + tarfile.BLOCKSIZE:
            yield Found("", reason="is cut short")
        while block := tar.fileobj.read(1 << 20):
            if block.strip(b"\0"):
                yield Found("", reason="is damaged, and what follows the damage was not read")
                return


def _zipped(archive: str, search: Search) -> Iterator[Found]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if member.is_dir() or not search.takes(member.filename):
                continue
            if member.file_size > LARGEST_MEMBER:
                yield Found(member.filename, reason=TOO_LARGE)
                continue
            try:
                content = packed.read(member)
            except Exception as error:
                yield Found(member.filename, reason=str(error) or repr(error))
            else:
                yield Found(member.filename, content=content)
