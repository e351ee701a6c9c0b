"""The config, which defines a result: given options, those of a file, and defaults."""

import dataclasses
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aectl.config import declaration as options
from aectl.config.encodings import conversion, narrow, wide
from aectl.config.kinds import KINDS, TEXT
from aectl.config.sections import DataConfig, LossConfig, ModelConfig, TrainingConfig
from aectl.config.shapes import Shape
from aectl.config.sparsity import KL, NONE, RULES
from aectl.config.spelling import all_spelt, spelt
from aectl.errors import ConfigError
from aectl.files import opened

SHORTHAND = {"sparse": ("sparsity", KL)}
"""A flag that stands for a value of another option."""

WIDTHS = ("hidden", "bottleneck_factor")
"""Two options for the same value, of which only one may be given."""


@dataclass(frozen=True)
class Config:
    """All options that define a trained model, by section."""

    data: DataConfig
    model: ModelConfig
    loss: LossConfig
    training: TrainingConfig

    @classmethod
    def from_options(cls, given: Mapping[str, object], *beneath: Mapping[str, object]) -> "Config":
        """The config from the options that were `given` and, with lower priority, those `beneath`:
        of a file, then of a model that it names.

        An option that has no effect without another option is refused if that is not set. In the
        layers beneath, it is dropped instead, if a layer above made it ineffective; so is a value
        that was only the default of an option that a layer above changed.

        Raises ConfigError, naming the option.
        """
        asked: dict[str, object] = {}
        for layer in map(coerced, (given, *beneath)):
            _refuse_two_widths(layer)
            asked = {**_still_of_use(layer, asked), **asked}
        values = _filled(asked)
        _refuse_idle(asked, values)
        return cls(
            **{
                section: kind(**{f.name: values[f.name] for f in dataclasses.fields(kind)})
                for section, kind in SECTIONS.items()
            }
        )

    def __post_init__(self) -> None:
        if self.loss.loss == "bce" and self.model.output_activation != "sigmoid":
            raise ConfigError("--loss bce needs --output-activation sigmoid")
        if self.loss.contractive and not RULES[self.model.sparsity].smooth:
            raise ConfigError(
                "--contractive needs a smooth code, which --sparsity"
                f" {self.model.sparsity} does not have"
            )
        if self.training.k_start:
            self._check_k_start(self.training.k_start)
        if self.training.optimizer == "lbfgs":
            self._refuse_randomness()
        if self.loss.aux_k and not KINDS[self.model.model].auxiliary:
            raise ConfigError(f"--aux-k cannot go with --model {self.model.model}")
        if self.training.stack:
            self._refuse_unlike_layers()

    def _check_k_start(self, k_start: int) -> None:
        """Raises ConfigError if the number of active units cannot fall from `k_start` to k."""
        if self.training.compile:
            raise ConfigError(
                "--compile cannot go with --k-start, which changes the step each time"
            )
        if self.model.k and k_start < self.model.k:
            raise ConfigError(f"--k-start is {k_start}, less than --k, {self.model.k}")
        if self.model.hidden and k_start > self.model.hidden[-1]:
            units = self.model.hidden[-1]
            raise ConfigError(f"--k-start is {k_start}, and the code has {units} units")

    def _refuse_unlike_layers(self) -> None:
        """Raises ConfigError if an inner layer cannot be trained with the options of the whole."""
        model = self.model
        if RULES[model.sparsity].learns_thresholds:
            raise ConfigError(f"--stack cannot go with --sparsity {model.sparsity}")
        active = max(model.k or 0, self.training.k_start or 0)
        if model.hidden and active > min(model.hidden):
            raise ConfigError(
                f"--stack trains each layer alone, and the narrowest has {min(model.hidden)} units,"
                f" fewer than the {active} active ones"
            )
        if model.sparsity == KL or self.loss.loss == "bce":
            needing = "--sparsity kl" if model.sparsity == KL else "--loss bce"
            if model.activation != "sigmoid":
                raise ConfigError(f"--stack and {needing} need --activation sigmoid")

    def _refuse_randomness(self) -> None:
        """Raises ConfigError if the loss is random."""
        if not KINDS[self.model.model].full_batch:
            raise ConfigError(f"--optimizer lbfgs cannot go with --model {self.model.model}")
        random = {
            "noise": self.loss.noise != "none",
            "dropout": self.model.dropout > 0,
            "input_dropout": self.model.input_dropout > 0,
            "shift": self.data.shift > 0,
            "aux_k": self.loss.aux_k > 0,
            "revive": self.loss.revive > 0,
        }
        for name, given in random.items():
            if given:
                raise ConfigError(
                    "--optimizer lbfgs needs a loss without randomness, which"
                    f" {options.flag(name)} adds"
                )

    def resolved(self, shape: Shape | None, width: int, inputs: int) -> "Config":
        """The config with the values filled in that depend on the training inputs: their number,
        the `width` of the network's input and, for images, their shape."""
        trained = self.data.labels or max(1, inputs - round(self.data.validation * inputs))
        data = self.data
        if shape is not None:
            channels, *sides = shape
            data = dataclasses.replace(data, size=tuple(sides), channels=channels)
        return dataclasses.replace(
            self,
            data=data,
            model=self.model.resolved(width),
            training=self.training.resolved(trained, self.model.bottleneck == TEXT),
        )

    def values(self) -> dict[str, Any]:
        """All options that have an effect in this config, by name."""
        flat = {name: getattr(getattr(self, _section(name)), name) for name in OPTIONS}
        return {
            name: value
            for name, value in flat.items()
            if value is not None and options.applies(OPTIONS[name], flat)
        }

    def to_toml(self) -> str:
        """The options as a TOML text that `--config` reads."""
        import tomli_w

        return tomli_w.dumps(
            {name.replace("_", "-"): all_spelt(value) for name, value in self.values().items()}
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


def command(asked: Mapping[str, Any]) -> str:
    """`aectl train` with these options, as a shell takes it."""
    words = ["aectl", "train"]
    for name, value in asked.items():
        if isinstance(value, bool):
            words.append(
                options.flag(name) if value else options.flag(name).replace("--", "--no-", 1)
            )
        else:
            parts = value if isinstance(value, list | tuple) else [value]
            patterns = parts and all(isinstance(part, str) for part in parts)
            for word in parts if patterns else [",".join(map(str, parts))]:
                words += [options.flag(name), spelt(word)]
    return shlex.join(words)


def read_toml(path: Path) -> dict[str, object]:
    """The options in a TOML file, by name.

    Raises ConfigError for a file that is missing, not TOML, or has a key that is no option.
    """
    try:
        with opened(path) as file:
            read = tomllib.loads(_in_utf_8(path, file.read()))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    known = {name.replace("_", "-"): name for name in (*OPTIONS, *SHORTHAND)}
    for key in read:
        if key not in known:
            raise ConfigError(f"{path}: no option '{key}'{options.near_miss(key, known)}")
    try:
        return coerced({known[key]: value for key, value in read.items()})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _in_utf_8(path: Path, content: bytes) -> str:
    """The text of a file. Raises ConfigError if it is in another encoding."""
    encoding = wide(content)
    if encoding is None:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            encoding = narrow(content) or "ENCODING"
    raise ConfigError(f"{path} is not UTF-8: {conversion(encoding, shlex.quote(str(path)))}")


def _section(name: str) -> str:
    return next(
        section
        for section, kind in SECTIONS.items()
        if name in {field.name for field in dataclasses.fields(kind)}
    )


def coerced(given: Mapping[str, object]) -> dict[str, object]:
    """The options in the types of their fields, shorthands expanded. Raises ConfigError."""
    result: dict[str, object] = {}
    for name, value in given.items():
        if name in SHORTHAND:
            target, stands_for = SHORTHAND[name]
            if not isinstance(value, bool):
                raise ConfigError(f"{options.flag(name)} must be true or false; {value!r} given")
            if value and given.get(target, stands_for) == NONE:
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
    for field in OPTIONS.values():
        for other, _, _ in options.declared(field).instead:
            values.setdefault(other, OPTIONS[other].default)
    for name, field in OPTIONS.items():
        if name not in values:
            values[name] = options.default(field, values)
    return values


def _still_of_use(beneath: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """The options of the file without those that the given ones override or make ineffective."""
    alone = _filled(beneath)
    kept = {name: value for name, value in beneath.items() if name not in given}
    for one, other in (WIDTHS, WIDTHS[::-1]):
        if one in given:
            kept.pop(other, None)
    if given.get("model", alone["model"]) != alone["model"]:
        kept.pop("hidden", None)
    while True:
        values = _filled({**kept, **given})
        idle = [name for name in kept if _outdated(name, alone, values)]
        if not idle:
            return kept
        for name in idle:
            del kept[name]


def _outdated(name: str, alone: Mapping[str, object], values: Mapping[str, object]) -> bool:
    """Whether an option of the file has become ineffective, or was only a default that changed."""
    field = OPTIONS[name]
    if options.applies(field, alone) and not options.applies(field, values):
        return True
    usual = options.default(field, alone)
    return bool(alone[name] == usual and usual != options.default(field, values))


def _refuse_two_widths(given: Mapping[str, object]) -> None:
    if all(name in given for name in WIDTHS):
        raise ConfigError(f"give either {' or '.join(map(options.flag, WIDTHS))}, not both")


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
