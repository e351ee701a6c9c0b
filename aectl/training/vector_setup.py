"""Training sets of vectors, and the config that is resolved for them."""

import logging
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
from aectl.training.folder_defaults import with_own_validation
from aectl.training.reading import Reading, TrainingRequest

log = logging.getLogger(__name__)

MOST_NAMED = 5

UNLIKE, SAMPLED = 1000, 10_000
"""The ratio of the standard deviations of two features from which on a notice suggests a scaling,
and the vectors that they are computed from."""


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
    found = read_again(config, reading, request.sources)
    if found.held_out is not None:
        config = with_own_validation(config, len(found.held_out) / len(found), request.asked)
    width = found.shape.features
    if encoder := request.encoder:
        if encoder.architecture.input != found.shape:
            taken = encoder.architecture.vector.features
            raise ConfigError(f"--encoder takes {taken:,} features; {found.name} has {width:,}")
        width = encoder.architecture.code_size
    _tell(config, found)
    return config.resolved(None, width, len(found)), found


def read_again(config: Config, reading: Reading, sources: TrainingSources) -> VectorSet:
    """The training set of a config. Raises DataError."""
    data = config.data
    wanted = Wanted(data.columns or (), data.id_column, data.label_column)
    inputs = VectorInputs(
        sources.sources, reading.data_dir, reading.stdin, labels_from_folders=True,
        selection=sources.selection, split="train", skipped=reading.skipped, loose_labels=False,
        walk=sources.walk, wanted=wanted, notice=_once(log.info),
    )  # fmt: skip
    labelled = not KINDS[config.model.model].has_code
    may_lack = config.model.missing != "refuse"
    return vector_set.load(inputs, sources.layouts, reading.on_bad, may_lack, labelled)


def _once(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Tells each message once."""
    told = set[str]()

    def once(message: str) -> None:
        if message not in told:
            told.add(message)
            tell(message)

    return once


def _tell(config: Config, found: VectorSet) -> None:
    """Says which features are constant, and whether their scales differ much."""
    if constant := found.constant:
        log.info(
            "features that are the same in all vectors: %s (%s)",
            f"{len(constant):,}",
            first_of(constant, MOST_NAMED),
        )
    if config.model.scale == "none":
        spread = found.deviations(SAMPLED)
        varied = spread[spread > 0]
        if len(varied) and varied.max() > UNLIKE * varied.min():
            most, least = (found.feature(int(np.flatnonzero(spread == one)[0])) for one in
                           (varied.max(), varied.min()))  # fmt: skip
            log.info(
                "the standard deviation of %s is %s times that of %s: --scale standard gives all"
                " features the same weight",
                most, f"{varied.max() / varied.min():,.0f}", least,
            )  # fmt: skip
