"""Training sets of images, and the config that is resolved for them."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from aectl.config.configuration import Config
from aectl.config.decoding import Decoding
from aectl.config.shapes import Shape
from aectl.data.images import datasets, patches
from aectl.data.images.datasets import ImageSet, is_dataset
from aectl.data.images.training_folder import load_folder
from aectl.data.layout import Layout, layout_of
from aectl.data.selection import of_options
from aectl.data.storage.folders import find_files
from aectl.data.text.text_datasets import is_text_dataset
from aectl.data.text.text_inputs import ENDINGS
from aectl.errors import ConfigError, DataError, DatasetUnavailableError, UnknownInputError
from aectl.models.model_card import ModelCard
from aectl.models.model_file import read_card
from aectl.training.reading import Reading, refuse_patterns, selection_of

log = logging.getLogger(__name__)

FALLBACK = "digits"


def settled(card: ModelCard) -> dict[str, object]:
    """The preprocessing of a model as options, for a training that starts from it."""
    channels, *sides = card.shape
    values = {} if card.value_range is None else {"value_range": card.value_range}
    return {"channels": channels, "size": tuple(sides), **values}


def splits_of(asked: Mapping[str, object]) -> Layout | None:
    """The splits of the folder that is asked for, if it has some.

    Raises DataError as `layout_of` does to train.
    """
    word = asked.get("dataset")
    if not isinstance(word, str) or not os.path.isdir(word) or is_dataset(word):
        return None
    return layout_of(word, of_options(asked), to_train=True)


def settled_by_splits(layout: Layout | None, asked: Mapping[str, object]) -> dict[str, object]:
    """The fraction that a folder's own validation set has of its images, if it has one."""
    if layout is None or layout.validation is None:
        return {}
    selection = of_options(asked)
    learnt, held = (
        sum(one.reason is None for one in find_files(part, selection))
        for part in (layout.training, layout.validation)
    )
    return {"validation": held / (learnt + held)} if learnt and held else {}


def read(
    config: Config, reading: Reading, layout: Layout | None, asked: Mapping[str, object]
) -> tuple[Config, ImageSet]:
    """The training set, and the config resolved for it.

    Where no dataset was asked for and MNIST cannot be had, the bundled digits stand in. Raises
    ConfigError or DataError.
    """
    images = _images(config, reading, layout, may_stand_in="dataset" not in asked)
    config = _with_data(config, dataset=images.name.removesuffix(":train"))
    if images.held_out is not None:
        fraction = len(images.held_out) / len(images)
        if config.data.validation != fraction and "validation" in asked:
            log.info("--validation is ignored: the folder has its own validation set")
        config = _with_data(config, validation=fraction)
    shape = _shape(config, images)
    features = shape[0] * shape[1] * shape[2]
    if config.training.encoder:
        encoder = read_card(Path(config.training.encoder))
        if encoder.shape != shape:
            raise ConfigError(
                f"--encoder takes images of shape {encoder.shape}; --size and --channels ask for"
                f" {shape}"
            )
        features = encoder.architecture.code_size
    return config.resolved(shape, features, len(images)), images.fitted(shape)


def read_again(config: Config, reading: Reading) -> ImageSet:
    """The training set of a config that was resolved for it. Raises DataError."""
    images = _images(config, reading, splits_of(config.values()))
    return images.fitted(_shape(config, images))


def _with_data(config: Config, **values: object) -> Config:
    data = dataclasses.replace(config.data, **values)  # type: ignore[arg-type]
    return dataclasses.replace(config, data=data)


def _images(
    config: Config, reading: Reading, layout: Layout | None, may_stand_in: bool = False
) -> ImageSet:
    word, data_dir = config.data.dataset, reading.data_dir
    if patches.is_patches(word):
        sides = _sides(config.data.size) if config.data.size else patches.SIDES
        count = config.data.patches or patches.COUNT
        return patches.load(
            word, reading.on_bad, sides, count, "train", _decoding(config), reading.on_remark,
            selection_of(config), reading.skipped,
        )  # fmt: skip
    if not is_dataset(word):
        return _of_folder(config, reading, layout)
    refuse_patterns(config)
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


def _of_folder(config: Config, reading: Reading, layout: Layout | None) -> ImageSet:
    word, data = config.data.dataset, config.data
    if Path(word).is_dir():
        sides = _sides(data.size) if data.size else None
        return load_folder(
            word, reading.on_bad, sides, data.channels, layout=layout,
            workers=reading.workers, memory=reading.memory, watch=reading.watch,
            decoding=_decoding(config), on_remark=reading.on_remark, skipped=reading.skipped,
            selection=selection_of(config),
        )  # fmt: skip
    if is_text_dataset(word) or word.lower().endswith(ENDINGS):
        raise ConfigError(f"{word} is text, which --model text-autoencoder learns from")
    if os.path.lexists(word):
        raise DataError(f"{word} is a file; --dataset takes a dataset's name or a folder")
    raise UnknownInputError(f"no dataset or folder '{word}'{datasets.near_miss(word)}")


def _decoding(config: Config) -> Decoding:
    data = config.data
    return Decoding(data.value_range, data.max_pixels, data.truncated)


def _shape(config: Config, images: ImageSet) -> Shape:
    """The shape that the options ask for, else that of the images."""
    channels, height, width = images.shape
    if config.data.size:
        height, width = _sides(config.data.size)
    return config.data.channels or channels, height, width


def _sides(size: tuple[int, ...]) -> tuple[int, int]:
    """Height and width; a single number is both."""
    return size[0], size[-1]
