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
    "cs294a": Recipe(
        "Ng 2011, CS294A lecture notes: 64-25-64 on whitened patches; needs --dataset"
        " patches:FOLDER",
        "edge filters",
        "edge filters",
        0.3,
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
