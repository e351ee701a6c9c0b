"""Training sets of text, and the config that is resolved for them."""

import dataclasses
import logging
from collections.abc import Mapping

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.config.declaration import flag
from aectl.data.text import text_sets
from aectl.data.text.text_inputs import TEXT, LineCounts, TextInputs
from aectl.data.text.text_sets import TextSet
from aectl.data.training_sources import TrainingSources
from aectl.errors import ConfigError
from aectl.models.model_card import ModelCard
from aectl.training.folder_defaults import with_own_validation
from aectl.training.reading import Reading, TrainingRequest

log = logging.getLogger(__name__)

OF_IMAGES_ALONE = (
    "size", "channels", "shift", "flip", "labels", "patches", "value_range",
    "max_pixels", "truncated",
)  # fmt: skip


def settled(card: ModelCard, asked: Mapping[str, object]) -> dict[str, object]:
    """The length and the vocabulary of a model as options, for a training that starts from it.

    Raises ConfigError for another vocabulary, which its weights do not fit.
    """
    size = card.options.get("vocabulary")
    if asked.get("vocabulary", size) != size:
        raise ConfigError("--vocabulary cannot go with --load: the model has a vocabulary already")
    vocabulary = {} if size is None else {"vocabulary": size}
    return {"length": card.architecture.text.length, **vocabulary}


def read(config: Config, reading: Reading, request: TrainingRequest) -> tuple[Config, TextSet]:
    """The training set, and the config resolved for it. Raises ConfigError or DataError."""
    width = 0
    if request.encoder:
        width, path = request.encoder.architecture.code_size, config.training.encoder
        for name in OF_IMAGES_ALONE:
            if getattr(config.data, name) != OPTIONS[name].default:
                raise ConfigError(f"{flag(name)} has no effect on texts, which {path} encodes")
    found = read_again(config, reading, request.sources)
    words = TEXT.without_train(found.words)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=words))
    if found.held_out is not None:
        config = with_own_validation(config, len(found.held_out) / len(found), request.asked)
    return config.resolved(None, width, found.parts(config.data.length)), found


def read_again(config: Config, reading: Reading, sources: TrainingSources) -> TextSet:
    """The training set; empty lines are counted in a message. Raises DataError."""
    counts = LineCounts()
    inputs = TextInputs(
        sources.sources, reading.data_dir, reading.stdin, labels_from_folders=True,
        selection=sources.selection, split="train", counts=counts, skipped=reading.skipped,
        loose_labels=False, walk=sources.walk,
    )  # fmt: skip
    found = text_sets.load(inputs, sources.layouts, reading.on_bad)
    if counts.empty:
        log.info("empty lines of %s, skipped: %s", found.name, f"{counts.empty:,}")
    return found
