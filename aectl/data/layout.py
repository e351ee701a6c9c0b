"""Folders with their splits in sub-folders: `train/` alone, or beside `val/` or `test/`."""

import os
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from aectl.config.spelling import first_of
from aectl.data.images.decode import is_own
from aectl.data.selection import Selection
from aectl.data.storage.folders import holds_wanted
from aectl.data.storage.places import content_of, is_folder
from aectl.errors import DataError

TRAINING = ("train", "training", "trainval")
VALIDATION = ("val", "valid", "validation", "validate", "dev")
TEST = ("test", "testing", "eval", "evaluation")
"""The names of splits, in lower case."""

WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")
SET = "set"

BESIDE = "files beside these folders"
MOST_NAMED = 3

DEEPEST = 8
"""Maximum depth at which splits are searched for in nested folders, each the only one in its
parent."""


class Layout(NamedTuple):
    """The paths of the splits of a folder; `others` names what lies beside them and is not read."""

    training: str
    validation: str | None
    test: str | None
    others: list[str]

    def split_of(self, path: str) -> str | None:
        """The split that a file belongs to."""
        splits = (self.training, self.validation, self.test)
        return next((split for split in splits if split and path.startswith(split + "/")), None)


class _Splits(NamedTuple):
    """Names of folders that differ only in the split that they name."""

    training: str | None = None
    validation: str | None = None
    test: str | None = None

    @property
    def whole(self) -> bool:
        """Whether there is a training set beside another split."""
        return self.training is not None and (self.validation or self.test) is not None


NO_SPLITS = _Splits()


def layout_of(folder: str, selection: Selection, to_train: bool = False) -> Layout | None:
    """The splits of a folder; None unless it has a training set, alone or beside another split.

    The name of a split may be a word of longer names that are otherwise equal, such as `train2017`
    and `val2017`. If all wanted files are in one sub-folder, that one may hold the splits. With
    `to_train`, raises DataError if all sub-folders are validation or test sets, or there are
    several training sets beside other splits, because these are not classes.
    """
    alone: Layout | None = None
    for _ in range(DEEPEST):
        names, files = _content(folder, selection)
        named = _named_splits(names)
        found = _chosen(folder, named, selection)
        training, validation, test = (name and _inner(folder, name, selection) for name in found)
        if training and (validation or test):
            others = [name for name in names if name not in found]
            return Layout(training, validation, test, others + [BESIDE] * files)
        if to_train:
            if alone is None:
                _refuse_without_training(folder, names, named)
            _refuse_several(folder, names, named, selection)
        only = None if files else _only_one(folder, names, selection)
        if only is None:
            break
        folder = os.path.join(folder, only)
        if any(only == splits.training for splits in named.values()):
            alone = Layout(folder, None, None, [name for name in names if name != only])
    return alone


def refuse_splits(archive: str, folders: Iterable[str]) -> None:
    """Raises DataError for an archive with a training set beside other splits, which are not
    classes. `folders`: those in it, whose paths start with that of the archive.
    """
    root = os.path.commonpath(folders)
    below = (PurePosixPath(folder).relative_to(root).parts for folder in folders)
    for splits in _named_splits({parts[0] for parts in below if parts}).values():
        if splits.whole:
            there = ", ".join(name for name in splits if name)
            raise DataError(
                f"{archive} holds splits ({there}), which are used as such only in a folder: unpack"
                f" it, or choose one, such as --include '*{splits.training}/*'"
            )


def refuse_mixed(folder: str, files: Iterable[str]) -> None:
    """Raises DataError for files of a folder, each with several images, that are named after
    different splits, such as `train-00000-of-00002.parquet` and `test-00000-of-00001.parquet`."""
    found: dict[tuple[str, ...], str] = {}
    for path in files:
        name = os.path.basename(path)
        words = [one[0].lower() for one in WORD.finditer(name)]
        for split in (TRAINING, VALIDATION, TEST):
            if any(word in split for word in words):
                found.setdefault(split, name)
    if TRAINING in found and len(found) > 1:
        word = next(one[0] for one in WORD.finditer(found[TRAINING]) if one[0].lower() in TRAINING)
        raise DataError(
            f"{folder} holds several splits ({', '.join(found.values())}): choose one, such as"
            f" --include '*{word}*'"
        )


def _named_splits(names: Iterable[str]) -> dict[str, _Splits]:
    """The names that have the name of one split as a word, by the rest of the name: empty for
    `train` and `val`, "2017" for `train2017`, "set" for `trainset`, "seg_" for `seg_train`.
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        words = [
            (at.start(), word)
            for at in WORD.finditer(name)
            if (word := at[0].lower().removesuffix(SET)) in TRAINING + VALIDATION + TEST
        ]
        if len(words) == 1:
            ((start, word),) = words
            rest = name[:start] + name[start + len(word) :]
            found.setdefault(rest.lower(), {}).setdefault(word, name)
    return {
        rest: _Splits(*(_first(by_word, kinds) for kinds in (TRAINING, VALIDATION, TEST)))
        for rest, by_word in found.items()
    }


def _first(by_word: dict[str, str], kinds: tuple[str, ...]) -> str | None:
    return next((by_word[kind] for kind in kinds if kind in by_word), None)


def _chosen(folder: str, named: dict[str, _Splits], selection: Selection) -> _Splits:
    """The splits of a folder: those without other words in their names, or the only others."""
    plain = named.get("", NO_SPLITS)
    several = [] if plain.whole else _learnt_from(folder, named, selection)
    return plain if plain.whole else several[0] if len(several) == 1 else NO_SPLITS


def _inner(folder: str, name: str, selection: Selection) -> str:
    """The folder of a split; if all it contains is a folder of the same name, that one."""
    path, inner = os.path.join(folder, name), os.path.join(folder, name, name)
    alone = is_folder(inner) and _content(path, selection) == ([name], False)
    return inner if alone else path


def _learnt_from(folder: str, named: dict[str, _Splits], selection: Selection) -> list[_Splits]:
    """Those with wanted files in a training set beside another split."""
    return [
        splits
        for splits in named.values()
        if splits.whole and holds_wanted(folder, str(splits.training), selection)
    ]


def _refuse_without_training(folder: str, names: list[str], named: dict[str, _Splits]) -> None:
    """Raises DataError if all sub-folders are validation or test sets, which are not classes."""
    if len(names) == 0 or any(splits.training for splits in named.values()):
        return
    unlearnt = {name for splits in named.values() for name in splits if name}
    if unlearnt.issuperset(names) and (len(names) > 1 or "" in named):
        raise DataError(
            f"{folder} holds {' and '.join(names)}, and no train: name the folder to train on,"
            f" such as {os.path.join(folder, names[0])}"
        )


def _refuse_several(
    folder: str, names: list[str], named: dict[str, _Splits], selection: Selection
) -> None:
    """Raises DataError if there are several training sets beside other splits, here or in the
    sub-folders, because these are not classes.
    """
    sets = [str(splits.training) for splits in _learnt_from(folder, named, selection)]
    having = [
        name
        for name in names
        if _has_splits(os.path.join(folder, name)) and holds_wanted(folder, name, selection)
    ]
    own = "folders with training and test sets of their own"
    for what, several in (("several training sets", sets), (own, having)):
        if len(several) > 1:
            listed = first_of(several, MOST_NAMED)
            raise DataError(
                f"{folder} holds {what} ({listed}): name the folders to train on, such as --dataset"
                f" {os.path.join(folder, several[0])}; --dataset may be given several times"
            )


def _has_splits(folder: str) -> bool:
    """Whether a folder has a training set beside another split, by the usual names."""

    def has(names: tuple[str, ...]) -> bool:
        return any(is_folder(os.path.join(folder, name)) for name in names)

    return has(TRAINING) and has(VALIDATION + TEST)


def _content(folder: str, selection: Selection) -> tuple[list[str], bool]:
    """The sorted names of the sub-folders that a search enters, and whether the folder itself
    contains a wanted file; empty if it cannot be searched.
    """
    names, files = [], False
    try:
        for one in content_of(folder):
            if one.is_folder:
                if selection.enters(one.name):
                    names.append(one.name)
            elif not files:
                files = selection.takes(one.name) and not is_own(one.path)
    except OSError:
        return [], False
    return sorted(names), files


def _only_one(folder: str, names: list[str], selection: Selection) -> str | None:
    """The only sub-folder with wanted files; None if there are several."""
    wanted = (name for name in names if holds_wanted(folder, name, selection))
    first, second = next(wanted, None), next(wanted, None)
    return first if second is None else None
