"""Search for files in tar and zip archives; by default, for images."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from aectl.data.endings import ZIPS
from aectl.data.found import Found
from aectl.data.images.table_columns import USUAL_LABELS, LabelColumn
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped
from aectl.data.storage.compressions import ArchiveError
from aectl.data.storage.objects import local_copy
from aectl.data.storage.samples import SampleLabels, with_labels
from aectl.data.storage.tars import in_tar
from aectl.data.storage.zips import in_zip


def find_in_archive(
    archive: str,
    selection: Selection = EVERY_IMAGE,
    skipped: Skipped | None = None,
    room: Path | None = None,
    labels: LabelColumn = USUAL_LABELS,
) -> Iterator[Found]:
    """Finds the images in a tar or zip archive, in its order; paths start with the archive's path.
    In a tar, their labels are those of WebDataset's samples, where there are any.

    An archive that is damaged, or expands to too much, is found with a reason, after its readable
    members; `skipped` records what was skipped. One at a URL is copied to the folder `room` as
    long as it is read.
    """
    search = (skipped or Skipped()).search(archive, selection)
    of_samples = SampleLabels(labels)
    try:
        with local_copy(archive, room) as file:
            if _is_zip(file):
                members = in_zip(file, search)
            else:
                members = with_labels(in_tar(file, search, of_samples), of_samples)
            for found in members:
                path = f"{archive}/{found.path}" if found.path else archive
                yield found._replace(path=path, file=archive, member=found.path)
    except Exception as error:  # each decoder raises its own kind
        said = error.strerror if isinstance(error, OSError) else str(error)
        yield Found(archive, reason=f"cannot be read as an archive: {said or repr(error)}")


def _is_zip(archive: str) -> bool:
    """Whether an archive is read as a zip: by its extension, or else by its first bytes.

    Raises ArchiveError if it is not a regular file, because reading a pipe might wait for ever.
    """
    if not stat.S_ISREG(os.stat(archive).st_mode):
        raise ArchiveError("is not a regular file")
    if archive.lower().endswith(ZIPS):
        return True
    with open(archive, "rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")
