"""From the options of a training to its config, its training set and its networks."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from aectl.config import kinds
from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.config.loss_options import LossConfig
from aectl.config.model_options import ModelConfig
from aectl.config.precedence import coerced, refuse_former
from aectl.data.selection import of_options
from aectl.data.training_sources import TrainingSources
from aectl.errors import ConfigError, ModelFileError
from aectl.modalities import Modality, modality_named, modality_of
from aectl.modalities.mismatches import noted_in_training
from aectl.modalities.request import named_by_extension
from aectl.models import model_file
from aectl.models.architecture import SIZES, Architecture
from aectl.models.model_card import ModelCard
from aectl.training import distributed
from aectl.training.reading import PATTERNS, Reading, TrainingRequest, refuse_patterns
from aectl.verbs.hub import located

if TYPE_CHECKING:
    import torch

    from aectl.training.initialisation import Start
    from aectl.training.run import Run
    from aectl.training.state import RunState

OF_THE_LOSS = ("sparsity", *(field.name for field in dataclasses.fields(LossConfig)))


SETTLING = {"paths_column": kinds.IMAGES}
"""Options that say of which modality tables are."""


def prepare(
    given: Mapping[str, object], file: Mapping[str, object], reading: Reading
) -> tuple[Config, Any]:
    """The resolved config of the `given` options over those of a `file`, and its training set.

    Raises ConfigError, DataError or ModelFileError.
    """
    (config,), data = prepare_several([given], file, reading)
    return config, data


def prepare_several(
    runs: Sequence[Mapping[str, object]], file: Mapping[str, object], reading: Reading
) -> tuple[list[Config], Any]:
    """The resolved configs of the options of several runs, which differ in numbers that a sweep
    can take, and the training set of all.

    Raises ConfigError, DataError or ModelFileError.
    """
    given = runs[0]
    asked = {**coerced(file), **coerced(given)}
    encoder = _card(asked.get("encoder"))
    settled = _settled_by_encoder(asked, encoder) | _settled_by_load(asked)
    asked = {**settled, **asked}
    modality = _modality(asked, encoder)
    if len(runs) > 1 and not modality.swept:
        raise ConfigError(
            f"several values of an option are for runs on vectors; on {modality.noun}, give one"
            " value, and start a training for each"
        )
    words, found = cast("tuple[str, ...]", asked.get("dataset", ())), None
    if words:
        found = _found(modality, words, asked, reading)
        settled |= modality.settled_by_data(found, reading.skipped, asked)
    if {**settled, **asked}.get("model", ModelConfig.model) in kinds.of_several_modalities():
        settled["modality"] = modality.name
    config, *others = (Config.from_options(one, file, settled) for one in runs)
    distributed.refuse(config)
    found = found or _found(modality, config.data.dataset, asked, reading)
    refuse_patterns(config, found)
    request = TrainingRequest(found, asked, encoder)
    open_to = () if encoder or "modality" in asked else _possible(asked)
    instead = [one for one in open_to if one != modality.name]
    named = named_by_extension(config.data.dataset, config.data.paths_column)
    with noted_in_training(modality, named, instead):
        config, data = modality.training_set(config, reading, request)
    others = [settled_as(config, one) for one in others]
    return [config, *(modality.resolved(one, data, encoder) for one in others)], data


def settled_as(first: Config, config: Config) -> Config:
    """The config with what the data decided for the first one."""
    model = dataclasses.replace(config.model, scale=first.model.scale)
    return dataclasses.replace(config, data=first.data, model=model)


def prepare_again(
    given: Mapping[str, object],
    options: Mapping[str, object],
    reading: Reading,
    resumed: "RunState",
) -> tuple[Config, Any]:
    """The config of a run that is resumed with its `options`, all resolved, and its training set.

    No model that it started from is needed. Raises ConfigError, DataError or ModelFileError.
    """
    described = architecture_of(resumed)
    config = config_again(given, options, described)
    modality = modality_named(described.modality)
    found = _found(modality, config.data.dataset, config.values(), reading)
    return config, modality.training_set_again(config, reading, found)


def config_again(
    given: Mapping[str, object], options: Mapping[str, object], described: Architecture
) -> Config:
    """The config of the resolved `options` of a run with such an architecture.

    Raises ConfigError or ModelFileError.
    """
    if described.kind in kinds.choosing_bottleneck():  # older versions did not write it
        options = {"bottleneck": described.config.bottleneck, **options}
    if described.kind in kinds.of_several_modalities():
        options = {"modality": described.modality, **options}
    config = Config.from_options(given, options)
    distributed.refuse(config)
    if config.training.epochs is None or config.model.hidden is None:
        raise ModelFileError("the options in the checkpoint leave --epochs or --hidden open")
    return config


def _found(
    modality: Modality, words: Iterable[str], options: Mapping[str, object], reading: Reading
) -> TrainingSources:
    """The sources that the words of a training name.

    Raises ConfigError for words of another modality, UnknownInputError and DataError.
    """
    if not options.get("paths_column"):  # tables are of images then
        modality.refuse_others(words)
    selection = of_options(options, modality.names.endings)
    return TrainingSources.named(modality.names, words, reading.stdin, selection)


def new_run(
    config: Config,
    data: Any,
    device: "torch.device",
    start: "Start | None",
    resumed: "RunState | None" = None,
) -> "Run":
    """A run on a training set; one that is `resumed` is yet to be restored from that state.

    Raises ConfigError where config, data and start do not fit together, and ModelFileError where
    the state does not fit them.
    """
    if resumed is None:
        encoder = start.encoder[1] if start and start.encoder else None
        assert config.model.modality is not None
        modality = modality_of(encoder) if encoder else modality_named(config.model.modality)
        return modality.run(config, data, device, start)
    found = architecture_of(resumed)
    modality = modality_named(found.modality)
    classes = len(data.classes) if found.classes else 0
    of_data = modality.input_again(data, resumed, found)
    wanted = Architecture(config.model, of_data, classes, found.encoder)
    if wanted.to_json() != found.to_json():
        raise ModelFileError("the architecture in the checkpoint does not fit its options and data")
    return modality.run(config, data, device, start, resumed, found)


def start_of(config: Config) -> "Start":
    """The models that a config starts from. Raises ModelFileError."""
    from aectl.training.initialisation import Start

    paths = config.training
    weights, card = model_file.load(located(paths.load)) if paths.load else (None, None)
    encoder = model_file.load(located(paths.encoder)) if paths.encoder else None
    prior = model_file.load(located(str(paths.prior))) if paths.takes_language_model else None
    of = card or (encoder or prior or (None, None))[1]
    return Start(weights, encoder, of.vocabulary if of else None, prior[0] if prior else None)


def architecture_of(resumed: "RunState") -> Architecture:
    """The architecture of a run that is resumed. Raises ModelFileError."""
    try:
        return Architecture.from_json(resumed.architecture)
    except ConfigError as error:
        raise ModelFileError(f"the architecture in the checkpoint is invalid: {error}") from None


def _modality(asked: Mapping[str, object], encoder: ModelCard | None) -> Modality:
    """The modality of a training: that of the encoder, or the one that is asked for, or of those of
    the kind of model the first one that all the data are of; or, where they are no files, that
    their names look like.

    A kind that does not exist, which the config refuses, has those of the default. Raises
    ConfigError for another than that of the encoder.
    """
    if encoder:
        found = modality_of(encoder)
        if asked.get("modality", found.name) != found.name:
            raise ConfigError(f"--encoder encodes {found.name}, not {asked['modality']}")
        return found
    possible = _possible(asked)
    if settled := {one for name, one in SETTLING.items() if asked.get(name)} & {*possible}:
        return modality_named(settled.pop())
    if asked.get("modality") in possible:
        return modality_named(str(asked["modality"]))
    words = cast("tuple[str, ...]", asked.get("dataset", ()))
    usual = modality_named(possible[0])
    if not words:
        return usual
    of_data = (one for one in map(modality_named, possible) if all(map(one.has, words)))
    absent = not any(map(os.path.isfile, words))
    named = (one for one in map(modality_named, possible) if all(map(one.names.looks_like, words)))
    return next(itertools.chain(of_data, named if absent else ()), usual)


def _possible(asked: Mapping[str, object]) -> tuple[str, ...]:
    """The modalities of the kind of model."""
    return (KINDS.get(str(asked.get("model"))) or KINDS[ModelConfig.model]).modalities


def _card(path: object) -> ModelCard | None:
    """The card of the model file of an option, if it is given. Raises ModelFileError."""
    return model_file.read_card(located(path)) if isinstance(path, str) else None


def _settled_by_encoder(
    asked: Mapping[str, object], encoder: ModelCard | None
) -> dict[str, object]:
    """The options that --encoder settles: the kind of model, its data and their preprocessing."""
    if encoder is None:
        return {}
    architecture, path = encoder.architecture, asked["encoder"]
    if not KINDS[architecture.kind].has_code:
        raise ModelFileError(f"--encoder needs an autoencoder; {path} is a {architecture.kind}")
    if not architecture.code_is_vector:
        raise ModelFileError(f"--encoder needs a code that is a vector; {path} gives texts")
    settled: dict[str, object] = {"model": "classifier", "dataset": encoder.trained_on}
    if (second := KINDS.get(str(asked.get("model")))) and second.winners:
        settled["center"] = True  # few winners cannot draw the mean of maps of activations
    return settled | modality_of(encoder).settled_by_encoder(encoder)


def _settled_by_load(asked: Mapping[str, object]) -> dict[str, object]:
    """The options that --load settles: the network's own, its data and its loss."""
    card = _card(asked.get("load"))
    if card is None:
        return {}
    if card.architecture.encoder:
        raise ConfigError(
            f"--load cannot start from a {card.architecture.kind} that stands on an encoder; train"
            " a new one with --encoder"
        )
    described, trained = card.architecture.to_json(), card.options
    settled = {k: v for k, v in described.items() if k not in SIZES}
    refuse_former(settled, f"--load {asked['load']}: ")
    settled["dataset"] = card.trained_on
    settled |= modality_of(card).settled_by_start(card, asked)
    settled |= {name: trained[name] for name in OF_THE_LOSS if name in trained}
    if "dataset" not in asked:
        settled |= {name: trained[name] for name in PATTERNS if name in trained}
    return settled
