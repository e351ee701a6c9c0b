"""Dictionaries of models, to be compared with each other and with true directions."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aectl.config.kinds import KINDS
from aectl.data.storage.urls import is_url
from aectl.errors import ConfigError, DataError
from aectl.models.model_file import load

if TYPE_CHECKING:
    from aectl.inference.dictionaries import Dictionary, Directions
    from aectl.models.model_card import ModelCard
    from aectl.models.networks import Network


def refuse_incomparable(option: str, cards: "Sequence[ModelCard]") -> None:
    """Raises ConfigError for models without a dictionary, or of inputs of different sizes."""
    for card in cards:
        described = card.architecture
        if not KINDS[described.kind].stacked or len(described.hidden) != 1:
            raise ConfigError(
                f"{option} needs --model autoencoder with one hidden layer, whose decoder is linear"
            )
    shapes = list(dict.fromkeys(tuple(card.architecture.input) for card in cards))
    if len(shapes) > 1:
        first, second, *_ = ("x".join(map(str, shape)) for shape in shapes)
        raise ConfigError(f"{option} needs inputs of one size; these have {first} and {second}")


def dictionary(network: "Network", card: "ModelCard") -> "Dictionary":
    """The dictionary of a model that is not refused."""
    from aectl.inference.dictionaries import dictionary_of
    from aectl.models.networks import Autoencoder

    assert isinstance(network, Autoencoder)
    return dictionary_of(network, card.architecture.config.code_activation)


def dictionaries(paths: Sequence[Path], card: "ModelCard") -> "list[Dictionary]":
    """The dictionaries of models that are compared with one. Raises ModelFileError, and ConfigError
    where they cannot be."""
    loaded = [load(path) for path in paths]
    if loaded:
        refuse_incomparable("--match", [card, *(one for _, one in loaded)])
    return [dictionary(network, one) for network, one in loaded]


def matched_with(own: "Dictionary", others: "Sequence[Dictionary]") -> dict[str, float]:
    """The metrics of a dictionary that is matched with others."""
    from aectl.inference.dictionaries import match_metrics

    return match_metrics([own, *others])[0]


def truth_of(word: str, card: "ModelCard") -> "Directions":
    """The true directions in a file of vectors, or of synthetic ones, for the inputs of a model.

    Raises DataError for a file that has none, or others.
    """
    from aectl.data.codes.table_content import TableError
    from aectl.data.sources import SourceKind
    from aectl.data.vectors.synthetic import Synthetic
    from aectl.data.vectors.vector_inputs import VECTOR_NAMES, of_file
    from aectl.inference.dictionaries import of_length_1

    if is_url(word):
        raise DataError("--truth takes a path of this machine, not a URL")
    source = VECTOR_NAMES.source(word)
    if source.is_dataset:
        vectors = Synthetic.of(word).truth()
    elif source.kind is SourceKind.FILE:
        try:
            file = of_file(Path(source.file), source.part)
        except (TableError, OSError) as error:
            raise DataError(f"--truth {word}: {error}") from None
        vectors = file.block(0, len(file))
    else:
        raise DataError(f"--truth {word}: give a file of vectors")
    wanted = math.prod(card.architecture.input)
    if not np.isfinite(vectors).all():
        raise DataError(f"--truth {word}: values are missing, or infinite")
    if vectors.shape[1] != wanted:
        raise DataError(
            f"--truth {word} has directions of {vectors.shape[1]:,} features; the model takes"
            f" {wanted:,}"
        )
    return of_length_1(vectors)
