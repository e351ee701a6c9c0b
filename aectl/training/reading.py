"""How a training set is read, and the request for one."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from aectl.config.configuration import Config
from aectl.config.declaration import flag
from aectl.config.decoding import OnRemark
from aectl.data.images.index_files import is_index
from aectl.data.images.training_images import Watch, unseen
from aectl.data.selection import Skipped
from aectl.data.sources import SEARCHED
from aectl.data.storage.folders import OnBad, ignore
from aectl.data.training_sources import TrainingSources
from aectl.errors import ConfigError
from aectl.models.model_card import ModelCard
from aectl.progress import SILENT, Progress, silent

PATTERNS = ("ext", "include", "exclude")
"""The options that choose among the files of a folder."""


@dataclass(frozen=True)
class Reading:
    """How a training set is read.

    Files are decoded by `workers` processes into `memory` (bytes), or beyond that a temporary file;
    `watch` sees them, and before they are decoded, if that takes long, `on_scale` is told what
    training takes. Files that cannot be read are passed to `on_bad`, remarks on others to
    `on_remark`, and searches record what they skip in `skipped`. `-` reads `stdin`, which lists
    paths that are separated by line ends, or by NUL characters if `null`. `device` is to train on
    them, and `progress` shows that of long work.
    """

    data_dir: Path
    on_bad: OnBad
    workers: int = 1
    memory: float = math.inf
    watch: Watch = unseen
    on_remark: OnRemark = ignore
    on_scale: Callable[[str], None] = silent
    skipped: Skipped = field(default_factory=Skipped)
    stdin: BinaryIO | None = None
    null: bool = False
    device: str = "auto"
    progress: Progress = SILENT


@dataclass(frozen=True)
class TrainingRequest:
    """The `sources` of a training, the options that are `asked` for, and the card of the model that
    it stands on, if any: its `encoder`."""

    sources: TrainingSources
    asked: Mapping[str, object]
    encoder: ModelCard | None = None


def refuse_patterns(config: Config, found: TrainingSources) -> None:
    """Raises ConfigError if options choose files, and none of the sources may hold several."""
    lists = config.data.paths_column is not None
    if any(one.kind in SEARCHED or (lists and is_index(one.file)) for one in found.sources):
        return
    for name in PATTERNS:
        if getattr(config.data, name):
            raise ConfigError(
                f"{flag(name)} chooses among the files of a folder, which"
                f" {' '.join(config.data.dataset)} is not"
            )
