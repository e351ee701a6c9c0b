"""Words that name inputs of another modality than the one that is to read them."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence

from aectl.config.kinds import encoding
from aectl.data.images.index_files import ENDINGS, is_index
from aectl.data.selection import Selection
from aectl.data.storage.folders import find_files
from aectl.errors import DataError
from aectl.modalities import MODALITIES, Modality, modality_named


@contextlib.contextmanager
def noted_in_training(
    modality: Modality, words: Sequence[str], others: Sequence[str] = ()
) -> Iterator[None]:
    """Adds notes on the words to a DataError of the block: what a modality cannot learn from, and
    which folders hold nothing of the `others` either, one of which it might have been."""
    try:
        yield
    except DataError as error:
        for what, other in _mismatches(modality, words):
            error.add_note(f"{what}, which --model {encoding(other.name)[0]} learns from")
        _note_lists(error, modality, words)
        for word in filter(os.path.isdir, words):
            for other in map(modality_named, others):
                if not any(_holds(one, word) for one in (modality, other)):
                    error.add_note(f"there are no {other.noun} in {word} either")
        raise


@contextlib.contextmanager
def noted_in_use(modality: Modality, words: Sequence[str]) -> Iterator[None]:
    """Adds notes to a DataError of the block: which words a model of a modality cannot take."""
    try:
        yield
    except DataError as error:
        for what, _ in _mismatches(modality, words):
            error.add_note(f"{what}, and the model takes {modality.name}")
        _note_lists(error, modality, words)
        raise


def _note_lists(error: DataError, modality: Modality, words: Iterable[str]) -> None:
    """Adds a note where the words name tables, or folders with tables alone, that may list inputs
    of the modality."""
    if modality.names.listed_by and any(map(_may_list, words)):
        error.add_note(
            f"a table that lists {modality.name} is named itself, with {modality.names.listed_by}"
            " and the column of their paths"
        )


def _may_list(word: str) -> bool:
    """Whether a word names a table on this machine, or a folder with one."""
    if not os.path.isdir(word):
        return os.path.isfile(word) and is_index(word)
    tables = Selection(ENDINGS)
    return any(one.reason is None and is_index(one.file) for one in find_files(word, tables))


def _mismatches(modality: Modality, words: Iterable[str]) -> Iterator[tuple[str, Modality]]:
    """For each word that names inputs of other modalities alone: what it is, and the first of
    those."""
    every = list(map(modality_named, MODALITIES))
    for word in words:
        having = [one for one in every if one.names.claims(word) or _holds(one, word)]
        if having and modality not in having:
            other, *_ = having
            what = (
                f"is {other.known_by_name}" if other.names.claims(word) else f"holds {other.name}"
            )
            yield f"{word} {what}", other


def _holds(modality: Modality, word: str) -> bool:
    """Whether a word names a folder with files of a modality, by their usual extensions."""
    usual = Selection().usually(modality.names.endings)
    return os.path.isdir(word) and next(find_files(word, usual), None) is not None
