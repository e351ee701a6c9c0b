"""Tables among inputs: Parquet with images, and tables that list images."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from aectl.data.endings import PARQUET
from aectl.data.found import Found
from aectl.data.images import index_files, parquet_images
from aectl.data.images.decode import is_own
from aectl.data.images.index_files import IndexColumns
from aectl.data.images.table_columns import USUAL_LABELS, LabelColumn
from aectl.data.selection import Selection, Skipped
from aectl.data.series import files_of
from aectl.data.sources import Source, SourceKind
from aectl.data.storage.containers import may_be_container
from aectl.data.storage.folders import Walk
from aectl.data.storage.members import inner_selection, opened
from aectl.data.storage.places import content_of
from aectl.errors import ConfigError, DataError


class InputTables(NamedTuple):
    """How tables are read: the column that labels their rows, and that of `paths`, in tables that
    list images."""

    labels: LabelColumn = USUAL_LABELS
    paths: str | None = None

    def label(self, source: Source, selection: Selection, walk: Walk) -> bool:
        """Whether a source has labels from a table; of a folder, and of a series, the first file
        decides."""
        file = source.file
        if source.kind is SourceKind.SERIES:
            file = next(files_of(file))
        elif source.is_folder:
            if _holds_image(file, selection):
                return False
            first = next(iter(walk(file, selection, Skipped())), None)
            file = first.file if first else ""
        elif source.kind is not SourceKind.FILE:
            return False
        if self.paths and index_files.is_index(file):
            return index_files.has_labels(file, IndexColumns(self.paths, self.labels))
        return file.lower().endswith(PARQUET) and parquet_images.has_labels(file, self.labels)

    def refuse_unused(self, sources: Iterable[Source], selection: Selection) -> None:
        """Raises ConfigError if a column of labels is given, and all sources are image files or
        folders of image files."""
        if self.labels.asked is None:
            return
        if all(self._has_no_tables(one, selection) for one in sources):
            raise ConfigError(
                "--label-column names a column of a table, or a field of an archive's samples, and"
                " the inputs have neither; --label-from-folder labels images by their folders"
            )

    def _has_no_tables(self, source: Source, selection: Selection) -> bool:
        """Whether a source has no tables: an image file, or a folder of image files."""
        if source.is_folder:
            return _holds_image(source.file, selection)
        lists = self.paths is not None and index_files.is_index(source.file)
        return source.kind is SourceKind.FILE and not may_be_container(source.file) and not lists

    def refuse_rows(self, line: str) -> None:
        """Raises DataError for the first line of a list of paths, if it is that of a table that
        lists images."""
        if self.paths and not os.path.lexists(line) and index_files.starts_table(line, self.paths):
            raise DataError(
                f"stdin holds a table with the column {self.paths}, and - reads a list of paths:"
                " name the file of the table instead, or list its name"
            )

    def inside(
        self, found: Found, folder: str, selection: Selection, skipped: Skipped, room: Path
    ) -> Iterator[Found]:
        """The images in a file that was found in a folder: in an archive or in Parquet, or those
        that a table lists; else the file itself. One at a URL is copied to the folder `room`."""
        if self.paths and found.reason is None and index_files.is_index(found.file):
            wanted = inner_selection(found.file, folder, selection)
            columns = IndexColumns(self.paths, self.labels)
            return index_files.listed_in(found.file, columns, room, wanted)
        return opened(found, folder, selection, skipped, self.labels, room)


USUAL_TABLES = InputTables()


def _holds_image(folder: str, selection: Selection) -> bool:
    """Whether an image lies in a folder itself, as is soon known of many files."""
    with contextlib.suppress(OSError):
        return any(
            not one.is_folder
            and selection.takes(one.name)
            and not may_be_container(one.name)
            and not is_own(one.path)
            for one in content_of(folder)
        )
    return False
