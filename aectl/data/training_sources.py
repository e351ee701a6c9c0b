"""The sources of a training set, with the splits of the folders among them."""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aectl.data.images.headers import Headers
from aectl.data.layout import Layout, layout_of
from aectl.data.selection import Selection
from aectl.data.sources import Names, Source, SourceKind
from aectl.data.storage.containers import is_container
from aectl.data.storage.folders import WalkedOnce, find_files
from aectl.data.storage.places import folders_above, is_folder, real_place
from aectl.data.storage.urls import is_url
from aectl.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSources:
    """The sources to train on.

    `layouts`: the splits of each that is a folder with splits, else None. `selection`: the files of
    a folder that are read, which `walk` finds only once; `headers`: those of images.
    """

    sources: Sequence[Source]
    layouts: Sequence[Layout | None]
    selection: Selection
    walk: WalkedOnce = field(default_factory=WalkedOnce)
    headers: Headers = field(default_factory=Headers)

    @classmethod
    def named(
        cls, names: Names, words: Iterable[str], stdin: object, selection: Selection
    ) -> "TrainingSources":
        """The sources that words name.

        Raises UnknownInputError for a word that names nothing, and DataError for `-` without a
        stream `stdin`, for data that two words name, and as `layout_of` does.
        """
        sources = names.sources(words, stdin)
        for source in sources:
            if source.hides:
                log.info("%s is read as a dataset; the folder is %s", source.word, source.hides)
        layouts = [
            layout_of(source.word, selection, to_train=True) if source.is_folder else None
            for source in sources
        ]
        _refuse_twice(sources, layouts, selection)
        return cls(sources, layouts, selection)


def split_up(
    sources: Iterable[Source], layouts: Iterable[Layout | None], validation: bool
) -> list[Source]:
    """The training sets of folders, and with `validation` their validation sets, in place of the
    folders."""
    return [
        one
        for source, layout in zip(sources, layouts, strict=True)
        for one in (_splits(layout, validation) if layout else [source])
    ]


def _refuse_twice(
    sources: Sequence[Source], layouts: Sequence[Layout | None], selection: Selection
) -> None:
    """Raises DataError for data that two sources name: they would count twice, and some of those
    held out would be learnt from.
    """
    words: dict[str, str] = {}
    for source, layout in zip(sources, layouts, strict=True):
        for one in split_up([source], [layout], validation=True):
            is_path = one.kind in (SourceKind.FOLDER, SourceKind.ARCHIVE, SourceKind.FILE)
            place = real_place(one.word) if is_path else one.called("train")
            if place in words:
                raise DataError(
                    f"--dataset {words[place]} and --dataset {source.word} name the same data:"
                    " leave out one of them"
                )
            words[place] = source.word
    for place, word in words.items():
        for folder in folders_above(place) if os.path.isabs(place) or is_url(place) else ():
            if folder in words and _is_read_with(place, folder, selection):
                raise DataError(
                    f"--dataset {word} is in --dataset {words[folder]}, and is read with it: leave"
                    " out one of them"
                )


def _is_read_with(place: str, folder: str, selection: Selection) -> bool:
    """Whether a file or folder is read with a folder that it lies in."""
    inner = place.removeprefix(folder.rstrip("/") + "/")
    read = selection.enters if is_folder(place) else selection.takes
    if read(inner):
        return True
    if not selection.contained or not is_container(place):
        return False
    return any(real_place(one.file) == place for one in find_files(folder, selection))


def _splits(layout: Layout, validation: bool) -> list[Source]:
    splits = [layout.training, layout.validation if validation else None]
    return [Source(split, SourceKind.FOLDER) for split in splits if split]
