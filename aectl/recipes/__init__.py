"""Published results as options of `aectl train`: a TOML file each, and here what is known of it."""

from dataclasses import dataclass
from importlib import resources

from aectl import options
from aectl.config import read_toml
from aectl.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """A published result, and what the recipe of its name gives on the test set.

    `minutes` of training on 4 CPU cores; `encoder` is the recipe whose model this one starts from.
    """

    source: str
    published: str
    expected: str
    minutes: float
    encoder: str = ""


RECIPES: dict[str, Recipe] = {
    "deep-30": Recipe(
        "Hinton & Salakhutdinov 2006: 784-1000-500-250-30",
        "sse 3.00, with RBM pretraining; PCA-30 13.87",
        "sse 2.04",
        13,
    ),
    "contractive": Recipe(
        "Rifai et al. 2011: 1000 sigmoid units, tied", "for contractive-tuned", "", 2
    ),
    "contractive-tuned": Recipe(
        "Rifai et al. 2011: the encoder of contractive, fine-tuned with labels",
        "error 1.14 %",
        "",
        4,
        "contractive",
    ),
    "denoising": Recipe(
        "Vincent et al. 2010: three layers of 1000 units, 25 % masking, each trained alone first",
        "for denoising-tuned",
        "",
        3,
    ),
    "denoising-tuned": Recipe(
        "Vincent et al. 2010: the encoder of denoising, fine-tuned with labels",
        "error 1.28 %",
        "",
        7,
        "denoising",
    ),
    "cs294a": Recipe(
        "Ng 2011, CS294A lecture notes: 64-25-64 on whitened patches of the folder photos",
        "edge filters",
        "edge filters in filters.png",
        0.2,
    ),
}


def read(name: str) -> dict[str, object]:
    """The options of a recipe. Raises ConfigError where there is none of this name."""
    if name not in RECIPES:
        raise ConfigError(
            f"no recipe '{name}'{options.near_miss(name, RECIPES)}; aectl recipes lists them"
        )
    with resources.as_file(resources.files(__package__) / f"{name}.toml") as path:
        return read_toml(path)
