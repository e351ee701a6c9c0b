"""From options to a resolved config, its images, and the models that a run begins with."""

import dataclasses
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config.configuration import OPTIONS, Config, coerced
from aectl.config.declaration import flag
from aectl.config.decoding import Decoding, OnRemark
from aectl.config.kinds import TEXT, WITH_A_CODE, encoding
from aectl.config.sections import LossConfig
from aectl.config.shapes import Shape, TextShape
from aectl.data.images import datasets, patches
from aectl.data.images.datasets import ImageSet, is_dataset
from aectl.data.images.training_folder import Watch, load_folder, unseen
from aectl.data.inputs import STDIN
from aectl.data.layout import Layout, layout_of
from aectl.data.selection import Selection, Skipped, of_options
from aectl.data.storage.folders import OnBad, find_files, ignore
from aectl.data.text import text_inputs as texts
from aectl.data.text import text_sets
from aectl.data.text.text_datasets import is_text_dataset
from aectl.data.text.text_inputs import Account
from aectl.data.text.text_sets import TextSet
from aectl.errors import (
    ConfigError,
    DataError,
    DatasetUnavailableError,
    ModelFileError,
    UnknownInputError,
)
from aectl.models import model_file
from aectl.models.architecture import SIZES, Architecture
from aectl.models.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

    from aectl.training.initialisation import Start
    from aectl.training.run import Run
    from aectl.training.state import RunState

log = logging.getLogger(__name__)

FALLBACK = "digits"
OF_IMAGES_ALONE = (
    "size", "channels", "shift", "labels", "patches", "value_range", "max_pixels", "truncated",
)  # fmt: skip
PATTERNS = ("ext", "include", "exclude")
OF_THE_LOSS = ("sparsity", *(field.name for field in dataclasses.fields(LossConfig)))


@dataclass(frozen=True)
class Reading:
    """How a training set is read.

    Files of a folder are decoded by `workers` processes into `memory` (bytes), or beyond that a
    temporary file; `watch` sees them, those that cannot be read are told to `on_bad`, what there is
    to say of others to `on_remark`, and what the search leaves aside to `skipped`.
    """

    data_dir: Path
    on_bad: OnBad
    workers: int = 1
    memory: float = math.inf
    watch: Watch = unseen
    on_remark: OnRemark = ignore
    skipped: Skipped = field(default_factory=Skipped)


def prepare(
    given: Mapping[str, object],
    file: Mapping[str, object],
    reading: Reading,
) -> tuple[Config, ImageSet | TextSet]:
    """The resolved config of the `given` options over those of a `file`, and its images or texts.

    Where no dataset was asked for and MNIST cannot be had, the bundled digits stand in. Raises
    ConfigError, DataError or ModelFileError.
    """
    asked = {**coerced(file), **coerced(given)}
    settled = _settled_by_models(asked)
    layout = _layout({**settled, **asked})
    settled |= _settled_by_layout(layout, {**settled, **asked})
    config = Config.from_options(given, file, settled)
    if _is_of_texts(config):
        found = _read_texts(config, reading)
        return _resolved_for_texts(config, found), found
    may_stand_in = "dataset" not in {**settled, **asked}
    images = _read(config, reading, layout, may_stand_in)
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, dataset=images.name.removesuffix(":train"))
    )
    if images.held_out is not None:
        share = len(images.held_out) / len(images)
        if config.data.validation != share and "validation" in asked:
            log.info("--validation is ignored: the folder has its own validation set")
        config = dataclasses.replace(
            config, data=dataclasses.replace(config.data, validation=share)
        )
    shape = _shape(config, images)
    features = shape[0] * shape[1] * shape[2]
    if config.training.encoder:
        encoder = model_file.read_card(Path(config.training.encoder))
        if encoder.shape != shape:
            raise ConfigError(
                f"--encoder takes images of shape {encoder.shape}; --size and --channels ask for"
                f" {shape}"
            )
        features = encoder.architecture.code_size
    return config.resolved(shape, features, len(images)), images.fitted(shape)


def prepare_again(
    given: Mapping[str, object], begun: Mapping[str, object], reading: Reading, of_texts: bool
) -> tuple[Config, ImageSet | TextSet]:
    """The config of a run that had `begun` with these options, all resolved, and its data.

    No model that it started from is needed. Raises ConfigError, DataError or ModelFileError.
    """
    config = Config.from_options(given, begun)
    if config.training.epochs is None or config.model.hidden is None:
        raise ModelFileError("the options in the checkpoint leave --epochs or --hidden open")
    if of_texts:
        return config, _read_texts(config, reading)
    images = _read(config, reading, _layout(config.values()))
    return config, images.fitted(_shape(config, images))


def new_run(
    config: Config,
    data: ImageSet | TextSet,
    device: "torch.device",
    start: "Start | None",
    begun: "RunState | None" = None,
) -> "Run":
    """A run on what there is; one that had `begun` is yet to be restored from that state.

    Raises ConfigError where config, data and start do not fit together, and ModelFileError where
    the state does not fit them.
    """
    vocabulary = architecture = None
    if begun:
        described = begun.vocabulary
        vocabulary = Vocabulary.from_json(described) if isinstance(data, TextSet) else None
        architecture = _architecture_again(begun, config, data, vocabulary)
    if isinstance(data, TextSet):
        from aectl.training.text_run import TextRun

        return TextRun(config, data, device, start, vocabulary, architecture)
    from aectl.training.image_run import ImageRun

    return ImageRun(config, data, device, start, architecture)


def _architecture_again(
    begun: "RunState", config: Config, data: ImageSet | TextSet, vocabulary: Vocabulary | None
) -> Architecture:
    """That of a run that had begun. Raises ModelFileError where it does not fit its options."""
    try:
        found = Architecture.from_json(begun.architecture)
    except ConfigError as error:
        raise ModelFileError(f"the architecture in the checkpoint is invalid: {error}") from None
    if vocabulary:
        shape: Shape | TextShape = TextShape(found.text.length, len(vocabulary))
    else:
        shape = data.shape if isinstance(data, ImageSet) else found.input
    classes = len(data.classes) if found.classes else 0
    wanted = Architecture(config.model, shape, classes, found.encoder)
    if wanted.to_json() != found.to_json():
        raise ModelFileError("the architecture in the checkpoint does not fit its options and data")
    return found


def _settled_by_models(asked: Mapping[str, object]) -> dict[str, object]:
    """The options that --load and --encoder settle: the network's own, its data, its loss."""
    settled: dict[str, object] = {}
    if isinstance(encoder := asked.get("encoder"), str):
        card = model_file.read_card(Path(encoder))
        if card.architecture.kind not in WITH_A_CODE:
            raise ModelFileError(
                f"--encoder needs an autoencoder; {encoder} is a {card.architecture.kind}"
            )
        if card.architecture.config.bottleneck == TEXT:
            raise ModelFileError(f"--encoder needs a code that is a vector; {encoder} gives texts")
        settled |= {"model": "classifier", "dataset": card.dataset}
        if not card.vocabulary:
            settled |= _settled_preprocessing(card)
    if isinstance(load := asked.get("load"), str):
        card = model_file.read_card(Path(load))
        if card.architecture.encoder:
            raise ConfigError(
                "--load cannot start from a classifier that stands on an encoder; train a new one"
                " with --encoder"
            )
        described = card.architecture.to_json()
        settled |= {k: v for k, v in described.items() if k not in SIZES}
        settled["dataset"] = card.dataset
        if card.vocabulary:
            settled["length"] = card.architecture.text.length
            settled |= _settled_vocabulary(card, asked)
        else:
            settled |= _settled_preprocessing(card)
        trained = dict(card.options)
        settled |= {name: trained[name] for name in OF_THE_LOSS if name in trained}
        if "dataset" not in asked:
            settled |= {name: trained[name] for name in PATTERNS if name in trained}
    return settled


def _settled_preprocessing(card: model_file.ModelCard) -> dict[str, object]:
    """How a model of images makes its input out of a file, as options."""
    channels, *sides = card.shape
    values = {} if card.value_range is None else {"value_range": card.value_range}
    return {"channels": channels, "size": tuple(sides), **values}


def _layout(asked: Mapping[str, object]) -> Layout | None:
    """The splits of the folder of images that is asked for.

    Raises DataError as `layout_of` does to train.
    """
    word = asked.get("dataset")
    of_images = asked.get("model") not in encoding(TEXT)
    if not (of_images and isinstance(word, str) and os.path.isdir(word)) or is_dataset(word):
        return None
    return layout_of(word, of_options(asked), to_train=True)


def _settled_by_layout(layout: Layout | None, asked: Mapping[str, object]) -> dict[str, object]:
    """The fraction that a folder's own validation set has of its images, if it has one."""
    if layout is None or layout.validation is None:
        return {}
    selection = of_options(asked)
    learnt, held = (
        sum(x.reason is None for x in find_files(part, selection))
        for part in (layout.training, layout.validation)
    )
    return {"validation": held / (learnt + held)} if learnt and held else {}


def _settled_vocabulary(card: model_file.ModelCard, asked: Mapping[str, object]) -> dict[str, Any]:
    """What a model that training starts from had as --vocabulary; its weights fit no other."""
    size = card.options.get("vocabulary")
    if asked.get("vocabulary", size) != size:
        raise ConfigError("--vocabulary cannot go with --load: the model has a vocabulary already")
    return {} if size is None else {"vocabulary": size}


def _is_of_texts(config: Config) -> bool:
    encoder = config.training.encoder
    if encoder is None or model_file.read_card(Path(encoder)).vocabulary is None:
        return config.model.model in encoding(TEXT)
    for name in OF_IMAGES_ALONE:
        if getattr(config.data, name) != OPTIONS[name].default:
            raise ConfigError(f"{flag(name)} has no effect on texts, which {encoder} encodes")
    return True


def _read_texts(config: Config, reading: Reading) -> TextSet:
    """The texts to learn from; what was wrong with them is told."""
    account = Account()
    word = config.data.dataset
    if word == STDIN:
        raise ConfigError("training reads its texts again; write those on stdin to a file")
    if is_dataset(word):
        raise ConfigError(
            "a model of text needs --dataset with text: wikitext-2, or a file or folder;"
            f" {word} is a dataset of images"
        )
    if not Path(word).is_dir():
        _refuse_patterns(config)
    found = text_sets.load(
        word, reading.data_dir, reading.on_bad, account,
        _selection(config, texts.ENDINGS), reading.skipped,
    )  # fmt: skip
    if account.empty:
        log.info("empty lines of %s, passed over: %s", found.name, f"{account.empty:,}")
    return found


def _resolved_for_texts(config: Config, found: TextSet) -> Config:
    if is_text_dataset(found.name):
        name = found.name.removesuffix(":train")
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=name))
    width = 0
    if config.training.encoder:
        width = model_file.read_card(Path(config.training.encoder)).architecture.code_size
    return config.resolved(None, width, found.parts(config.data.length))


def _read(
    config: Config, reading: Reading, layout: Layout | None, may_stand_in: bool = False
) -> ImageSet:
    word, data_dir = config.data.dataset, reading.data_dir
    if patches.is_patches(word):
        sides = _sides(config.data.size) if config.data.size else patches.SIDES
        count = config.data.patches or patches.COUNT
        return patches.load(
            word, reading.on_bad, sides, count, "train", _decoding(config), reading.on_remark,
            _selection(config), reading.skipped,
        )  # fmt: skip
    if not is_dataset(word):
        return _read_folder(config, reading, layout)
    _refuse_patterns(config)
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


def _read_folder(config: Config, reading: Reading, layout: Layout | None) -> ImageSet:
    word, data = config.data.dataset, config.data
    if Path(word).is_dir():
        sides = _sides(data.size) if data.size else None
        return load_folder(
            word, reading.on_bad, sides, data.channels, layout=layout,
            workers=reading.workers, memory=reading.memory, watch=reading.watch,
            decoding=_decoding(config), on_remark=reading.on_remark, skipped=reading.skipped,
            selection=_selection(config),
        )  # fmt: skip
    if is_text_dataset(word) or word.lower().endswith(texts.ENDINGS):
        raise ConfigError(f"{word} is text, which --model text-autoencoder learns from")
    if os.path.lexists(word):
        raise DataError(f"{word} is a file; --dataset takes a dataset's name or a folder")
    raise UnknownInputError(f"no dataset or folder '{word}'{datasets.near_miss(word)}")


def _selection(config: Config, usual: tuple[str, ...] = ()) -> Selection:
    return of_options(config.values(), usual)


def _refuse_patterns(config: Config) -> None:
    """Raises ConfigError where the files to take were named, and the data is no folder."""
    for name in PATTERNS:
        if getattr(config.data, name):
            raise ConfigError(
                f"{flag(name)} chooses among the files of a folder, which"
                f" {config.data.dataset} is not"
            )


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
