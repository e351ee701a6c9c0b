"""Training sets of images, and the config that is resolved for them."""

import dataclasses
import io
import logging
import math
from functools import partial

from aectl.config.configuration import Config
from aectl.config.data_options import CROP, SIDE
from aectl.config.decoding import Decoding
from aectl.config.kinds import KINDS
from aectl.config.shapes import Shape, both
from aectl.data.images import datasets, patches, training_images
from aectl.data.images.image_set import ImageSet
from aectl.data.images.index_files import refuse_without_index
from aectl.data.images.input_tables import InputTables
from aectl.data.images.table_columns import LabelColumn
from aectl.data.inputs import IMAGES, Inputs
from aectl.data.lines import whole
from aectl.data.sources import SourceKind
from aectl.data.training_sources import TrainingSources
from aectl.errors import ConfigError, DatasetUnavailableError
from aectl.models.architecture import Architecture
from aectl.models.model_card import ModelCard
from aectl.training.folder_defaults import with_own_validation
from aectl.training.reading import Reading, TrainingRequest

log = logging.getLogger(__name__)

FALLBACK = "digits"

MUCH, LEAST_CLASSES = 1 << 26, 2

OF_TABLES = ("label_column", "paths_column")
"""Options that say what the columns of tables of images hold."""


def settled(card: ModelCard) -> dict[str, object]:
    """The preprocessing of a model as options, for a training that starts from it."""
    channels, *sides = card.shape
    values = {} if card.value_range is None else {"value_range": card.value_range}
    named = {name: card.options[name] for name in OF_TABLES if name in card.options}
    return {"channels": channels, "size": tuple(sides), **values, **named}


def read(config: Config, reading: Reading, request: TrainingRequest) -> tuple[Config, ImageSet]:
    """The training set, and the config resolved for it.

    Where no dataset was asked for and MNIST cannot be had, the bundled digits stand in. Raises
    ConfigError or DataError.
    """
    asked = request.asked
    before = partial(_refuse_too_large, config, reading, request)
    images = _images(config, reading, request.sources, "dataset" not in asked, before)
    config = _with_data(config, dataset=_words(config, images))
    if images.held_out is not None:
        config = with_own_validation(config, len(images.held_out) / len(images), asked)
    shape = _shape(config, images)
    features, maps = shape[0] * shape[1] * shape[2], None
    if encoder := request.encoder:
        if encoder.shape != shape:
            raise ConfigError(
                f"--encoder takes images of shape {encoder.shape}; --size and --channels ask for"
                f" {shape}"
            )
        if config.training.fine_tune and KINDS[encoder.architecture.kind].pooled:
            raise ConfigError(f"--fine-tune cannot train a {encoder.architecture.kind}")
        features, maps = encoder.architecture.code_size, _maps(config, encoder)
    if images.shape != shape:
        before(len(images), shape)
    return config.resolved(shape, features, len(images), maps), images.fitted(shape)


def read_again(config: Config, reading: Reading, found: TrainingSources) -> ImageSet:
    """The training set of a config that was resolved for it. Raises DataError."""
    images = _images(config, reading, found)
    return images.fitted(_shape(config, images))


def _refuse_too_large(
    config: Config, reading: Reading, request: TrainingRequest, count: int, shape: Shape
) -> None:
    """Raises ConfigError for a network or images that do not fit into memory; else says what
    training takes, while images are yet to be decoded.

    Of little work nothing is said: it is checked later, and torch is loaded while images are
    decoded.
    """
    encoder, pixels = request.encoder, math.prod(shape)
    architecture = encoder.architecture if encoder else None
    maps = _maps(config, encoder) if encoder else None
    config = config.resolved(shape, architecture.code_size if architecture else pixels, count, maps)
    if pixels * (count + max(config.model.hidden or (), default=1)) < MUCH:
        return
    from aectl.training.capacity import described, refuse, torch_device
    from aectl.training.image_runs import run_class

    classes = 0 if KINDS[config.model.model].has_code else LEAST_CLASSES
    sketch = run_class(config, architecture, count).sketch_class(
        config, Architecture(config.model, shape, classes, architecture), count, count * pixels,
        reading.memory, bool(encoder or config.training.load),
    )  # fmt: skip
    refuse(sketch, torch_device(reading.device))
    reading.on_scale(described(sketch))


def _maps(config: Config, encoder: ModelCard) -> Shape | None:
    """The shape of the maps of an encoder that are the input of a second one; None for a
    classifier. Raises ConfigError for an encoder that has none.
    """
    kind, first = config.model.model, encoder.architecture.kind
    if not KINDS[kind].has_code:
        return None
    if not KINDS[first].pooled:
        raise ConfigError(f"--model {kind} needs an --encoder with pooled features, not {first}")
    return encoder.architecture.pooled_shape


def _with_data(config: Config, **values: object) -> Config:
    data = dataclasses.replace(config.data, **values)  # type: ignore[arg-type]
    return dataclasses.replace(config, data=data)


def _images(
    config: Config,
    reading: Reading,
    found: TrainingSources,
    may_stand_in: bool = False,
    before: training_images.Before = training_images.accept,
) -> ImageSet:
    first, data_dir = found.sources[0], reading.data_dir
    if len(found.sources) > 1 or not first.in_memory:
        return _of_several(config, reading, found, before)
    word = first.word
    if first.kind is SourceKind.PATCHES:
        sides = both(config.data.size) if config.data.size else patches.SIDES
        count = config.data.patches or patches.COUNT
        return patches.load(
            word, reading.on_bad, sides, count, "train", _decoding(config), reading.on_remark,
            found.selection, reading.skipped,
        )  # fmt: skip
    try:
        return datasets.load(word, data_dir, split="train")
    except DatasetUnavailableError:
        if not may_stand_in:
            raise
        stand_in = datasets.load(FALLBACK, data_dir, split="train")
        log.warning(
            "warning: MNIST is not in %s and cannot be downloaded: training on the bundled digits"
            " (%s scans of 8x8 pixels).\nFor MNIST, run again with a network, or name the folder"
            " that holds it with --data-dir.",
            data_dir,
            f"{len(stand_in):,}",
        )
        return stand_in


def _of_several(
    config: Config,
    reading: Reading,
    found: TrainingSources,
    before: training_images.Before,
) -> ImageSet:
    """The images of files, folders, archives and datasets."""
    for source in found.sources:
        if source.kind is SourceKind.PATCHES:
            raise ConfigError(f"{source.word} cannot go with other data")
    refuse_without_index(config.data.paths_column, found.sources)
    data, listed = config.data, any(source.kind is SourceKind.STDIN for source in found.sources)
    inputs = Inputs(
        found.sources, reading.data_dir,
        io.BytesIO(whole(reading.stdin)) if listed and reading.stdin else None,
        null_separated=reading.null, labels_from_folders=True, selection=found.selection,
        workers=reading.workers, split="train", decoding=_decoding(config),
        skipped=reading.skipped, loose_labels=False, walk=found.walk,
        tables=InputTables(LabelColumn(data.label_column), data.paths_column),
    )  # fmt: skip
    sides = both(data.size) if data.size else None
    return training_images.load(
        inputs, found.layouts, reading.on_bad, sides, data.channels,
        CROP if config.model.code_is_map else SIDE,
        memory=reading.memory, watch=reading.watch, on_remark=reading.on_remark, before=before,
        headers=found.headers,
    )  # fmt: skip


def _words(config: Config, images: ImageSet) -> tuple[str, ...]:
    """The words that name the training data."""
    words = config.data.dataset if len(config.data.dataset) > 1 else (images.name,)
    return IMAGES.without_train(words)


def _decoding(config: Config) -> Decoding:
    data = config.data
    return Decoding(data.value_range, data.max_pixels, data.truncated)


def _shape(config: Config, images: ImageSet) -> Shape:
    """The shape that the options ask for, else that of the images."""
    channels, height, width = images.shape
    if config.data.size:
        height, width = both(config.data.size)
    return config.data.channels or channels, height, width
