"""Sweeps: several values of options, and a run with each combination of them."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from aectl.config import declaration as options
from aectl.config.all_options import SECTIONS
from aectl.errors import ConfigError

SWEPT = ("model", "loss", "training")
"""The sections of the options that say how a model is trained on data that are read already."""

NUMBERS = (int, float)


def takes_several(field: "dataclasses.Field[Any]") -> bool:
    """Whether several values of an option can be given, for a run with each: whether it takes one
    number, and does not change which data are read."""
    swept = any(field.name in SECTIONS[name].__dataclass_fields__ for name in SWEPT)
    return swept and options.plain_type(field) in NUMBERS


def combinations(several: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """The values of each run; those of the last option change first.

    Raises ConfigError for a value that is given twice.
    """
    for name, values in several.items():
        if len(set(values)) < len(values):
            raise ConfigError(f"{options.flag(name)} names a value twice: {written(values)}")
    return [
        dict(zip(several, values, strict=True)) for values in itertools.product(*several.values())
    ]


def run_name(values: Mapping[str, float]) -> str:
    """The name of the folder of a run in that of a sweep, such as `k-16-seed-1`; empty for a run
    that is alone."""
    return "-".join(f"{options.flag(name)[2:]}-{value}" for name, value in values.items())


def written(values: Sequence[float]) -> str:
    """Several values as a user types them."""
    return ",".join(map(str, values))
