"""Folders with their splits in sub-folders: `train/` alone, or beside `val/` or `test/`."""

import os
from typing import NamedTuple

from aectl.data.images.decode import is_own
from aectl.data.selection import Selection
from aectl.data.storage.folders import holds_wanted
from aectl.errors import DataError

TRAINING = ("train", "training")
VALIDATION = ("val", "valid", "validation", "validate", "dev")
TEST = ("test", "testing", "eval", "evaluation")
"""The names of the sub-folders, in lower case."""

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


def layout_of(folder: str, selection: Selection, to_train: bool = False) -> Layout | None:
    """The splits of a folder; None unless it has a training set, alone or beside another split.

    If all wanted files are in one sub-folder, that one may hold the splits. With `to_train`, raises
    DataError if all sub-folders are validation or test sets, or several have splits of their own,
    because these are not classes.
    """
    alone: Layout | None = None
    for _ in range(DEEPEST):
        names, files = _content(folder, selection)
        found = [_first(names, kinds) for kinds in (TRAINING, VALIDATION, TEST)]
        training, validation, test = (name and os.path.join(folder, name) for name in found)
        if training and (validation or test):
            others = [name for name in names if name not in found]
            return Layout(training, validation, test, others + [BESIDE] * files)
        unlearnt = names and all(name.lower() in VALIDATION + TEST for name in names)
        if to_train and unlearnt and alone is None:
            raise DataError(
                f"{folder} holds {' and '.join(names)}, and no train: name the folder to train on,"
                f" such as {os.path.join(folder, names[0])}"
            )
        if to_train:
            _refuse_several(folder, names, selection)
        only = None if files else _only_one(folder, names, selection)
        if only is None:
            break
        folder = os.path.join(folder, only)
        if only == found[0]:
            alone = Layout(folder, None, None, [name for name in names if name != only])
    return alone


def _refuse_several(folder: str, names: list[str], selection: Selection) -> None:
    """Raises DataError if sub-folders have splits of their own, because these are not classes."""
    having = [
        name
        for name in names
        if _has_splits(os.path.join(folder, name)) and holds_wanted(folder, name, selection)
    ]
    if len(having) > 1:
        named = ", ".join(having[:MOST_NAMED]) + ", ..." * (len(having) > MOST_NAMED)
        raise DataError(
            f"{folder} holds folders with training and test sets of their own ({named}): name the"
            f" folders to train on, such as --dataset {os.path.join(folder, having[0])}; --dataset"
            " may be given several times"
        )


def _has_splits(folder: str) -> bool:
    """Whether a folder has a training set beside another split, by the usual names."""

    def has(names: tuple[str, ...]) -> bool:
        return any(os.path.isdir(os.path.join(folder, name)) for name in names)

    return has(TRAINING) and has(VALIDATION + TEST)


def _content(folder: str, selection: Selection) -> tuple[list[str], bool]:
    """The sorted names of the sub-folders that a search enters, and whether the folder itself
    contains a wanted file; empty if it cannot be searched.
    """
    names, files = [], False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if selection.enters(entry.name):
                        names.append(entry.name)
                elif not files:
                    files = selection.takes(entry.name) and not is_own(entry.path)
    except OSError:
        return [], False
    return sorted(names), files


def _only_one(folder: str, names: list[str], selection: Selection) -> str | None:
    """The only sub-folder with wanted files; None if there are several."""
    wanted = (name for name in names if holds_wanted(folder, name, selection))
    first, second = next(wanted, None), next(wanted, None)
    return first if second is None else None


def _first(names: list[str], kinds: tuple[str, ...]) -> str | None:
    return next((name for kind in kinds for name in names if name.lower() == kind), None)
