"""What defines a result: frozen configs in which each option of `aectl train` is declared once."""

import dataclasses
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aectl import options
from aectl.errors import ConfigError
from aectl.options import option
from aectl.types import Shape

AUTOENCODERS = ("autoencoder", "conv-autoencoder")
ACTIVATIONS = (
    "relu", "leaky-relu", "gelu", "silu", "elu", "softplus", "tanh", "sigmoid", "linear",
)  # fmt: skip
LEAST_STEPS = 3_000
SHORTHAND = {"sparse": ("sparsity", "kl")}
"""A flag that stands for a value of another option."""


class Section:
    """A frozen config that checks each of its options when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            options.check(field, getattr(self, field.name))


@dataclass(frozen=True)
class DataConfig(Section):
    """What is trained on."""

    dataset: str = option("mnist", "A dataset's name, or a folder of images.")
    size: tuple[int, ...] | None = option(
        None,
        "Resize images to HEIGHTxWIDTH pixels.",
        lengths=(1, 2), at_least=1, at_most=4096,
        unset="the dataset's own; at most 32x32 for a folder",
    )  # fmt: skip
    channels: int | None = option(
        None, "1 for grey, 3 for colour.", at_least=1, at_most=3, unset="the dataset's own"
    )
    validation: float = option(
        0.0, "Part of the training images that is held out and measured.", at_least=0, below=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels == 2:
            raise ConfigError("--channels must be 1 (grey) or 3 (colour); 2 given")


@dataclass(frozen=True)
class ModelConfig(Section):
    """Which network, and how wide."""

    model: str = option("autoencoder", "What is trained.", choices=(*AUTOENCODERS, "classifier"))
    hidden: tuple[int, ...] | None = option(
        None,
        "Widths from the input to the code, mirrored by the decoder: 1000,500,250,30. "
        "conv-autoencoder: the channels of each halving stage, then the code's width. "
        "classifier: its hidden layers ('' for none, which is logistic regression).",
        lengths=(0, 32), at_least=1, at_most=1_000_000,
        unset="half the input's width; classifier: twice its width, two times",
    )  # fmt: skip
    bottleneck_factor: float = option(
        2.0,
        "Width of the input over the width of the code, where --hidden is not given.",
        above=0,
        when=("model", AUTOENCODERS),
    )
    activation: str = option("relu", "Activation of the inner layers.", choices=ACTIVATIONS)
    code_activation: str = option(
        "relu",
        "Activation of the code.",
        choices=ACTIVATIONS,
        when=("model", AUTOENCODERS),
        instead=(("sparsity", "kl", "sigmoid"),),
    )
    output_activation: str = option(
        "clamp",
        "Activation of the reconstruction; clamp holds it within [0, 1].",
        choices=("clamp", "sigmoid", "linear"),
        when=("model", AUTOENCODERS),
        instead=(("loss", "bce", "sigmoid"), ("loss", "softmax-kl", "linear")),
    )
    tied: bool = option(
        False,
        "The decoder's weights are the encoder's, transposed.",
        when=("model", ("autoencoder",)),
    )
    dropout: float = option(
        0.0,
        "Part of each hidden layer that is dropped in training.",
        at_least=0, below=1,
        when=("model", ("autoencoder", "classifier")),
        instead=(("model", "classifier", 0.5),),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"autoencoder": 1, "conv-autoencoder": 2, "classifier": 0}[self.model]
        if self.hidden is not None and len(self.hidden) < least:
            raise ConfigError(
                f"--hidden must name at least {least} width{'s' * (least > 1)} for --model"
                f" {self.model}; {len(self.hidden)} given"
            )

    def resolved(self, width: int) -> "ModelConfig":
        """With `hidden` filled in for an input of `width` numbers."""
        if self.hidden is not None:
            return self
        code = max(1, round(width / self.bottleneck_factor))
        hidden = {
            "autoencoder": (code,),
            "conv-autoencoder": (32, 64, code),
            "classifier": (2 * width, 2 * width),
        }[self.model]
        return dataclasses.replace(self, hidden=hidden)


@dataclass(frozen=True)
class LossConfig(Section):
    """What training makes small."""

    loss: str = option(
        "mse",
        "Reconstruction loss an image: mse (half the squared error, summed), bce (cross-entropy, "
        "summed) or softmax-kl (KL divergence between the softmaxes of input and output).",
        choices=("mse", "bce", "softmax-kl"),
        when=("model", AUTOENCODERS),
    )
    sparsity: str = option(
        "none",
        "Penalty that makes the code sparse; kl: beta * sum_j KL(rho || rho_hat_j).",
        choices=("none", "kl"),
        when=("model", AUTOENCODERS),
    )
    rho: float = option(
        0.05, "Mean activation wanted of each unit.", above=0, below=1, when=("sparsity", ("kl",))
    )
    beta: float = option(
        3.0, "Weight of the sparsity penalty.", at_least=0, when=("sparsity", ("kl",))
    )


@dataclass(frozen=True)
class TrainingConfig(Section):
    """How the minimum is looked for."""

    epochs: int | None = option(
        None,
        "Times through the training images.",
        at_least=1,
        unset="10; more for a small set, so that there are 3,000 steps",
    )
    batch_size: int = option(128, "Images a step.", at_least=1)
    optimizer: str = option("adam", "Optimiser.", choices=("adam", "adamw", "sgd"))
    lr: float = option(
        0.003,
        "Learning rate at its highest.",
        above=0,
        instead=(
            ("sparsity", "kl", 0.01),
            ("optimizer", "sgd", 0.1),
            ("model", "classifier", 0.001),
        ),
    )
    momentum: float = option(
        0.9, "Momentum of sgd.", at_least=0, below=1, when=("optimizer", ("sgd",))
    )
    weight_decay: float = option(
        0.0, "Weight decay; biases are left alone. adam and sgd: L2; adamw: decoupled.", at_least=0
    )
    schedule: str = option(
        "cosine", "Course of the learning rate after the warm-up.", choices=("cosine", "constant")
    )
    warmup: float = option(
        0.05, "Part of training in which the learning rate rises from 0.", at_least=0, below=1
    )
    keep: str = option(
        "last",
        "Weights that are kept: the last epoch's, or those of the lowest validation loss.",
        choices=("last", "best"),
        when=("validation", ()),
    )
    seed: int = option(0, "Seed of every random choice.", at_least=0, at_most=2**32 - 1)
    load: str | None = option(None, "Model whose weights training starts from.", unset="none")
    encoder: str | None = option(
        None,
        "Trained autoencoder whose code the classifier sees instead of pixels.",
        when=("model", ("classifier",)),
        unset="none",
    )
    fine_tune: bool = option(False, "Train the encoder too.", when=("encoder", ()))

    def resolved(self, images: int) -> "TrainingConfig":
        """With `epochs` filled in for so many training images."""
        if self.epochs is not None:
            return self
        steps = math.ceil(images / self.batch_size)
        return dataclasses.replace(self, epochs=max(10, math.ceil(LEAST_STEPS / steps)))


@dataclass(frozen=True)
class Config:
    """All that defines a trained model, section by section."""

    data: DataConfig
    model: ModelConfig
    loss: LossConfig
    training: TrainingConfig

    @classmethod
    def from_options(
        cls, given: Mapping[str, object], beneath: Mapping[str, object] | None = None
    ) -> "Config":
        """The config of the options that were `given`, over those of a file `beneath` them.

        An option that depends on another one is refused where that one does not have the value
        it needs; one from the file that the given options have made pointless is left out.

        Raises ConfigError, naming the option.
        """
        given = _coerced(given)
        beneath = _coerced(beneath or {})
        if beneath:
            _refuse_idle(beneath, _filled(beneath))
        values = _filled({**beneath, **given})
        _refuse_idle(given, values)
        for name in beneath.keys() - given.keys():
            if not options.applies(OPTIONS[name], values):
                values[name] = options.default(OPTIONS[name], values)
        config = cls(
            **{
                section: kind(**{f.name: values[f.name] for f in dataclasses.fields(kind)})
                for section, kind in SECTIONS.items()
            }
        )
        config.check_together(given)
        return config

    def check_together(self, given: Mapping[str, object]) -> None:
        """Raises ConfigError where options that are each allowed do not go together."""
        if self.model.hidden is not None and "bottleneck_factor" in given:
            raise ConfigError("give either --hidden or --bottleneck-factor, not both")
        if self.loss.loss == "bce" and self.model.output_activation != "sigmoid":
            raise ConfigError("--loss bce needs --output-activation sigmoid")
        if self.loss.sparsity == "kl" and self.model.code_activation != "sigmoid":
            raise ConfigError(
                "--sparse (--sparsity kl) needs --code-activation sigmoid: rho is the mean of"
                " activations between 0 and 1"
            )

    def resolved(self, shape: Shape, width: int, images: int) -> "Config":
        """With what depends on the images filled in: their shape, their number, and the `width`
        of what the network sees of each."""
        channels, rows, columns = shape
        data = dataclasses.replace(self.data, size=(rows, columns), channels=channels)
        return dataclasses.replace(
            self,
            data=data,
            model=self.model.resolved(width),
            training=self.training.resolved(images),
        )

    def values(self) -> dict[str, Any]:
        """Every option that has a meaning in this config, by name."""
        flat = {name: getattr(getattr(self, _section(name)), name) for name in OPTIONS}
        shown = {
            name: value
            for name, value in flat.items()
            if value is not None and options.applies(OPTIONS[name], flat)
        }
        if self.model.hidden is not None:
            shown.pop("bottleneck_factor", None)
        return shown

    def to_toml(self) -> str:
        """The options as a TOML text that `--config` reads."""
        import tomli_w

        return tomli_w.dumps(
            {
                name.replace("_", "-"): list(value) if isinstance(value, tuple) else value
                for name, value in self.values().items()
            }
        )


SECTIONS: dict[str, type[Any]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "loss": LossConfig,
    "training": TrainingConfig,
}


def _declared_options() -> Iterator[tuple[str, "dataclasses.Field[Any]"]]:
    for kind in SECTIONS.values():
        for field in dataclasses.fields(kind):
            yield field.name, field


OPTIONS = dict(_declared_options())
"""Every option of `aectl train` that belongs to the config, by name."""


def read_toml(path: Path) -> dict[str, object]:
    """The options in a TOML file, by name.

    Raises ConfigError for a file that is missing, not TOML, or has a key that is no option.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    known = {name.replace("_", "-"): name for name in (*OPTIONS, *SHORTHAND)}
    for key in read:
        if key not in known:
            raise ConfigError(f"{path}: no option '{key}'{options.near_miss(key, known)}")
    try:
        return _coerced({known[key]: value for key, value in read.items()})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _section(name: str) -> str:
    return next(
        section
        for section, kind in SECTIONS.items()
        if name in {field.name for field in dataclasses.fields(kind)}
    )


def _coerced(given: Mapping[str, object]) -> dict[str, object]:
    """The options in the types of their fields, shorthands written out."""
    result: dict[str, object] = {}
    for name, value in given.items():
        if name in SHORTHAND:
            target, stands_for = SHORTHAND[name]
            if value and given.get(target, stands_for) == "none":
                raise ConfigError(f"{options.flag(name)} and {options.flag(target)} none disagree")
            if value:
                result.setdefault(target, stands_for)
        elif name in OPTIONS:
            result[name] = options.coerce(OPTIONS[name], value)
        else:
            raise ConfigError(f"no option '{name}'{options.near_miss(name, OPTIONS)}")
    return result


def _filled(given: Mapping[str, object]) -> dict[str, Any]:
    """The given options, and the defaults of all others."""
    values: dict[str, Any] = dict(given)
    for name in ("model", "loss", "sparsity", "optimizer"):
        values.setdefault(name, OPTIONS[name].default)
    for name, field in OPTIONS.items():
        if name not in values:
            values[name] = options.default(field, values)
    return values


def _refuse_idle(given: Mapping[str, object], values: Mapping[str, object]) -> None:
    for name in given:
        if options.applies(OPTIONS[name], values):
            continue
        condition = options.declared(OPTIONS[name]).when
        assert condition is not None
        other, wanted = condition
        needed = f"{options.flag(other)} {' or '.join(str(value) for value in wanted)}".strip()
        short = [
            flag
            for flag, target in SHORTHAND.items()
            if (other, wanted) == (target[0], (target[1],))
        ]
        if short:
            needed = f"{options.flag(short[0])} ({needed})"
        raise ConfigError(f"{options.flag(name)} has no effect without {needed}")
