"""Normal inputs to calibrate anomaly scores on: those that a model did not learn from.

A model's errors on inputs that it learnt from are smaller than on others like them, so that these
would be flagged too often.
"""

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator, Sequence

from aectl.config.spelling import first_of
from aectl.data.images.index_files import is_index
from aectl.data.layout import layout_of
from aectl.data.selection import Selection
from aectl.data.sources import STDIN, DatasetName, Names, Source, SourceKind, path_digest
from aectl.data.storage.containers import is_container
from aectl.data.storage.folders import find_inputs
from aectl.data.training_sources import split_up
from aectl.errors import DataError, UnknownInputError
from aectl.modalities.request import Request
from aectl.models.model_card import ModelCard

LISTED = SourceKind.STDIN, SourceKind.SERIES
ON_DISK = SourceKind.FOLDER, SourceKind.FILE, SourceKind.ARCHIVE

MOST_NAMED = 3


def unlearnt(
    sources: Sequence[Source],
    card: ModelCard,
    request: Request,
    names: Names,
    selections: tuple[Selection, Selection],
) -> list[Source]:
    """The sources without what the model learnt from; `selections`: the files of folders that are
    read, and those that were.

    A warning says where it cannot be known. Raises DataError where nothing is left.
    """
    wanted, trained = selections
    learnt, unknown = _learnt(card, names, trained)
    if not card.trained_on:
        unknown = ["data that it does not name", *unknown]
    elif any(source.kind in LISTED for source in sources):
        unknown = [*card.trained_on]
    if unknown:
        request.warning(
            f"the model was trained on {first_of(unknown, MOST_NAMED)}: whether it learnt from the"
            " normal inputs is not known; if it did, too many inputs are flagged"
        )
    found, left_out = [], 0
    on_disk = learnt if any(one.kind in ON_DISK for one in sources) else []
    files = {path for one in on_disk for path in _real(_files(one, trained))}
    for source in sources:
        kept, without = _without(source, learnt, files, wanted)
        left_out += without
        found += kept
    if not found:
        raise DataError(
            "the model learnt from all normal inputs, whose errors are smaller than those of others"
            " like them: calibrate on normal inputs that it has not learnt from"
            + (
                ", or on what it held out, without --normal"
                if card.calibration
                else ", or train with --validation, which holds some out"
            )
        )
    if left_out:
        request.notice(f"normal inputs that the model learnt from, left out: {left_out:,}")
    return found


def _learnt(card: ModelCard, names: Names, selection: Selection) -> tuple[list[Source], list[str]]:
    """The sources that a model learnt from, and what else it learnt from, which is not known."""
    found: list[Source] = []
    unknown: list[str] = []
    for word in card.trained_on:
        try:
            source = names.source(word)
        except UnknownInputError:
            unknown.append(word)
            continue
        if source.kind in LISTED:
            unknown.append("a list on stdin" if source.word == STDIN else word)
        if card.options.get("paths_column") and is_index(source.file):
            unknown.append(f"images that {word} lists")
        layout = layout_of(word, selection) if source.is_folder else None
        learnt = split_up([source], [layout], validation=False)
        found += [dataclasses.replace(one, without=card.held_out) for one in learnt]
    return found, unknown + [f"the data of {model}" for model in card.models_before]


def _without(
    source: Source, learnt: Sequence[Source], files: Collection[str], wanted: Selection
) -> tuple[list[Source], int]:
    """The source without what was learnt from, of which `files` are the real paths on disk; none if
    nothing is left. And the number of files left out."""
    if source.kind not in ON_DISK:
        return ([] if any(_holds(one, source) for one in learnt) else [source]), 0
    if not source.is_folder:
        real = os.path.realpath(source.file)
        some = real in files or any(path.startswith(f"{real}/") for path in files)
        return ([] if some else [source]), 0
    there = list(_files(source, wanted)) if files else []
    in_some = tuple(f"{path}/" for path in files if is_container(path))
    without = [
        path
        for path, real in zip(there, _real(there), strict=True)
        if real in files or real.startswith(in_some)
    ]
    if without and len(without) == len(there):
        return [], 0
    return [dataclasses.replace(source, without=frozenset(map(path_digest, without)))], len(without)


def _holds(learnt: Source, source: Source) -> bool:
    """Whether a source that was learnt from holds another that is not on disk as such: a split of a
    dataset, an image of one, or patches of a folder."""
    if source.kind is not learnt.kind or not source.in_memory:
        return False
    if source.kind is SourceKind.PATCHES:
        return os.path.realpath(learnt.scenes) == os.path.realpath(source.scenes)
    whole, part = DatasetName.of(learnt.called("train")), DatasetName.of(source.called("test"))
    return whole in (part, part._replace(place=""))


def _real(paths: Iterable[str]) -> Iterator[str]:
    """The real path of each file; links in a folder's own path are resolved once."""
    folders = dict[str, str]()
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = os.path.join(folders[folder], name)
        yield os.path.realpath(real) if os.path.islink(real) else real


def _files(source: Source, selection: Selection) -> Iterator[str]:
    """The files of a source, if it is on disk."""
    if not source.is_folder:
        if source.kind in ON_DISK:
            yield source.file
        return
    for one in find_inputs(source.word, selection):
        if source.takes(one.path):
            yield one.path
