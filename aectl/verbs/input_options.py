"""How inputs are found and read: the options that all verbs but `train` share."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypedDict

from aectl.config.decoding import MAX_PIXELS, REFUSE, OnRemark
from aectl.data.endings import is_archive
from aectl.data.named_inputs import Naming
from aectl.data.selection import Skipped, of_options
from aectl.data.shares import Shard
from aectl.data.storage.folders import OnBad, ignore
from aectl.data.storage.urls import is_url, refuse_secrets
from aectl.data.vectors.columns import Wanted
from aectl.errors import ConfigError
from aectl.modalities.request import Request
from aectl.progress import silent
from aectl.verbs import machine


class InputOptions(TypedDict, total=False):
    """How inputs are found and read, in all verbs; the names are those of the options.

    - `data_dir`: folder of the named datasets.
    - `stdin`: the stream that the input `-` reads; `null`: whether NUL separates its paths.
    - `ext` ("png,jpg"), `include`, `exclude`: which files of folders and archives are read.
    - `label_from_folder`: take the label of an input from the folder in which it lies.
    - `relative_to`, `absolute`: how paths are written.
    - `max_pixels`, `truncated` ("refuse" or "keep"): which image files are read.
    - `columns`, `id_column`, `label_column`: the columns of tables of vectors that are read, the
      last also of tables of images; `paths_column`: that of paths, in tables that list images.
    - `batch_size`, `workers`: inputs at a time, and processes that decode image files.
    - `on_bad(path, reason)`, `on_remark(path, remark)`, `notice(text)`, `warning(text)`: called for
      inputs that cannot be read, remarks on others, and messages.
    - `skipped`: records the files that searches of folders skip.
    """

    data_dir: str | os.PathLike[str]
    stdin: BinaryIO | None
    null: bool
    ext: str | None
    include: Sequence[str]
    exclude: Sequence[str]
    label_from_folder: bool
    relative_to: str | None
    absolute: bool
    max_pixels: int
    truncated: str
    columns: Sequence[str]
    id_column: str | None
    label_column: str | None
    paths_column: str | None
    batch_size: int | None
    workers: int | None
    on_bad: OnBad
    on_remark: OnRemark
    skipped: Skipped
    notice: Callable[[str], None]
    warning: Callable[[str], None]


def request(
    words: str | Sequence[str] | None,
    options: InputOptions,
    unseen: bool = False,
    references: bool = False,
    shard: str | None = None,
) -> Request:
    """The inputs that the words and the options ask for; with `unseen`, without words, those that
    were held out, where the data have no test split; with `references`, each line of text has a
    summary after a tab; with `shard`, such as "3/64", only that share of them is read.

    Raises ConfigError for an empty list of words, which names nothing, where both ways to write
    paths are given, or where the folder does not exist.
    """
    named = [words] if isinstance(words, str) else words
    if named is not None and not len(named):
        raise ConfigError("the list of inputs is empty; leave it out for the test split")
    return Request(
        named,
        Path(options.get("data_dir") or machine.data_dir()),
        options.get("stdin"),
        options.get("null", False),
        options.get("label_from_folder", False),
        of_options(options),
        naming(options.get("relative_to"), options.get("absolute", False)),
        options.get("batch_size"),
        options.get("workers") or machine.workers(),
        options.get("max_pixels", MAX_PIXELS),
        options.get("truncated", REFUSE),
        options.get("on_bad", ignore),
        options.get("on_remark", ignore),
        options.get("skipped") or Skipped(),
        options.get("notice", silent),
        options.get("warning", silent),
        unseen,
        references,
        Wanted(
            tuple(options.get("columns") or ()),
            options.get("id_column"),
            options.get("label_column"),
        ),
        shard=None if shard is None else Shard.parsed(shard),
        paths_column=options.get("paths_column"),
    )


def naming(relative_to: str | None, absolute: bool) -> Naming:
    """How paths are written. Raises ConfigError."""
    if relative_to is not None and absolute:
        raise ConfigError("give either --relative-to or --absolute, not both")
    if relative_to is not None and is_url(relative_to):
        refuse_secrets(relative_to)
    elif relative_to is not None:
        if not os.path.exists(relative_to):
            raise ConfigError(f"--relative-to {relative_to}: there is no such folder or archive")
        if not os.path.isdir(relative_to) and not is_archive(relative_to):
            raise ConfigError(f"--relative-to {relative_to}: it is neither a folder nor an archive")
    return Naming(relative_to, absolute)
