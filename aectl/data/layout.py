"""Folders that hold their splits in sub-folders: `train/` alone, or beside `val/` or `test/`."""

import os
from typing import NamedTuple

from aectl.errors import DataError

TRAINING = ("train", "training")
VALIDATION = ("val", "valid", "validation", "validate", "dev")
TEST = ("test", "testing", "eval", "evaluation")
"""The names of the sub-folders, in lower case."""


class Layout(NamedTuple):
    """The paths of the splits of a folder; `others` are the names of its further sub-folders."""

    training: str
    validation: str | None
    test: str | None
    others: list[str]

    def split_of(self, path: str) -> str | None:
        """The split that a file belongs to."""
        splits = (self.training, self.validation, self.test)
        return next((split for split in splits if split and path.startswith(split + "/")), None)


def layout_of(folder: str) -> Layout | None:
    """The splits of a folder; None unless it has a training set, alone or beside another split."""
    names = _sub_folders(folder)
    found = [_first(names, kinds) for kinds in (TRAINING, VALIDATION, TEST)]
    training, validation, test = (name and os.path.join(folder, name) for name in found)
    if training is None or (validation is None and test is None and len(names) > 1):
        return None
    return Layout(training, validation, test, [name for name in names if name not in found])


def refuse_splits_without_training(folder: str) -> None:
    """Raises DataError where all sub-folders are validation or test sets, which are no classes."""
    names = _sub_folders(folder)
    if names and all(name.lower() in VALIDATION + TEST for name in names):
        raise DataError(
            f"{folder} holds {' and '.join(names)}, and no train: name the folder to train on,"
            f" such as {os.path.join(folder, names[0])}"
        )


def training_part(folder: str) -> str:
    """The folder of the training set: a sub-folder if there are splits, else the folder itself."""
    layout = layout_of(folder)
    return layout.training if layout else folder


def _sub_folders(folder: str) -> list[str]:
    """Their names, sorted, but for hidden ones; none where the folder cannot be searched."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.name[0] != "." and e.is_dir())
    except OSError:
        return []


def _first(names: list[str], kinds: tuple[str, ...]) -> str | None:
    return next((name for kind in kinds for name in names if name.lower() == kind), None)
