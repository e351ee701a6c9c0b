"""Training sets of vectors, and the config that is resolved for them."""

import dataclasses
import logging
import math
from collections.abc import Callable

import numpy as np

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.config.spelling import first_of
from aectl.data.training_sources import TrainingSources
from aectl.data.vectors import vector_set
from aectl.data.vectors.columns import Wanted
from aectl.data.vectors.vector_inputs import VectorInputs
from aectl.data.vectors.vector_set import VectorSet
from aectl.errors import ConfigError
from aectl.models.model_card import ModelCard
from aectl.training import memory
from aectl.training.capacity import in_words
from aectl.training.folder_defaults import with_own_validation
from aectl.training.reading import Reading, TrainingRequest

log = logging.getLogger(__name__)

MOST_NAMED = 5

UNLIKE = 1000
"""The ratio of the standard deviations of two features above which all are scaled, by default: the
error of the others would count for nothing.
"""

BUFFER_BYTES = 256 << 20
"""Bytes of the vectors that are shuffled together where they are read from disk, by default."""


def settled(card: ModelCard) -> dict[str, object]:
    """The preprocessing of a model as options, for a training that starts from it."""
    config = card.architecture.config
    named = {
        name: card.options[name] for name in ("id_column", "label_column") if name in card.options
    }
    columns = {"columns": card.columns} if card.columns else {}
    return {"scale": config.scale, "missing": config.missing, **columns, **named}


def read(config: Config, reading: Reading, request: TrainingRequest) -> tuple[Config, VectorSet]:
    """The training set, and the config resolved for it. Raises ConfigError or DataError."""
    found = _loaded(config, reading, request.sources, reading.memory)
    config = _with_buffer(config, found)
    if found.held_out is not None:
        config = with_own_validation(config, len(found.held_out) / len(found), request.asked)
    if constant := found.constant:
        named = first_of(constant, MOST_NAMED)
        log.info("features that are the same in all vectors: %s (%s)", f"{len(constant):,}", named)
    if "scale" not in request.asked:
        config = _with_scale(config, found)
    return resolved(config, found, request.encoder), found


def resolved(config: Config, found: VectorSet, encoder: ModelCard | None) -> Config:
    """The config resolved for vectors, or for their codes by an encoder. Raises ConfigError for
    vectors that the encoder does not take."""
    width = found.shape.features
    if encoder:
        if encoder.architecture.input != found.shape:
            taken = encoder.architecture.vector.features
            raise ConfigError(f"--encoder takes {taken:,} features; {found.name} has {width:,}")
        width = encoder.architecture.code_size
    return config.resolved(None, width, len(found))


def read_again(config: Config, reading: Reading, sources: TrainingSources) -> VectorSet:
    """The training set of a config that was resolved for it. Raises DataError."""
    return _loaded(config, reading, sources, math.inf)


def _loaded(config: Config, reading: Reading, sources: TrainingSources, room: float) -> VectorSet:
    """The training set, which stays on disk if it needs more than `room` bytes, or is to be
    shuffled in a buffer."""
    data, labelled = config.data, not KINDS[config.model.model].has_code
    wanted = Wanted(data.columns or (), data.id_column, data.label_column)
    inputs = VectorInputs(
        sources.sources, reading.data_dir, reading.stdin, labels_from_folders=True,
        selection=sources.selection, split="train", skipped=reading.skipped, loose_labels=False,
        walk=sources.walk, wanted=wanted, notice=_once(log.info), memory=memory.of_machine(),
        beside=labelled,
    )  # fmt: skip
    may_lack = config.model.missing != "refuse"
    lbfgs = "--optimizer lbfgs" if config.training.optimizer == "lbfgs" else ""
    return vector_set.load(
        inputs, sources.layouts, reading.on_bad, may_lack, labelled,
        0 if data.shuffle_buffer else room, reading.progress,
        lbfgs or ("--labels" if data.labels else ""),
    )  # fmt: skip


def _with_buffer(config: Config, found: VectorSet) -> Config:
    """The config with the number of vectors that are shuffled together, if they stay on disk."""
    if isinstance(found.vectors, np.ndarray):
        return config
    if config.data.shuffle_buffer is not None:
        return config
    count = max(1, BUFFER_BYTES // (4 * found.shape.features))
    log.info(
        "the vectors need %s, more than half of the memory, or than --memory: they are read from"
        " disk in each epoch, and shuffled %s at a time (--shuffle-buffer)",
        in_words(found.vectors.nbytes), f"{count:,}",
    )  # fmt: skip
    return dataclasses.replace(config, data=dataclasses.replace(config.data, shuffle_buffer=count))


def _once(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Tells each message once."""
    told = set[str]()

    def once(message: str) -> None:
        if message not in told:
            told.add(message)
            tell(message)

    return once


def _with_scale(config: Config, found: VectorSet) -> Config:
    """The config with each feature scaled to a standard deviation of 1, if these are unlike."""
    deviations = found.survey.deviations
    varied = np.flatnonzero(deviations)
    if not len(varied):
        return config
    least, most = varied[deviations[varied].argmin()], varied[deviations[varied].argmax()]
    ratio = deviations[most] / deviations[least]
    if ratio <= UNLIKE:
        return config
    log.info(
        "the standard deviation of %s is %s times that of %s: each feature is scaled to one of 1"
        " (--scale none leaves them as they are)",
        found.feature(int(most)), f"{ratio:,.0f}", found.feature(int(least)),
    )  # fmt: skip
    return dataclasses.replace(config, model=dataclasses.replace(config.model, scale="standard"))
