"""The images in the files that a search of folders finds."""

import os
from collections.abc import Iterator
from pathlib import Path

from aectl.data.endings import PARQUET
from aectl.data.found import Found
from aectl.data.images.parquet_images import in_parquet
from aectl.data.images.table_columns import USUAL_LABELS, LabelColumn
from aectl.data.selection import Selection, Skipped
from aectl.data.storage.archives import find_in_archive
from aectl.data.storage.containers import may_be_container
from aectl.data.storage.urls import below, is_url


def opened(
    found: Found,
    folder: str,
    selection: Selection,
    skipped: Skipped,
    labels: LabelColumn = USUAL_LABELS,
    room: Path | None = None,
) -> Iterator[Found]:
    """The images in a file that was found in a folder, if it is a container; else the file itself.

    Of an archive, those that the selection chooses; if it chose the archive itself by a pattern or
    an extension, all. `labels`: the column of Parquet that labels its rows, or what labels the
    samples of a tar. A file at a URL is copied to the folder `room` as long as it is read.
    """
    if found.reason is not None or not may_be_container(found.file):
        yield found
    elif found.file.lower().endswith(PARQUET):
        yield from in_parquet(found.file, labels, room)
    else:
        inner = inner_selection(found.file, folder, selection)
        yield from find_in_archive(found.file, inner, skipped, room, labels)


def inner_selection(path: str, folder: str, selection: Selection) -> Selection:
    """The selection of what a file that was found in a folder holds or lists: if it chose the file
    itself by a pattern or an extension, all."""
    name = (below(path, folder) if is_url(path) else None) or os.path.relpath(path, folder)
    return selection.inside if selection.takes(name) else selection
