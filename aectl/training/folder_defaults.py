"""The defaults that folders settle: the network for images, and what is held out."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import cast

from aectl.config import kinds
from aectl.config.all_options import SECTIONS
from aectl.config.configuration import Config
from aectl.config.data_options import SIDE
from aectl.config.kinds import USUAL
from aectl.config.shapes import both
from aectl.data.images.headers import median_of
from aectl.data.selection import Skipped
from aectl.data.training_sources import TrainingSources
from aectl.errors import ConfigError

log = logging.getLogger(__name__)

OF_PHOTOGRAPHS = {"model": "conv-autoencoder", "flip": True}

HELD_OUT, FEWEST_HELD_OUT = 0.1, 50
"""The fraction of a folder's images that is held out by default, and the number of images from
which on it is."""

PATIENCE = 50


def by_photographs(
    found: TrainingSources, skipped: Skipped, asked: Mapping[str, object]
) -> dict[str, object]:
    """For folders of images of more than 32 pixels, if no option of the model is asked for: the
    network that reconstructs photographs, and that they are flipped. A dense one has 151 million
    weights at 64x64 pixels, and memorises some hundred photographs.
    """
    described = {option.name for option in dataclasses.fields(SECTIONS["model"])} & asked.keys()
    if described or not all(source.is_folder for source in found.sources):
        return {}
    try:
        Config.from_options({**asked, **OF_PHOTOGRAPHS})
    except ConfigError:  # of an option of dense networks
        return {}
    folders = [
        layout.training if layout else source.word
        for source, layout in zip(found.sources, found.layouts, strict=True)
    ]
    files = [file for one in folders for file in found.walk(one, found.selection, skipped)]
    size = cast("tuple[int, ...] | None", asked.get("size"))
    if max(both(size) if size else median_of(found.headers.shapes(files))) <= SIDE:
        return {}
    settled = {name: value for name, value in OF_PHOTOGRAPHS.items() if name not in asked}
    log.info(
        "photographs are learnt by --model conv-autoencoder%s; --model autoencoder is dense",
        ", and flipped" if "flip" in settled else "",
    )
    return settled


def by_splits(found: TrainingSources, skipped: Skipped) -> dict[str, object]:
    """The fraction that the validation sets of folders have of their images, if they have some."""
    learnt = held = 0
    for layout in found.layouts:
        if layout and layout.validation:
            counts = [
                sum(one.reason is None for one in found.walk(split, found.selection, skipped))
                for split in (layout.training, layout.validation)
            ]
            learnt, held = learnt + counts[0], held + counts[1]
    return {"validation": held / (learnt + held)} if learnt and held else {}


def with_own_validation(config: Config, fraction: float, asked: Mapping[str, object]) -> Config:
    """The config for data of which a `fraction` is their own validation set."""
    if config.data.validation != fraction and "validation" in asked:
        log.info("--validation is ignored: the data have their own validation set")
    return dataclasses.replace(config, data=dataclasses.replace(config.data, validation=fraction))


def by_holding_out(
    found: TrainingSources, skipped: Skipped, asked: Mapping[str, object]
) -> dict[str, object]:
    """For an autoencoder of folders without splits, of enough images: the fraction that is held
    out, that the weights with the lowest loss on it are kept, and when training stops. A few
    photographs are soon memorised; without others, nothing shows that.
    """
    folders = all(source.is_folder for source in found.sources) and not any(found.layouts)
    narrowing = asked.get("model", USUAL) in kinds.narrowing()
    if not folders or not narrowing or "validation" in asked:
        return {}
    files = [found.walk(source.word, found.selection, skipped) for source in found.sources]
    count = sum(one.reason is None for some in files for one in some)
    if count < FEWEST_HELD_OUT:
        return {}
    log.info(
        "a tenth of the images is held out, and the weights with the lowest loss on them are kept;"
        " --validation 0 trains on all"
    )
    return {"validation": HELD_OUT, "keep": "best", "patience": PATIENCE}
