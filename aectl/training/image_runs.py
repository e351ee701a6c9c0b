"""The runs on images: which one a config asks for."""

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.models.architecture import Architecture
from aectl.training.code_run import CodeRun, codes_fit
from aectl.training.conv_wta_run import ConvWTARun
from aectl.training.image_run import ImageRun
from aectl.training.patch_run import PatchRun


def run_class(config: Config, encoder: Architecture | None, images: int) -> type[ImageRun]:
    """The class of the run on a number of images; `encoder`: that on which a classifier stands."""
    if KINDS[config.model.model].patches:
        return PatchRun
    if KINDS[config.model.model].winners:
        return ConvWTARun
    return CodeRun if codes_fit(config, encoder, images) else ImageRun
