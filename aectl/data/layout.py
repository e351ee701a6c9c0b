"""Folders that hold their splits in sub-folders: `train/` beside `val/` or `test/`."""

import os
from typing import NamedTuple

TRAINING = ("train", "training")
VALIDATION = ("val", "valid", "validation", "dev")
TEST = ("test", "testing")
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
    """The splits of a folder; None unless it has a training set and another one."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.name[0] != "." and e.is_dir())
    except OSError:
        return None
    found = [_first(names, kinds) for kinds in (TRAINING, VALIDATION, TEST)]
    training, validation, test = (name and os.path.join(folder, name) for name in found)
    if training is None or (validation is None and test is None):
        return None
    return Layout(training, validation, test, [name for name in names if name not in found])


def training_part(folder: str) -> str:
    """The folder of the training set: a sub-folder if there are splits, else the folder itself."""
    layout = layout_of(folder)
    return layout.training if layout else folder


def _first(names: list[str], kinds: tuple[str, ...]) -> str | None:
    return next((name for kind in kinds for name in names if name.lower() == kind), None)
