"""The config, which defines a result: all options, checked together, and completed for the data."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aectl.config import declaration as options
from aectl.config.all_options import OPTIONS, SECTIONS
from aectl.config.data_options import CROP, DataConfig
from aectl.config.kinds import KINDS
from aectl.config.loss_options import LossConfig
from aectl.config.model_options import ModelConfig
from aectl.config.patching import Patching
from aectl.config.precedence import WIDTHS, combined
from aectl.config.shapes import WINDOW, Shape, Sides, both
from aectl.config.sparsity import KL, RULES, usual_decay
from aectl.config.training_options import TrainingConfig
from aectl.errors import ConfigError


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
        of a file, then of a model that it names (see `precedence`).

        Raises ConfigError, naming the option.
        """
        values = combined(given, *beneath)
        return cls(
            **{
                name: section(**{f.name: values[f.name] for f in dataclasses.fields(section)})
                for name, section in SECTIONS.items()
            }
        )

    def __post_init__(self) -> None:
        for name, value in self._all().items():
            options.refuse_limited(OPTIONS[name], value, self.model.modality)
        if self.loss.loss == "bce" and self.model.output_activation != "sigmoid":
            raise ConfigError("--loss bce needs --output-activation sigmoid")
        if self.loss.loss == "softmax-kl" and self.model.code_is_map:
            raise ConfigError(
                "--loss softmax-kl needs --bottleneck vector: a map does not learn it"
            )
        if self.loss.loss in ("bce", "softmax-kl", "ssim") and self.model.whitening:
            raise ConfigError(f"--loss {self.loss.loss} cannot go with --whitening")
        drawn = any("patches:" in word for word in self.data.dataset)
        if self.data.patches and not drawn and not KINDS[self.model.model].patches:
            raise ConfigError(
                "--patches has no effect without --dataset patches:FOLDER or --model"
                " patch-autoencoder"
            )
        if self.model.beside and not self.training.encoder:
            raise ConfigError("--beside has no effect without --encoder")
        if self.loss.contractive and not RULES[self.model.sparsity].smooth:
            raise ConfigError(
                "--contractive needs a smooth code, which --sparsity"
                f" {self.model.sparsity} does not have"
            )
        if self.data.crop and RULES[self.model.sparsity].keeps_k:
            raise ConfigError(
                f"--crop cannot go with --sparsity {self.model.sparsity}: --k is a number of units"
                " of a whole image"
            )
        if self.training.k_start:
            self._check_k_start(self.training.k_start)
        if self.loss.p_end < 1 and self.training.compile:
            raise ConfigError("--compile cannot go with --p-end, which changes the step each time")
        if self.training.optimizer == "lbfgs":
            self._refuse_randomness()
        if self.loss.aux_k and not KINDS[self.model.model].auxiliary:
            raise ConfigError(f"--aux-k cannot go with --model {self.model.model}")
        if self.training.stack:
            self._refuse_unlike_layers()
        if self.loss.prefixes:
            self._check_prefixes(self.loss.prefixes)

    def _check_k_start(self, k_start: int) -> None:
        """Raises ConfigError if the number of active units cannot fall from `k_start` to k."""
        if self.training.compile:
            raise ConfigError(
                "--compile cannot go with --k-start, which changes the step each time"
            )
        if self.model.k and k_start < self.model.k:
            raise ConfigError(f"--k-start is {k_start}, less than --k, {self.model.k}")
        if self.model.hidden and not self.model.code_is_map:
            self.model.check_units(self.model.hidden[-1], k_start)

    def _check_prefixes(self, prefixes: tuple[int, ...]) -> None:
        """Raises ConfigError if the code cannot have these prefixes."""
        if list(prefixes) != sorted(set(prefixes)):
            raise ConfigError("--prefixes must name numbers in ascending order")
        if self.training.stack:
            raise ConfigError("--prefixes cannot go with --stack, which trains each layer alone")
        if self.model.hidden and prefixes[-1] > self.model.hidden[-1]:
            raise ConfigError(
                f"--prefixes names {prefixes[-1]} units, and the code has {self.model.hidden[-1]}"
            )

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
            "flip": self.data.flip,
            "crop": self.data.crop is not None,
            "aux_k": self.loss.aux_k > 0,
            "revive": self.loss.revive > 0,
            "p_end": self.loss.p_end < 1,
        }
        for name, given in random.items():
            if given:
                raise ConfigError(
                    "--optimizer lbfgs needs a loss without randomness, which"
                    f" {options.flag(name)} adds"
                )

    def resolved(
        self,
        shape: Shape | None,
        width: int,
        inputs: int,
        maps: Shape | None = None,
        of_prior: int | None = None,
    ) -> "Config":
        """The config with the values filled in that depend on the training inputs: their number,
        the `width` of the network's input and, for images, their shape; `maps`: that of the pooled
        features of them that are the input instead; `of_prior`: the number of those that a language
        model is trained on instead, 0 if it is trained already."""
        trained = self.data.labels or max(1, inputs - round(self.data.validation * inputs))
        data, sides = self.data, (1, 1)
        if shape is not None:
            channels, sides = shape[0], shape[1:]
            if KINDS[self.model.model].pooled:
                Patching.of(self.model).check(maps or shape)
            _check_crop(data.crop, sides)
            if self._takes_crops and max(sides) > CROP:
                data = dataclasses.replace(data, crop=tuple(min(side, CROP) for side in sides))
            if self.loss.loss == "ssim":
                check_similarity("--loss ssim", both(data.crop or sides))
            data = dataclasses.replace(data, size=sides, channels=channels)
        model = self.model.resolved(width, sides)
        if model.code_is_map:
            model.check_units(model.units(sides), self.training.k_start)
        if model.code_is_vector:
            of_prior = 0
        elif of_prior is None:
            of_prior = trained
        training = self.training.resolved(trained, model.code_is_map, of_prior)
        if training.weight_decay is None:
            decay = usual_decay(model.sparsity, width)
            training = dataclasses.replace(training, weight_decay=decay)
        return dataclasses.replace(self, data=data, model=model, training=training)

    def of_kind(self, kind: str) -> "Config":
        """The same options with another kind of model, and the widths that it has by default.

        Raises ConfigError where an option that differs from its default excludes that kind.
        """
        values = self._all()
        unusual = {
            name: value
            for name, value in values.items()
            if name not in ("model", *WIDTHS) and value != options.default(OPTIONS[name], values)
        }
        return Config.from_options({**unusual, "model": kind})

    def _all(self) -> dict[str, Any]:
        sections = (getattr(self, section) for section in SECTIONS)
        return {name: value for section in sections for name, value in vars(section).items()}

    @property
    def _takes_crops(self) -> bool:
        """Whether crops of large images are trained on by default."""
        whole = RULES[self.model.sparsity].keeps_k or self.training.optimizer == "lbfgs"
        return self.model.code_is_map and self.data.crop is None and not whole

    def values(self) -> dict[str, Any]:
        """All options that have an effect in this config, by name; a single path as a string."""
        flat = self._all()
        return {
            name: options.shortest(OPTIONS[name], value)
            for name, value in flat.items()
            if value is not None and options.applies(OPTIONS[name], flat)
        }


def _check_crop(crop: tuple[int, ...] | None, sides: Sides) -> None:
    """Raises ConfigError for a crop that is larger than the images."""
    if crop and any(one > side for one, side in zip(both(crop), sides, strict=True)):
        asked, there = (f"{high}x{wide}" for high, wide in (both(crop), sides))
        raise ConfigError(
            f"--crop {asked} is larger than the images, {there}: --size enlarges them"
        )


def check_similarity(option: str, sides: Sides) -> None:
    """Raises ConfigError where the structural similarity of images of these sides cannot be
    computed: they are too small, or the package is missing.
    """
    if min(sides) < WINDOW:
        height, width = sides
        raise ConfigError(
            f"{option} needs images of at least {WINDOW}x{WINDOW} pixels; these have"
            f" {height}x{width}"
        )
    if importlib.util.find_spec("pytorch_msssim") is None:
        raise ConfigError(f"{option} needs a package: pip install 'aectl[ssim]'")
