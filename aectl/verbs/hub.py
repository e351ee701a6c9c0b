"""Models by what a user names them: files of this machine, and files at URLs."""

import os
from collections.abc import Sequence
from pathlib import Path

from aectl.config import run_files
from aectl.config.spelling import first_of
from aectl.data.storage import cache, drivers, network
from aectl.data.storage.urls import is_url, join, refuse_secrets
from aectl.errors import DataError, ModelFileError
from aectl.verbs import machine

ENDING = Path(run_files.MODEL).suffix

MOST_NAMED = 3


def located(model: "str | os.PathLike[str]") -> Path:
    """The path of a model: of one at a URL, that of a copy in the user's cache, which is downloaded
    if the cache has no copy of the same version. Nothing in it is executed.

    A URL may name a folder, or a repository of a hub, with one model. Raises ModelFileError.
    """
    word = os.fspath(model)
    if not is_url(word):
        return Path(word)
    try:
        refuse_secrets(word)
        room = machine.data_dir() / "models"
        if network.is_off():
            return _in_cache(word, room)
        if not word.lower().endswith(ENDING) and drivers.entry_of(word).is_folder:
            names = [one.name for one in drivers.entries_of(word) if not one.is_folder]
            word = join(word, _only_model(word, names))
        return cache.kept(word, room)
    except DataError as error:
        raise ModelFileError(str(error)) from None
    except OSError as error:
        raise ModelFileError(f"no model {word}: {error.strerror or error}") from None


def _in_cache(url: str, room: Path) -> Path:
    """The copy of a model in the cache, or of the one model of a folder. Raises OSError."""
    place = cache.place_of(url, room)
    if place.is_dir():
        url = join(url, _only_model(url, os.listdir(place)))
    return cache.kept(url, room)


def _only_model(folder: str, names: Sequence[str]) -> str:
    """The name of the model file in a folder. Raises ModelFileError unless there is one."""
    models = sorted(name for name in names if name.lower().endswith(ENDING))
    if run_files.MODEL in models:
        return run_files.MODEL
    if len(models) == 1:
        return models[0]
    if not models:
        raise ModelFileError(f"{folder} holds no {ENDING} file")
    listed = first_of(models, MOST_NAMED)
    raise ModelFileError(f"{folder} holds several models ({listed}): name one of them")
