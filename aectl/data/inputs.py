"""Images of INPUT: datasets, files, folders, archives and stdin, as one stream."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from aectl.config.decoding import USUAL_DECODING, Decoding, OnRemark
from aectl.config.encodings import way_to_utf_8
from aectl.config.shapes import Shape
from aectl.config.spelling import MARK, from_table, is_utf_8
from aectl.data import lines
from aectl.data.found import Found
from aectl.data.images import datasets, index_files, patches
from aectl.data.images.datasets import DATASETS
from aectl.data.images.image_batches import Batches
from aectl.data.images.input_tables import USUAL_TABLES, InputTables
from aectl.data.named_inputs import NamedInputs, Position
from aectl.data.series import files_of
from aectl.data.sources import Names, Source, SourceKind, file_source
from aectl.data.storage.archives import find_in_archive
from aectl.data.storage.folders import OnBad, ignore
from aectl.data.storage.objects import refused_at
from aectl.data.storage.parquet_footer import image_column
from aectl.data.storage.urls import is_url

IMAGES = Names(
    DATASETS, patches.WHITENED, reads_parquet=lambda path: bool(image_column(path)), in_series=True,
    listed_by=index_files.OPTION,
)  # fmt: skip
"""The words that name datasets of images."""

NOT_SEPARATED = "holds NUL characters; -0 (--null) reads a list of paths that they separate"

NOT_UTF_8 = "No such file or directory, and the list is not UTF-8"


@dataclass(frozen=True)
class Inputs(NamedInputs):
    """Images that the user named, and the options for reading them.

    `null_separated`: NUL characters separate the paths on `stdin`. `workers`: the number of
    processes that decode. `decoding`: how files are decoded. `tables`: how those of images are
    read.
    """

    null_separated: bool = False
    workers: int = 1
    decoding: Decoding = USUAL_DECODING
    tables: InputTables = USUAL_TABLES

    @cached_property
    def labelled(self) -> bool:
        """Whether any input is of a kind that has labels."""
        return (
            self.labels_from_folders
            or self.tables.labels.asked is not None
            or any(
                one.is_dataset or self.tables.label(one, self.selection, self.walk)
                for one in self.sources
            )
        )

    def inside(self, found: Found, folder: str) -> Iterator[Found]:
        """The images in an archive or a table; else the file itself."""
        return self.tables.inside(found, folder, self.selection, self.skipped, self.data_dir)

    def batches(
        self,
        shape: Shape,
        size: int,
        on_bad: OnBad,
        after: Position | None = None,
        on_remark: OnRemark = ignore,
    ) -> "Batches":
        """The images in `shape`, in batches of `size`, in the order of the inputs.

        `on_bad` is called for inputs that cannot be read, which are left out; `on_remark` with
        remarks on the others. With `after`, the inputs up to that position are skipped.

        The batches raise DataError for a dataset that is not available, and if the skipped inputs
        differ from those of the first run.
        """
        return Batches(self, shape, size, on_bad, after, on_remark)

    def listed(self) -> Iterator[tuple[str, int]]:
        """The path of each input, with 1, or the name of a dataset, with its number of images.

        Raises DataError for a dataset that is not available.
        """
        for source in self.sources:
            name = source.called(self.split)
            if source.kind is SourceKind.PATCHES:
                yield name, patches.COUNT
            elif source.in_memory:
                yield name, len(datasets.load(source.word, self.data_dir, split=self.split))
            else:
                found = self.to_read(source, self.found(source))
                yield from ((one.path, 1) for one in found if one is not None)

    def found(self, source: Source) -> Iterator[Found | None]:
        """The files of a source; None before a file that may have to be waited for."""
        path = source.word
        if source.kind is SourceKind.STDIN:
            yield from self._listed()
        elif source.kind is SourceKind.ARCHIVE:
            members = find_in_archive(
                path, self.selection, self.skipped, self.data_dir, self.tables.labels
            )
            yield from self._searched(self.labelled_below(path, one) for one in members)
        elif source.kind is SourceKind.SERIES:
            for file in files_of(path):
                yield from self.found(file_source(file))
        elif source.is_folder:
            yield from self._searched(self.files_of(source))
        else:
            assert source.kind is SourceKind.FILE
            yield from (one._replace(path=self.naming(one.path)) for one in self.files_of(source))

    def _listed(self) -> Iterator[Found | None]:
        """The files of the paths on stdin; `skipped` records that labels of tables are not
        written, for which a table would need a column before they are known."""
        for one in self._of_list():
            if one is not None and one.label is not None and not self.labelled:
                self.skipped.label(one.path)
            yield one

    def _of_list(self) -> Iterator[Found | None]:
        """The files of the paths on stdin. Raises DataError for a table."""
        assert self.stdin is not None
        told, first = False, True
        for path in lines.paths(self.stdin, self.null_separated):
            if path is not None and first:
                first = False
                self.tables.refuse_rows(path)
            if path is None:
                yield None
            elif "\0" in path:
                yield Found(path, reason=NOT_SEPARATED)
            elif is_url(path):
                refused = refused_at(path)
                yield from [refused] if refused else self.found(file_source(path))
            elif not told and not is_utf_8(path) and not os.path.lexists(path):
                told = True
                yield Found(path, reason=f"{NOT_UTF_8}; {way_to_utf_8(os.fsencode(path))}")
            else:
                there = os.path.lexists(path) if path.startswith(MARK) else True
                yield from self.found(file_source(path if there else from_table(path)))

    def _searched(self, found: Iterable[Found]) -> Iterator[Found]:
        """The found files, with the paths that a table shows."""
        for one in found:
            searched = not self.selection.include
            yield one._replace(path=self.naming(one.path), searched=searched)
