"""The one place where a config becomes a network: a description that fits in a model file."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aectl import options
from aectl.config import OPTIONS
from aectl.errors import ModelFileError
from aectl.sections import AUTOENCODERS, TEXT_AUTOENCODER, ModelConfig
from aectl.types import SPECIAL, Shape

if TYPE_CHECKING:
    from aectl.models import Network
    from aectl.models.codes import Code

LARGEST_SIDE = 4096
LARGEST_VOCABULARY = 1 << 17


@dataclass(frozen=True)
class Architecture:
    """A network without its weights.

    `config` is resolved (its `hidden` is set); `classes` is the number of classes of a
    classifier, else 0; `encoder` describes the autoencoder whose code a classifier sees. `tokens`
    is the size of the vocabulary of a model of text, else 0: its `shape` is (1, 1, length).
    """

    config: ModelConfig
    shape: Shape
    classes: int = 0
    encoder: "Architecture | None" = None
    tokens: int = 0

    @property
    def kind(self) -> str:
        """The model's kind, as `--model` names it."""
        return self.config.model

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers."""
        assert self.config.hidden is not None
        return self.config.hidden

    @property
    def widths(self) -> tuple[int, ...]:
        """Those of the hidden layers, after those of the encoder on which a classifier stands."""
        return (*self.encoder.hidden, *self.hidden) if self.encoder else self.hidden

    @property
    def code_size(self) -> int:
        """The number of units of an autoencoder's code."""
        return self.hidden[-1]

    def build(self) -> "Network":
        """The network, with fresh weights drawn from torch's random state."""
        from aectl.models import Autoencoder, Classifier, ConvAutoencoder, text_autoencoder

        config = self.config
        if config.model == TEXT_AUTOENCODER and config.bottleneck == "text":
            return text_autoencoder.ThroughText(
                self.tokens, self.shape[2], self.hidden[0], config.ratio, config.temperature
            )
        if config.model == TEXT_AUTOENCODER:
            return text_autoencoder.ThroughVector(
                self.tokens, self.shape[2], self.hidden[0], self.code_size, self._code()
            )
        if config.model == "classifier":
            below = self.encoder.build() if self.encoder else None
            assert not isinstance(below, Classifier | text_autoencoder.ThroughText)
            encoder = below.encoder if below else None
            return Classifier(
                self.shape, self.hidden, self.classes, config.activation,
                config.dropout, config.input_dropout, encoder,
            )  # fmt: skip
        arguments = (
            self.shape, self.hidden, config.activation, self._code(), config.output_activation
        )  # fmt: skip
        if config.model == "conv-autoencoder":
            return ConvAutoencoder(*arguments, center=config.center)
        return Autoencoder(
            *arguments, tied=config.tied, dropout=config.dropout,
            input_dropout=config.input_dropout, center=config.center,
        )  # fmt: skip

    def _code(self) -> "Code":
        from aectl.models import codes

        config, activation = self.config, self.config.code_activation
        match config.sparsity:
            case "topk":
                assert config.k is not None
                return codes.TopK(activation, config.k, config.alpha)
            case "batch-topk":
                assert config.k is not None
                return codes.BatchTopK(activation, config.k)
            case "jumprelu":
                return codes.JumpReLU(self.code_size, config.bandwidth)
            case "gated":
                return codes.Gated(self.code_size)
            case "wta":
                return codes.WinnerTakeAll(activation, config.rate)
        return codes.Code(activation)

    def to_json(self) -> dict[str, Any]:
        """What a model file says of the network: the options that shape it, and its sizes."""
        described: dict[str, Any] = {
            field.name: getattr(self.config, field.name)
            for field in dataclasses.fields(self.config)
            if getattr(self.config, field.name) is not None
            and options.applies(field, vars(self.config))
        }
        described["shape"] = self.shape
        if self.classes:
            described["classes"] = self.classes
        if self.tokens:
            described["tokens"] = self.tokens
        if self.encoder:
            described["encoder"] = self.encoder.to_json()
        return described

    @classmethod
    def from_json(cls, described: object, depth: int = 0) -> "Architecture":
        """The inverse of `to_json`. Raises ModelFileError or ConfigError for anything else."""
        if not isinstance(described, Mapping) or depth > 1:
            raise ModelFileError("its architecture is not described")
        fields = dict(described)
        if fields.get("model", "") in AUTOENCODERS:
            fields.setdefault("center", False)  # older files are of networks without one
        shape = _shape(fields.pop("shape", None))
        classes, tokens = fields.pop("classes", 0), fields.pop("tokens", 0)
        inner = fields.pop("encoder", None)
        model_fields = {field.name for field in dataclasses.fields(ModelConfig)}
        if not fields.keys() <= model_fields:
            unknown = sorted(map(repr, fields.keys() - model_fields))
            raise ModelFileError(f"its architecture has unknown fields: {', '.join(unknown)}")
        config = ModelConfig(
            **{name: options.coerce(OPTIONS[name], value) for name, value in fields.items()}
        )
        if config != config.resolved(1):
            raise ModelFileError("its architecture leaves its hidden or k open")
        if (
            type(classes) is not int
            or not 0 <= classes <= 1_000_000
            or (classes > 0) != (config.model == "classifier")
        ):
            raise ModelFileError(f"a {config.model} cannot have {classes!r} classes")
        of_text = config.model == TEXT_AUTOENCODER or (isinstance(inner, Mapping) and tokens)
        if (
            type(tokens) is not int
            or not 0 <= tokens <= LARGEST_VOCABULARY
            or (tokens > SPECIAL) != bool(of_text)
        ):
            raise ModelFileError(f"a {config.model} cannot have {tokens!r} tokens")
        encoder = None if inner is None else cls.from_json(inner, depth + 1)
        if encoder and (config.model != "classifier" or encoder.kind == "classifier"):
            raise ModelFileError("only a classifier stands on an encoder, and only on one")
        if tokens and shape[:2] != (1, 1):
            raise ModelFileError(f"{shape} is no shape of texts (1, 1, length)")
        if encoder and encoder.config.bottleneck == "text":
            raise ModelFileError("its encoder gives texts, not vectors")
        if encoder and encoder.shape != shape:
            raise ModelFileError(
                f"its images are {shape}, and those of its encoder {encoder.shape}"
            )
        if encoder and encoder.tokens != tokens:
            raise ModelFileError(f"it has {tokens} tokens, and its encoder {encoder.tokens}")
        return cls(config, shape, classes, encoder, tokens)


def _shape(value: object) -> Shape:
    if (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in value)
        and value[0] in (1, 3)
    ):
        return value[0], value[1], value[2]
    raise ModelFileError(f"{value!r} is no shape of images (channels, height, width)")
