"""Models by what a user names them: files of this machine, and files at URLs."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from aectl.config import run_files
from aectl.config.spelling import first_of
from aectl.data.storage import cache, drivers, network
from aectl.data.storage.urls import is_url, join, name_in, refuse_secrets
from aectl.errors import DataError, ModelFileError
from aectl.models.imported import recognition
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
    with _explained(word):
        room = machine.data_dir() / "models"
        if network.is_off():
            return _in_cache(word, room)
        if not word.lower().endswith(ENDING) and drivers.entry_of(word).is_folder:
            names = [one.name for one in drivers.entries_of(word) if not one.is_folder]
            word = join(word, _only_model(word, names))
        return cache.kept(word, room)


def located_source(source: "str | os.PathLike[str]") -> Path:
    """The path of a model of another program: of one at a URL, that of a copy in the user's cache.

    A URL names a folder with a config and weights, or a file of tensors. Raises ModelFileError.
    """
    word = os.fspath(source)
    if not is_url(word):
        return Path(word)
    with _explained(word):
        room = machine.data_dir() / "models"
        if name_in(word).lower().endswith(ENDING):
            return cache.kept(word, room)
        if network.is_off():
            names = os.listdir(cache.place_of(word, room))
        else:
            names = [one.name for one in drivers.entries_of(word)]
        for one in recognition.FOLDERS:
            if {one.config, one.weights} <= set(names):
                for name in (one.config, one.weights):
                    path = cache.kept(join(word, name), room)
                return path.parent
    raise recognition.unknown(word)


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Raises ModelFileError where a URL holds credentials, or what it names cannot be read."""
    try:
        refuse_secrets(url)
        yield
    except DataError as error:
        raise ModelFileError(str(error)) from None
    except OSError as error:
        raise ModelFileError(f"no model {url}: {error.strerror or error}") from None


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
