"""The options of `aectl train` that describe the network."""

import dataclasses
import math
from dataclasses import dataclass

from aectl.config import kinds
from aectl.config.declaration import SIDES, Section, flag, option
from aectl.config.kinds import (
    CHOICES,
    FORMER,
    IMAGES,
    KINDS,
    MAP,
    SHORTER,
    VECTOR,
    VECTORS,
    WORDS,
)
from aectl.config.shapes import Sides
from aectl.config.sparsity import KL, NONE, RULES
from aectl.config.traits import with_trait
from aectl.errors import ConfigError

ACTIVATIONS = (
    "relu", "leaky-relu", "gelu", "silu", "elu", "softplus", "tanh", "sigmoid", "linear",
)  # fmt: skip

USUAL_ACTIVITY = 0.05


@dataclass(frozen=True)
class ModelConfig(Section):
    """The kind of network, its widths and its activations."""

    model: str = option(kinds.USUAL, "Kind of model to train.", choices=tuple(KINDS))
    modality: str | None = option(
        None,
        "Kind of input.",
        choices=kinds.modalities(),
        when=("model", kinds.of_several_modalities()),
        computed=(("model",), kinds.usual_modality),
        unset="that of --dataset",
    )
    hidden: tuple[int, ...] | None = option(
        None,
        "Widths of the layers from the input to the code, such as 1000,500,250,30; the decoder "
        "mirrors them. conv-autoencoder: the channels of each stage, which halves the sides, then "
        "those of the code, or with --bottleneck vector its width. conv-wta-autoencoder: the maps "
        "of each convolution. classifier: its hidden layers "
        "('' for none: logistic regression). "
        "text-autoencoder: the units of the recurrent layers, then, with --bottleneck vector, the "
        "code's width.",
        lengths=(0, 32), at_least=1, at_most=kinds.WIDEST,
        unset=kinds.widths_text(),
    )  # fmt: skip
    bottleneck: str = option(
        VECTOR,
        "Form of the code: vector; map (channels, height, width), of a convolutional autoencoder; "
        "words (some of the text's own, in their order), of a text autoencoder.",
        choices=kinds.bottlenecks(),
        former=tuple((old, f"{flag('bottleneck')} {new}") for old, new in FORMER.items()),
        when=("model", kinds.choosing_bottleneck()),
        instead=kinds.defaults("bottleneck"),
    )
    ratio: float = option(
        0.5,
        "Number of words that are kept, divided by that of the text.",
        at_least=0.0001, at_most=1,
        when=("bottleneck", SHORTER),
    )  # fmt: skip
    words: int | None = option(
        None,
        "Maximum number of words that are kept, instead of --ratio.",
        at_least=1,
        when=("bottleneck", (WORDS,)),
        unset="as many as --ratio gives",
    )
    choice: str = option(
        CHOICES[0],
        "How the kept words are chosen. learnt: so that the text can be rebuilt from them and they "
        "read well; for comparison, first: the first ones; random: random ones; idf: those with "
        "the highest inverse document frequency.",
        choices=CHOICES,
        when=("bottleneck", (WORDS,)),
    )
    temperature: float = option(
        1.0,
        "Nats of loss for a nat of the entropy of the words that are sampled.",
        above=0,
        when=("bottleneck", (WORDS,)),
    )
    bottleneck_factor: float | None = option(
        None,
        "Width of the input divided by the width of the code, if --hidden is not given.",
        at_least=0.01,
        when=("model", kinds.narrowing()),
        unset=kinds.factors_text(),
    )
    sparsity: str = option(
        NONE,
        "Sparsity rule of the code; --beta weights penalties. "
        + "; ".join(f"{name}: {rule.summary}" for name, rule in RULES.items())
        + ".",
        choices=tuple(RULES),
        when=("model", kinds.with_a_code()),
        instead=kinds.defaults("sparsity"),
    )
    k: int | None = option(
        None,
        "Number of units of the code that stay active per image or text.",
        at_least=1,
        when=("sparsity", with_trait(RULES, "keeps_k")),
        unset="a twentieth of the code's units",
    )
    alpha: float = option(
        1.0,
        "At inference, alpha * k units stay active instead of k.",
        at_least=1, at_most=1_000_000,
        when=("sparsity", ("topk",)),
    )  # fmt: skip
    rate: float = option(
        0.05,
        "Fraction of a batch for which each unit stays active in training.",
        above=0, at_most=1,
        when=("sparsity", ("wta",)),
        instead=kinds.defaults("rate"),
    )  # fmt: skip
    bandwidth: float = option(
        0.1,
        "Width of the rectangular kernel that approximates the gradient of the jump.",
        above=0,
        when=("sparsity", ("jumprelu",)),
    )
    activation: str = option(
        "relu",
        "Activation of the hidden layers other than the code.",
        choices=ACTIVATIONS,
        when=("model", kinds.reading(IMAGES)),
        instead=(("bottleneck", MAP, "silu"),),
    )
    code_activation: str = option(
        "relu",
        "Activation of the code.",
        choices=ACTIVATIONS,
        when=("model", kinds.with_a_code()),
        instead=(
            *(
                ("sparsity", name, RULES[name].activation)
                for name in with_trait(RULES, "activation")
            ),
            ("bottleneck", MAP, "linear"),
            *kinds.defaults("code_activation"),
        ),
    )
    output_activation: str = option(
        "clamp",
        "Activation of the reconstruction; clamp limits it to [0, 1].",
        choices=("clamp", "sigmoid", "linear"),
        when=("model", kinds.encoding_pixels()),
        instead=(
            ("loss", "bce", "sigmoid"),
            ("loss", "softmax-kl", "linear"),
            ("modality", VECTORS, "linear"),
        ),
    )
    center: bool = option(
        True,
        "Subtract the mean of the training images from the input, and initialise the output bias "
        "with that mean. Without this, most units die on bright images.",
        when=("model", kinds.encoding_pixels()),
        instead=(("sparsity", KL, False), *kinds.defaults("center")),
    )
    tied: bool = option(
        False,
        "Use the transposed weights of the encoder as those of the decoder.",
        when=("model", with_trait(KINDS, "mirrored")),
        instead=tuple(("sparsity", name, True) for name in with_trait(RULES, "ties")),
    )
    dropout: float = option(
        0.0,
        "Fraction of each hidden layer that is dropped in training.",
        at_least=0, below=1,
        when=("model", with_trait(KINDS, "dropout")),
        instead=kinds.defaults("dropout"),
    )  # fmt: skip
    input_dropout: float = option(
        0.0,
        "Fraction of the input that is dropped in training; the rest is scaled up.",
        at_least=0, below=1,
        when=("model", with_trait(KINDS, "dropout")),
    )  # fmt: skip

    scale: str = option(
        "none",
        "Scaling of vectors, which the model keeps: standard (each feature has mean 0 and standard "
        "deviation 1), minmax (each lies between 0 and 1), center (each feature has mean 0), "
        "unit-norm (each vector has length 1) or layer-norm (each vector has mean 0 and standard "
        "deviation 1). Without it, standard if the standard deviations of two features differ by a "
        "factor of more than 1,000.",
        choices=("none", "standard", "minmax", "center", "unit-norm", "layer-norm"),
        modalities=(VECTORS,),
    )
    missing: str = option(
        "refuse",
        "Missing values of vectors: refuse them, or use the mean of the feature.",
        choices=("refuse", "mean"),
        modalities=(VECTORS,),
    )
    standardize: bool = option(
        False,
        "Subtract from each input of the classifier its mean over the training set, and divide by "
        "its standard deviation.",
        when=("model", kinds.classifiers()),
    )
    patch_size: tuple[int, ...] = option(
        (6, 6),
        "Height and width of the patches that it learns from.",
        lengths=(1, 2), at_least=2, at_most=64, form=f"{SIDES}, or one number for both",
        when=("model", with_trait(KINDS, "patches")),
    )  # fmt: skip
    stride: int = option(
        1,
        "Distance in pixels between the places of an image at which a patch is encoded.",
        at_least=1, at_most=64,
        when=("model", with_trait(KINDS, "patches")),
    )  # fmt: skip
    whitening: float | None = option(
        None,
        "Number that is added to the variances of the principal components of patches, or of whole "
        "images, before they are whitened; the larger, the less is noise amplified.",
        above=0,
        when=("model", with_trait(KINDS, "pooled")),
        instead=kinds.defaults("whitening"),
        unset="none",
    )
    kernel_size: int = option(
        5,
        "Height and width of the convolutions of the encoder, an odd number.",
        at_least=1, at_most=63,
        when=("model", with_trait(KINDS, "winners")),
    )  # fmt: skip
    filter_size: int = option(
        11,
        "Height and width of the filters of the decoder, an odd number.",
        at_least=1, at_most=63,
        when=("model", with_trait(KINDS, "winners")),
    )  # fmt: skip
    features: str = option(
        "soft-threshold",
        "Features of an image: code (the codes of its patches, or the maps before one activation "
        "of each wins), or soft-threshold (max(0, z - t) and max(0, -z - t) for the product z of a "
        "whitened patch and each column of the decoder).",
        choices=("soft-threshold", "code"),
        when=("model", with_trait(KINDS, "pooled")),
        instead=kinds.defaults("features"),
    )
    threshold: float = option(
        0.25, "The threshold t.", at_least=0, when=("features", ("soft-threshold",))
    )
    pool: str = option(
        "sum",
        "Pooling of the features over the places in each cell of --grid; none keeps every place.",
        choices=("sum", "mean", "max", "none"),
        when=("model", with_trait(KINDS, "pooled")),
        instead=kinds.defaults("pool"),
    )
    grid: tuple[int, ...] = option(
        (2, 2),
        "Rows and columns of the cells of an image over which features are pooled.",
        lengths=(1, 2), at_least=1, at_most=64, form="ROWSxCOLUMNS, or one number for both",
        when=("pool", ("sum", "mean", "max")),
        instead=kinds.defaults("grid"),
    )  # fmt: skip
    overlap: int = option(
        0,
        "Places by which each cell of --grid extends beyond each of its sides.",
        at_least=0, at_most=64,
        when=("pool", ("sum", "mean", "max")),
        instead=kinds.defaults("overlap"),
    )  # fmt: skip
    mirror: bool = option(
        False,
        "Add to the features of an image those of its mirror image, so that both have the same.",
        when=("model", with_trait(KINDS, "pooled")),
    )
    power: float = option(
        1.0,
        "Power to which the magnitudes of features are raised in the end; 0.5 takes square roots.",
        at_least=0.05, at_most=1,
        when=("model", with_trait(KINDS, "pooled")),
    )  # fmt: skip
    beside: bool = option(
        False,
        "Add to the features of each cell those of --encoder, all of them, pooled over the cell.",
        when=("model", with_trait(KINDS, "pooled")),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.modality is None:
            object.__setattr__(self, "modality", kinds.usual_modality(self.model))
        if self.modality not in self._kind.modalities:
            raise ConfigError(
                f"--model {self.model} learns from {' or '.join(self._kind.modalities)}, not"
                f" {self.modality}"
            )
        rule = RULES[self.sparsity]
        if rule.needs_it and self.code_activation != rule.activation:
            because = f": {rule.because}" if rule.because else ""
            raise ConfigError(
                f"--sparsity {self.sparsity} needs --code-activation {rule.activation}{because}"
            )
        if rule.frozen_decoder and self.tied:
            raise ConfigError(
                f"--sparsity {self.sparsity} cannot go with --tied: its decoder needs its own"
                " weights"
            )
        if self.bottleneck not in self._kind.codes:
            allowed = " or ".join(way for way in self._kind.codes if way not in FORMER)
            raise ConfigError(
                f"--model {self.model} has --bottleneck {allowed}, not {self.bottleneck}"
            )
        if self.hidden and not self.code_is_map:
            self.check_units(self.hidden[-1])
        if self.code_is_map and not rule.of_maps:
            raise ConfigError(
                f"--sparsity {self.sparsity} needs --bottleneck vector: its units are not alike at"
                " all places of a map"
            )
        if rule.frozen_decoder and self._kind.bottlenecks:
            raise ConfigError(f"--sparsity {self.sparsity} cannot go with --model {self.model}")
        if self.sparsity != NONE and not self.code_is_vector:
            raise ConfigError(f"--sparsity needs --bottleneck {VECTOR}, not {self.bottleneck}")
        if self._kind.winners:
            self._check_winners()
        if self.beside and self.pool == "none":
            raise ConfigError("--beside cannot go with --pool none: it adds to the cells of --grid")
        self._check_width_count()

    @property
    def code_is_vector(self) -> bool:
        """Whether the code is a vector, and not a shorter text."""
        return self.bottleneck not in SHORTER

    @property
    def code_is_map(self) -> bool:
        """Whether the code is a map, flattened to a vector."""
        return self.bottleneck == MAP

    def units(self, sides: Sides) -> int:
        """The number of units of the code, for images of these `sides`; `hidden` must be set."""
        assert self.hidden is not None
        each = kinds.places(sides, len(self.hidden) - 1) if self.code_is_map else 1
        return self.hidden[-1] * each

    def check_units(self, units: int, k_start: int | None = None) -> None:
        """Raises ConfigError if more `units` are to be active than the code has."""
        for name, active in {"k": self.k, "k-start": k_start}.items():
            if (active or 0) > units:
                raise ConfigError(f"--{name} is {active}, and the code has {units} units")

    @property
    def _kind(self) -> kinds.Kind:
        return KINDS[self.model]

    def _check_winners(self) -> None:
        """Raises ConfigError if the largest activations of maps cannot be the code."""
        wanted = {"sparsity": "wta", "code_activation": "relu", "features": "code"}
        for name, needed in wanted.items():
            if getattr(self, name) != needed:
                raise ConfigError(f"--model {self.model} needs {flag(name)} {needed}")
        for name in ("kernel_size", "filter_size"):
            if getattr(self, name) % 2 == 0:
                raise ConfigError(f"{flag(name)} must be odd; {getattr(self, name)} given")
        if self.whitening and self.output_activation != "clamp":
            raise ConfigError(
                f"--whitening cannot go with --output-activation {self.output_activation}: whitened"
                " pixels have no limits"
            )

    def _check_width_count(self) -> None:
        """Raises ConfigError if `hidden` has too few or too many widths."""
        exactly = self._kind.bottlenecks.get(self.bottleneck)
        least = self._kind.fewest_widths if exactly is None else len(exactly)
        most = math.inf if exactly is None else len(exactly)
        if self.hidden is not None and not least <= len(self.hidden) <= most:
            wanted = f"at least {least}" if most > least else f"exactly {least}"
            through = f" --bottleneck {self.bottleneck}" if exactly else ""
            raise ConfigError(
                f"--hidden must name {wanted} width{'s' * (least > 1)} for --model"
                f" {self.model}{through}; {len(self.hidden)} given"
            )

    def resolved(self, width: int, sides: Sides = (1, 1)) -> "ModelConfig":
        """With `hidden` and `k` filled in for an input of `width` numbers; an image has these
        `sides`.
        """
        usual = self._kind.widths(width, self.bottleneck_factor, self.bottleneck, sides)
        widths = self.hidden if self.hidden is not None else usual
        found = dataclasses.replace(self, hidden=widths, bottleneck_factor=None)
        if self.k is None and RULES[self.sparsity].keeps_k:
            k = max(1, round(USUAL_ACTIVITY * found.units(sides)))
            return dataclasses.replace(found, k=k)
        return found
