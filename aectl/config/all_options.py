"""All options of `aectl train` that belong to the config, by section and by name."""

import dataclasses
from typing import Any

from aectl.config.data_options import DataConfig
from aectl.config.loss_options import LossConfig
from aectl.config.model_options import ModelConfig
from aectl.config.sparsity import KL
from aectl.config.training_options import TrainingConfig

SECTIONS: dict[str, type[Any]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "loss": LossConfig,
    "training": TrainingConfig,
}

OPTIONS: dict[str, "dataclasses.Field[Any]"] = {
    field.name: field for section in SECTIONS.values() for field in dataclasses.fields(section)
}

SHORTHAND = {"sparse": ("sparsity", KL)}
"""A flag that stands for a value of another option."""
