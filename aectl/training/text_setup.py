"""Training sets of text, and the config that is resolved for them."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

from aectl.config import run_files
from aectl.config.configuration import Config
from aectl.config.declaration import flag, text
from aectl.config.kinds import KINDS, WORDS
from aectl.config.kinds import TEXT as TEXT_MODALITY
from aectl.data.text import text_sets
from aectl.data.text.text_inputs import EVERY_TEXT, TEXT, LineCounts, TextInputs
from aectl.data.text.text_sets import TextSet
from aectl.data.training_sources import TrainingSources
from aectl.errors import ConfigError, ModelFileError
from aectl.models import model_file
from aectl.models.model_card import ModelCard
from aectl.training.folder_defaults import with_own_validation
from aectl.training.reading import Reading, TrainingRequest

log = logging.getLogger(__name__)


def settled(card: ModelCard, asked: Mapping[str, object]) -> dict[str, object]:
    """The length and the vocabulary of a model as options, for a training that starts from it.

    Raises ConfigError for another vocabulary, which its weights do not fit.
    """
    size = card.options.get("vocabulary")
    if asked.get("vocabulary", size) != size:
        raise ConfigError("--vocabulary cannot go with --load: the model has a vocabulary already")
    vocabulary = {} if size is None else {"vocabulary": size}
    return {"length": card.architecture.text.length, **vocabulary}


def names_model(prior: str) -> bool:
    """Whether a prior is a model file or a run folder, and not text."""
    path = Path(prior)
    return path.suffix == Path(run_files.MODEL).suffix or (path / run_files.MODEL).is_file()


def settled_by_prior(asked: Mapping[str, object]) -> dict[str, object]:
    """The units and the vocabulary of the model whose language model is taken, if any, as options.

    Raises ConfigError for others, and ModelFileError for a model without a language model.
    """
    path = asked.get("prior")
    if asked.get("bottleneck") != WORDS or not isinstance(path, str) or not names_model(path):
        return {}
    card = model_file.read_card(Path(path))
    architecture = card.architecture
    if architecture.modality != TEXT_MODALITY or architecture.code_is_vector:
        raise ModelFileError(
            f"--prior needs text, or a text autoencoder with --bottleneck {WORDS}; {path} has no"
            " language model"
        )
    if "lm_epochs" in asked:
        raise ConfigError(f"--lm-epochs has no effect with --prior {path}, which is trained")
    own = {"hidden": architecture.config.hidden, "vocabulary": card.options.get("vocabulary")}
    settled = {name: value for name, value in own.items() if value is not None}
    for name, value in settled.items():
        if asked.get(name, value) != value:
            raise ConfigError(
                f"{flag(name)} {text(asked[name])} does not fit the language model of --prior"
                f" {path}: its {flag(name)} is {text(value)}"
            )
    return {"model": architecture.kind, "bottleneck": WORDS, **settled}


def read(config: Config, reading: Reading, request: TrainingRequest) -> tuple[Config, TextSet]:
    """The training set, and the config resolved for it. Raises ConfigError or DataError."""
    if request.encoder is None and not KINDS[config.model.model].has_code:
        raise ConfigError(
            f"--model {config.model.model} learns from the code of text: train a text autoencoder,"
            " --model text-autoencoder, and name it with --encoder"
        )
    width = request.encoder.architecture.code_size if request.encoder else 0
    found = _lines(reading, request.sources)
    words = TEXT.without_train(found.words)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=words))
    if found.held_out is not None:
        config = with_own_validation(config, len(found.held_out) / len(found), request.asked)
    length, prior, of_prior = config.data.length, config.training.prior, None
    if prior and names_model(prior):
        of_prior = 0
    elif prior:
        read_too = _prior(prior, reading)
        found, of_prior = dataclasses.replace(found, prior=read_too), read_too.parts(length)
    return config.resolved(None, width, found.parts(length), of_prior=of_prior), found


def read_again(config: Config, reading: Reading, sources: TrainingSources) -> TextSet:
    """The training set of a resolved config. Raises DataError."""
    found, training = _lines(reading, sources), config.training
    if training.prior is None or training.takes_language_model:
        return found
    return dataclasses.replace(found, prior=_prior(training.prior, reading))


def _prior(word: str, reading: Reading) -> TextSet:
    """The text that a language model learns from, all but a validation set of its own."""
    sources = TrainingSources.named(TEXT, [word], None, EVERY_TEXT)
    return _lines(reading, sources).without_held_out


def _lines(reading: Reading, sources: TrainingSources) -> TextSet:
    """All lines; empty ones are counted in a message. Raises DataError."""
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
