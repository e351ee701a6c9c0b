"""Training sets of images, and the config that is resolved for them."""

import dataclasses
import io
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aectl.config.configuration import Config
from aectl.config.decoding import Decoding
from aectl.config.shapes import Shape
from aectl.data.images import datasets, patches, training_images
from aectl.data.images.datasets import ImageSet
from aectl.data.inputs import IMAGES, Inputs
from aectl.data.layout import Layout, layout_of
from aectl.data.lines import whole
from aectl.data.selection import Selection
from aectl.data.sources import Source, SourceKind
from aectl.data.storage.folders import find_files
from aectl.data.text.text_inputs import ENDINGS, TEXT
from aectl.errors import ConfigError, DatasetUnavailableError
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


def splits_of(words: Iterable[str], selection: Selection) -> list[Layout | None]:
    """The splits of each folder among the training data, if it has some.

    Raises UnknownInputError for a word that names nothing, and DataError as `layout_of` does.
    """
    return [
        layout_of(source.word, selection, to_train=True) if source.is_folder else None
        for source in map(_source, words)
    ]


def _source(word: str) -> Source:
    """The source that a word names. Raises ConfigError for text, UnknownInputError for nothing."""
    is_text = word.lower().endswith(ENDINGS) and not os.path.isdir(word)
    if TEXT.has(word) or is_text:
        raise ConfigError(f"{word} is text, which --model text-autoencoder learns from")
    return IMAGES.source(word)


def settled_by_splits(layouts: Iterable[Layout | None], selection: Selection) -> dict[str, object]:
    """The fraction that the validation sets of folders have of their images, if they have some."""
    counts = [
        [sum(one.reason is None for one in find_files(split, selection)) for split in splits]
        for splits in ([x for x in one[:2] if x] for one in layouts if one)
        if len(splits) == 2
    ]
    learnt, held = map(sum, zip(*counts, strict=True)) if counts else (0, 0)
    return {"validation": held / (learnt + held)} if learnt and held else {}


def read(
    config: Config,
    reading: Reading,
    layouts: Sequence[Layout | None],
    asked: Mapping[str, object],
) -> tuple[Config, ImageSet]:
    """The training set, and the config resolved for it.

    Where no dataset was asked for and MNIST cannot be had, the bundled digits stand in. Raises
    ConfigError or DataError.
    """
    images = _images(config, reading, layouts, may_stand_in="dataset" not in asked)
    config = _with_data(config, dataset=_words(config, images))
    if images.held_out is not None:
        fraction = len(images.held_out) / len(images)
        if config.data.validation != fraction and "validation" in asked:
            log.info("--validation is ignored: the data have their own validation set")
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
    images = _images(config, reading, splits_of(config.data.dataset, selection_of(config)))
    return images.fitted(_shape(config, images))


def _with_data(config: Config, **values: object) -> Config:
    data = dataclasses.replace(config.data, **values)  # type: ignore[arg-type]
    return dataclasses.replace(config, data=data)


def _images(
    config: Config,
    reading: Reading,
    layouts: Sequence[Layout | None],
    may_stand_in: bool = False,
) -> ImageSet:
    sources, data_dir = [_source(word) for word in config.data.dataset], reading.data_dir
    refuse_patterns(config, sources)
    for source in sources:
        if source.hides:
            log.info("%s is read as a dataset; the folder is %s", source.word, source.hides)
    if len(sources) > 1 or not sources[0].in_memory:
        return _of_several(config, reading, sources, layouts)
    word = sources[0].word
    if sources[0].kind is SourceKind.PATCHES:
        sides = _sides(config.data.size) if config.data.size else patches.SIDES
        count = config.data.patches or patches.COUNT
        return patches.load(
            word, reading.on_bad, sides, count, "train", _decoding(config), reading.on_remark,
            selection_of(config), reading.skipped,
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
    sources: Sequence[Source],
    layouts: Sequence[Layout | None],
) -> ImageSet:
    """The images of files, folders, archives and datasets."""
    for source in sources:
        if source.kind is SourceKind.PATCHES:
            raise ConfigError(f"{source.word} cannot go with other data")
    data, listed = config.data, any(source.kind is SourceKind.STDIN for source in sources)
    inputs = Inputs(
        data.dataset, reading.data_dir,
        io.BytesIO(whole(reading.stdin)) if listed and reading.stdin else None,
        null_separated=reading.null, labels_from_folders=True, selection=selection_of(config),
        workers=reading.workers, split="train", decoding=_decoding(config),
        skipped=reading.skipped, loose_labels=False,
    )  # fmt: skip
    sides = _sides(data.size) if data.size else None
    return training_images.load(
        inputs, layouts, reading.on_bad, sides, data.channels,
        memory=reading.memory, watch=reading.watch, on_remark=reading.on_remark,
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
        height, width = _sides(config.data.size)
    return config.data.channels or channels, height, width


def _sides(size: tuple[int, ...]) -> tuple[int, int]:
    """Height and width; a single number is both."""
    return size[0], size[-1]
