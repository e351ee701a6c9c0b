"""Architectures: descriptions of networks, made from configs, and stored in model files."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from aectl.config import declaration as options
from aectl.config.all_options import OPTIONS
from aectl.config.kinds import IMAGES, KINDS, TEXT, VECTORS, of_several_modalities
from aectl.config.model_options import ModelConfig
from aectl.config.patching import Patching
from aectl.config.shapes import InputShape, Shape, TextShape, VectorShape
from aectl.errors import ModelFileError
from aectl.models.image_spec import ImageSpec
from aectl.models.input_spec import InputSpec
from aectl.models.metadata import refuse_unknown
from aectl.models.text_spec import TextSpec
from aectl.models.vector_spec import VectorSpec

MOST_CLASSES, MOST_STACKED = 1_000_000, 4

INPUT_SPECS: dict[str, InputSpec[Any]] = {
    IMAGES: ImageSpec(),
    TEXT: TextSpec(),
    VECTORS: VectorSpec(),
}
"""The inputs of networks by their modality."""

SIZES = ("shape", "length", "tokens", "width", "classes")
"""Fields of the description of a network in a model file, besides its options."""


@dataclass(frozen=True)
class Architecture:
    """The description of a network without its weights.

    `config`: resolved (its `hidden` is set); `input`: the shape of the input;
    `classes`: the number of classes of a classifier, else 0; `encoder`: the autoencoder whose code
    is the input of a classifier, or whose pooled features are that of a second autoencoder.
    """

    config: ModelConfig
    input: InputShape
    classes: int = 0
    encoder: "Architecture | None" = None

    @property
    def modality(self) -> str:
        """The kind of input, one of those of the kind of model."""
        assert self.config.modality is not None
        return self.encoder.modality if self.encoder else self.config.modality

    @property
    def input_spec(self) -> InputSpec[Any]:
        """The properties of its inputs that depend on their modality."""
        return INPUT_SPECS[self.modality]

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the input; only of a network of images."""
        return cast(Shape, self.input)

    @property
    def text(self) -> TextShape:
        """The shape of the input; only of a network of text."""
        return cast(TextShape, self.input)

    @property
    def vector(self) -> VectorShape:
        """The shape of the input; only of a network of vectors."""
        return cast(VectorShape, self.input)

    @property
    def code_is_vector(self) -> bool:
        """Whether its code is a vector, and not a shorter text."""
        return self.config.code_is_vector

    @property
    def kind(self) -> str:
        """The kind of model, as `--model` names it."""
        return self.config.model

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers."""
        assert self.config.hidden is not None
        return self.config.hidden

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the hidden layers, after those of the encoder of a classifier, if any."""
        return (*self.encoder.hidden, *self.hidden) if self.encoder else self.hidden

    @property
    def stacked(self) -> bool:
        """Whether it is an autoencoder of the pooled features of another."""
        return self.encoder is not None and KINDS[self.kind].has_code

    @property
    def has_places(self) -> bool:
        """Whether its code is that of each place of an image: a map, or features pooled over cells,
        to which those of the mirror image, from other places, are not added."""
        if KINDS[self.kind].pooled:
            return not self.config.mirror
        return self.config.code_is_map

    @property
    def layer_input(self) -> InputShape:
        """The shape of what its own first layer takes: the input, or the maps of its encoder."""
        return self.encoder.pooled_shape if self.encoder and self.stacked else self.input

    @property
    def pooled_shape(self) -> Shape:
        """The shape of the pooled features, (units, rows, columns); only where they are pooled."""
        patching = Patching.of(self.config)
        return patching.shape_with_first(cast(Shape, self.layer_input), self.hidden[-1])

    @property
    def code_size(self) -> int:
        """The number of units of an autoencoder's code, or of features made of it."""
        if KINDS[self.kind].pooled:
            return math.prod(self.pooled_shape)
        return self.input_spec.code_size(self.config, self.layer_input)

    def to_json(self) -> dict[str, Any]:
        """The description of the network in a model file: its options and its sizes."""
        described: dict[str, Any] = {
            field.name: getattr(self.config, field.name)
            for field in dataclasses.fields(self.config)
            if getattr(self.config, field.name) is not None
            and options.applies(field, vars(self.config))
        }
        described |= self.input_spec.sizes(self.input)
        if self.classes:
            described["classes"] = self.classes
        if self.encoder:
            described["encoder"] = self.encoder.to_json()
        return described

    @classmethod
    def from_json(cls, described: object, depth: int = 0) -> "Architecture":
        """The inverse of `to_json`. Raises ModelFileError or ConfigError for anything else."""
        if not isinstance(described, Mapping) or depth > MOST_STACKED:
            raise ModelFileError("its architecture is not described")
        fields = dict(described)
        if options.applies(OPTIONS["center"], {"model": fields.get("model")}):
            fields.setdefault("center", False)  # in older files, networks have none
        sizes = {name: fields.pop(name, None) for name in SIZES}
        inner = fields.pop("encoder", None)
        encoder = None if inner is None else cls.from_json(inner, depth + 1)
        if encoder and fields.get("model") in of_several_modalities():
            fields.setdefault("modality", encoder.modality)
        model_fields = {field.name for field in dataclasses.fields(ModelConfig)}
        refuse_unknown(fields, model_fields, "its architecture")
        config = ModelConfig(
            **{name: options.coerce(OPTIONS[name], value) for name, value in fields.items()}
        )
        if config != config.resolved(1):
            raise ModelFileError("its architecture does not set hidden or k")
        assert config.modality is not None
        shape = INPUT_SPECS[encoder.modality if encoder else config.modality].shape(sizes)
        found = cls(config, shape, _classes(config, sizes["classes"]), encoder)
        if encoder:
            found._check_encoder(encoder)
        elif config.beside:
            raise ModelFileError("it has no encoder whose features could stand beside its own")
        found.input_spec.check(config, found.layer_input)
        return found

    def _check_encoder(self, encoder: "Architecture") -> None:
        """Raises ModelFileError if the code of the encoder cannot be the input of this network."""
        if not KINDS[encoder.kind].has_code or (
            KINDS[self.kind].has_code
            and not (KINDS[self.kind].pooled and KINDS[encoder.kind].pooled)
        ):
            raise ModelFileError(f"a {self.kind} cannot have a {encoder.kind} as its encoder")
        if not encoder.code_is_vector:
            raise ModelFileError("the code of its encoder is text, not a vector")
        if encoder.input != self.input:
            raise ModelFileError(
                f"its input is {tuple(self.input)}, and that of its encoder {tuple(encoder.input)}"
            )


def _classes(config: ModelConfig, value: object) -> int:
    count = 0 if value is None else value
    if (
        type(count) is not int
        or not 0 <= count <= MOST_CLASSES
        or (count > 0) == KINDS[config.model].has_code
    ):
        raise ModelFileError(f"a {config.model} cannot have {value!r} classes")
    return count
