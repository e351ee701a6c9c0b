"""The options of `aectl train`, each declared once on a field of a frozen section."""

import dataclasses
import math
from dataclasses import dataclass

from aectl.config import declaration as options
from aectl.config import kinds
from aectl.config.declaration import option
from aectl.config.decoding import MAX_PIXELS, REFUSE, TRUNCATED
from aectl.config.kinds import IMAGES, KINDS, TEXT
from aectl.config.sparsity import KL, NONE, RULES, with_trait
from aectl.errors import ConfigError

ACTIVATIONS = (
    "relu", "leaky-relu", "gelu", "silu", "elu", "softplus", "tanh", "sigmoid", "linear",
)  # fmt: skip
OF_BATCHES = ("adam", "adamw", "sgd", "muon")
LEAST_STEPS, LEAST_LM_STEPS = 2_000, 800
FULL_BATCH_STEPS = 100
USUAL_ACTIVITY = 0.05


class Section:
    """A frozen config that checks each of its options when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            options.check(field, getattr(self, field.name))


@dataclass(frozen=True)
class DataConfig(Section):
    """The training data, and how it is read."""

    dataset: str = option(
        "mnist",
        "A dataset's name, a folder of images, or patches:FOLDER: patches of a folder's images in "
        "grey, whitened and scaled (raw-patches:FOLDER: as they are). text-autoencoder: "
        "wikitext-2, or a file or folder of text, .txt or .tsv.",
        is_path=True,
    )
    patches: int | None = option(
        None,
        "Number of patches drawn from the images of patches:FOLDER.",
        at_least=1, at_most=10_000_000,
        unset="10,000 of 8x8 pixels",
    )  # fmt: skip
    size: tuple[int, ...] | None = option(
        None,
        "Resize images to HEIGHTxWIDTH pixels.",
        lengths=(1, 2), at_least=1, at_most=4096, form=f"{options.SIDES}, or one number for both",
        when=("model", kinds.reading(IMAGES)),
        unset="the dataset's own; at most 32x32 for a folder",
    )  # fmt: skip
    channels: int | None = option(
        None,
        "Channels of an image: 1 (grey) or 3 (colour).",
        choices=(1, 3),
        when=("model", kinds.reading(IMAGES)),
        unset="the dataset's own",
    )  # fmt: skip
    value_range: tuple[float, float] | None = option(
        None,
        "Values of black and white in image files whose format does not define them; stored in the "
        "model.",
        lengths=(2, 2), form="LOW,HIGH",
        when=("model", kinds.reading(IMAGES)),
        unset="those of the format",
    )  # fmt: skip
    max_pixels: int = option(
        MAX_PIXELS,
        "Maximum number of pixels of an image file; larger images are left out.",
        at_least=1,
        when=("model", kinds.reading(IMAGES)),
    )
    truncated: str = option(
        REFUSE,
        "Truncated JPEGs: leave them out (refuse), or use the readable part (keep).",
        choices=TRUNCATED,
        when=("model", kinds.reading(IMAGES)),
    )
    validation: float = option(
        0.0,
        "Fraction of the training set that is held out for validation; text is held out by whole "
        "documents.",
        at_least=0,
        below=1,
    )
    ext: str | None = option(
        None,
        "In a folder, use the files with these extensions, such as png,jpg.",
        unset="those of images; for text, .txt and .tsv",
    )
    include: tuple[str, ...] | None = option(
        None,
        "In a folder, use the files that match this pattern, such as 'good/*.png', whatever their "
        "extension; may be given several times.",
        unset="those with the extension of an image; for text, .txt and .tsv",
    )
    exclude: tuple[str, ...] | None = option(
        None,
        "In a folder, skip the files and folders that match this pattern; may be given several "
        "times.",
        unset="none",
    )
    labels: int | None = option(
        None,
        "Number of labelled images to train a classifier on, drawn at random, equally many of each "
        "class.",
        at_least=1,
        when=("model", kinds.of_classes()),
        unset="all",
    )
    shift: int = option(
        0,
        "Maximum random shift of training images, in pixels, horizontally and vertically.",
        at_least=0, at_most=1000,
        when=("model", kinds.reading(IMAGES)),
    )  # fmt: skip
    length: int = option(
        20,
        "Maximum number of tokens (pieces of words) per text; training uses random pieces of "
        "longer lines.",
        at_least=1, at_most=4096,
        when=("model", kinds.encoding(TEXT)),
    )  # fmt: skip
    vocabulary: int = option(
        2000,
        "Size of the vocabulary learnt from the training text; it includes all single bytes.",
        at_least=300, at_most=65_536,
        when=("model", kinds.encoding(TEXT)),
    )  # fmt: skip
    swap: float = option(
        0.2,
        "Fraction of the training tokens that are replaced by random others, in input and target "
        "alike.",
        at_least=0, at_most=1,
        when=("model", kinds.encoding(TEXT)),
        instead=(("bottleneck", "text", 0.0),),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value_range and not self.value_range[0] < self.value_range[1]:
            low, high = map(options.text, self.value_range)
            raise ConfigError(
                f"--value-range must be LOW,HIGH with LOW below HIGH; {low},{high} given"
            )
        if self.patches and "patches:" not in self.dataset:
            raise ConfigError("--patches has no effect without --dataset patches:FOLDER")


@dataclass(frozen=True)
class ModelConfig(Section):
    """The kind of network, its widths and its activations."""

    model: str = option("autoencoder", "Kind of model to train.", choices=kinds.names())
    hidden: tuple[int, ...] | None = option(
        None,
        "Widths of the layers from the input to the code, such as 1000,500,250,30; the decoder "
        "mirrors them. conv-autoencoder: the channels of each stage, which halves the sides, then "
        "the code's width. classifier: its hidden layers ('' for none: logistic regression). "
        "text-autoencoder: the units of the recurrent layers, then, with --bottleneck vector, the "
        "code's width.",
        lengths=(0, 32), at_least=1, at_most=1_000_000,
        unset="half the input's width; conv-autoencoder: 32, 64 and an eighth of it;"
        " classifier: two layers of twice the input's width, at most 2,048;"
        " text-autoencoder: 256, 256 (--bottleneck text: 256)",
    )  # fmt: skip
    bottleneck: str = option(
        "vector",
        "Bottleneck of a text autoencoder: vector (a code), or text (a shorter text, whose tokens "
        "are sampled by the straight-through Gumbel-softmax).",
        choices=kinds.bottlenecks(),
        when=("model", kinds.encoding(TEXT)),
    )
    ratio: float = option(
        0.5,
        "Length of the shorter text divided by the length of the input.",
        at_least=0.0001, at_most=1,
        when=("bottleneck", ("text",)),
    )  # fmt: skip
    temperature: float = option(
        1.0,
        "Temperature of the softmax that gives the gradient of a sampled token.",
        above=0,
        when=("bottleneck", ("text",)),
    )
    bottleneck_factor: float | None = option(
        None,
        "Width of the input divided by the width of the code, if --hidden is not given.",
        at_least=0.01,
        when=("model", kinds.encoding(IMAGES)),
        unset="2; 8 with --model conv-autoencoder",
    )
    sparsity: str = option(
        NONE,
        "Sparsity rule of the code. Penalties, weighted by --beta: kl (sum_j KL(rho || rho_hat_j)) "
        "and l1 (sum_j |code_j|). Rules that keep only the largest activations: topk (of an "
        "input), batch-topk (of a batch), wta (of a unit over a batch). Learnt thresholds, with a "
        "penalty weighted by --beta: jumprelu and gated.",
        choices=tuple(RULES),
        when=("model", kinds.with_a_code()),
    )
    k: int | None = option(
        None,
        "Number of units of the code that stay active per image or text.",
        at_least=1,
        when=("sparsity", with_trait("keeps_k")),
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
    )
    code_activation: str = option(
        "relu",
        "Activation of the code.",
        choices=ACTIVATIONS,
        when=("model", kinds.with_a_code()),
        instead=(
            *(("sparsity", name, RULES[name].activation) for name in with_trait("activation")),
            *(("model", name, "tanh") for name in kinds.encoding(TEXT)),
        ),
    )
    output_activation: str = option(
        "clamp",
        "Activation of the reconstruction; clamp limits it to [0, 1].",
        choices=("clamp", "sigmoid", "linear"),
        when=("model", kinds.encoding(IMAGES)),
        instead=(("loss", "bce", "sigmoid"), ("loss", "softmax-kl", "linear")),
    )
    center: bool = option(
        True,
        "Subtract the mean of the training images from the input, and initialise the output bias "
        "with that mean. Without this, most units die on bright images.",
        when=("model", kinds.encoding(IMAGES)),
        instead=(("sparsity", KL, False),),
    )
    tied: bool = option(
        False,
        "Use the transposed weights of the encoder as those of the decoder.",
        when=("model", ("autoencoder",)),
    )
    dropout: float = option(
        0.0,
        "Fraction of each hidden layer that is dropped in training.",
        at_least=0, below=1,
        when=("model", ("autoencoder", "classifier")),
        instead=(("model", "classifier", 0.5),),
    )  # fmt: skip
    input_dropout: float = option(
        0.0,
        "Fraction of the input that is dropped in training; the rest is scaled up.",
        at_least=0, below=1,
        when=("model", ("autoencoder", "classifier")),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = RULES[self.sparsity]
        if rule.needs_it and self.code_activation != rule.activation:
            because = f": {rule.because}" if rule.because else ""
            raise ConfigError(
                f"--sparsity {self.sparsity} needs --code-activation {rule.activation}{because}"
            )
        if self.sparsity == "gated" and self.tied:
            raise ConfigError(
                "--sparsity gated cannot go with --tied: its decoder needs its own weights"
            )
        if self.hidden and (self.k or 0) > self.hidden[-1]:
            raise ConfigError(f"--k is {self.k}, and the code has {self.hidden[-1]} units")
        if self.sparsity == "gated" and self._kind.bottlenecks:
            raise ConfigError(f"--sparsity gated cannot go with --model {self.model}")
        if self.sparsity != NONE and self.bottleneck == TEXT:
            raise ConfigError(
                "--sparsity needs --bottleneck vector; --bottleneck text has --lambda-s"
            )
        self._check_width_count()

    @property
    def _kind(self) -> kinds.Kind:
        return KINDS[self.model]

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

    def resolved(self, width: int) -> "ModelConfig":
        """With `hidden` and `k` filled in for an input of `width` numbers."""
        usual = self._kind.widths(width, self.bottleneck_factor, self.bottleneck)
        widths = self.hidden if self.hidden is not None else usual
        k = self.k
        if k is None and RULES[self.sparsity].keeps_k:
            k = max(1, round(USUAL_ACTIVITY * widths[-1]))
        return dataclasses.replace(self, hidden=widths, k=k, bottleneck_factor=None)


@dataclass(frozen=True)
class LossConfig(Section):
    """The loss that training minimises."""

    loss: str = option(
        "mse",
        "Reconstruction loss per image: mse (half the squared error, summed over pixels), bce "
        "(cross-entropy, summed) or softmax-kl (KL divergence between the softmaxes of input and "
        "output).",
        choices=("mse", "bce", "softmax-kl"),
        when=("model", kinds.encoding(IMAGES)),
    )
    rho: float = option(
        0.05, "Target mean activation of each unit.", above=0, below=1, when=("sparsity", (KL,))
    )
    beta: float = option(
        RULES[KL].beta,
        "Weight of the sparsity penalty.",
        at_least=0,
        when=("sparsity", with_trait("beta")),
        instead=tuple(("sparsity", name, RULES[name].beta) for name in with_trait("beta")),
    )
    aux_k: int = option(
        0,
        "Number of dead units that are trained to reconstruct the residual of the active ones.",
        at_least=0,
        when=("sparsity", with_trait("auxiliary")),
    )
    revive: float = option(
        0.0,
        "Weight of the loss that reactivates dead units, using the input with the largest "
        "pre-activation.",
        at_least=0,
        when=("sparsity", with_trait("can_die")),
        instead=(
            ("optimizer", "lbfgs", 0.0),
            *(("sparsity", name, 0.001) for name in with_trait("can_die")),
        ),
    )
    noise: str = option(
        "none",
        "Noise added to the input, not to the target: masking (sets pixels to 0), "
        "salt-and-pepper (to 0 or 1) or gaussian.",
        choices=("none", "masking", "salt-and-pepper", "gaussian"),
        when=("model", kinds.encoding(IMAGES)),
    )
    noise_level: float = option(
        0.25,
        "Fraction of the pixels that noise changes; for gaussian noise, its standard deviation.",
        above=0, at_most=1,
        when=("noise", ("masking", "salt-and-pepper", "gaussian")),
    )  # fmt: skip
    lambda_q: float = option(
        0.3,
        "Weight of the quality of the shorter text: its negative log-likelihood under a "
        "language model, which is trained first. It rises from 0 over the first 1,000 steps.",
        at_least=0,
        when=("bottleneck", ("text",)),
    )
    lambda_s: float = option(
        0.0,
        "Weight of the sparsity of the shorter text: the entropy of the distribution that each "
        "token is sampled from.",
        at_least=0,
        when=("bottleneck", ("text",)),
    )
    contractive: float = option(
        0.0,
        "Weight of the contractive penalty, the squared Frobenius norm of d code / d input.",
        at_least=0,
        when=("model", kinds.encoding(IMAGES)),
    )


@dataclass(frozen=True)
class TrainingConfig(Section):
    """The optimiser, its schedule, and what training starts from."""

    epochs: int | None = option(
        None,
        "Number of passes over the training set.",
        at_least=1,
        unset="10; more for a small set, so that there are 2,000 steps; 100 with --optimizer lbfgs",
    )
    optimizer: str = option(
        "adam",
        "Optimiser. muon orthogonalises the updates of weight matrices, and uses adamw for other "
        "weights. lbfgs uses all images in each step; an epoch is one step.",
        choices=(*OF_BATCHES, "lbfgs"),
    )
    batch_size: int = option(
        128,
        "Number of images, or pieces of text, per step.",
        at_least=1,
        when=("optimizer", OF_BATCHES),
    )
    lr: float = option(
        0.003,
        "Maximum learning rate.",
        above=0,
        instead=(
            ("optimizer", "lbfgs", 1.0),
            ("sparsity", KL, 0.01),
            ("optimizer", "sgd", 0.03),
            ("model", "classifier", 0.001),
        ),
    )
    momentum: float = option(
        0.9, "Momentum of sgd.", at_least=0, below=1, when=("optimizer", ("sgd",))
    )
    weight_decay: float = option(
        0.0,
        "Weight decay, without biases. adam, sgd and lbfgs: L2 penalty; adamw and muon: decoupled.",
        at_least=0,
    )
    clip_grad: float | None = option(
        None,
        "Maximum gradient norm; larger gradients are rescaled.",
        above=0,
        when=("optimizer", OF_BATCHES),
        instead=(
            ("optimizer", "lbfgs", None),
            *(("model", name, 20.0) for name in kinds.encoding(TEXT)),
        ),
        unset="none",
    )
    precision: str = option(
        "fp32",
        "Precision of matrix products in training; tf32 and bf16 are faster and less exact, on "
        "hardware that supports them.",
        choices=("fp32", "tf32", "bf16"),
    )
    compile: bool = option(
        False,
        "Compile the training step with torch.compile: it takes some seconds, then steps are "
        "faster on a GPU, and with --contractive on a CPU.",
        when=("optimizer", OF_BATCHES),
    )
    schedule: str = option(
        "cosine",
        "Schedule of the learning rate after the warm-up.",
        choices=("cosine", "constant"),
        when=("optimizer", OF_BATCHES),
    )
    warmup: float = option(
        0.05,
        "Fraction of training over which the learning rate rises from 0.",
        at_least=0, below=1,
        when=("optimizer", OF_BATCHES),
    )  # fmt: skip
    k_start: int | None = option(
        None,
        "Number of active units at the start; it falls to --k over the first half of training.",
        at_least=1,
        when=("sparsity", with_trait("keeps_k")),
        unset="--k",
    )
    decoder_columns: str = option(
        "free",
        "Constraint on the columns of the decoder's first layer, one per unit of the code, after "
        "each step: free (none), unit-norm or orthonormal.",
        choices=("free", "unit-norm", "orthonormal"),
        when=("model", kinds.encoding(IMAGES)),
        instead=tuple(("sparsity", name, "unit-norm") for name in with_trait("unit_norm")),
    )
    lm_epochs: int | None = option(
        None,
        "Number of epochs that the language model is trained for, before the autoencoder.",
        at_least=1,
        when=("bottleneck", ("text",)),
        unset="6; more for a small set, so that there are 800 steps",
    )
    stack: int = option(
        0,
        "Number of epochs that each layer is first trained for alone, as an autoencoder of the "
        "output of the layer below.",
        at_least=0,
        when=("model", ("autoencoder",)),
    )
    keep: str = option(
        "last",
        "Weights to save: those of the last epoch, or of the epoch with the lowest validation "
        "loss (best).",
        choices=("last", "best"),
        when=("validation", ()),
    )
    seed: int = option(0, "Seed of every random choice.", at_least=0, at_most=2**32 - 1)
    load: str | None = option(
        None, "Model whose weights training is initialised with.", unset="none", is_path=True
    )
    encoder: str | None = option(
        None,
        "Trained autoencoder whose code is the input of the classifier, instead of pixels.",
        when=("model", kinds.of_classes()),
        unset="none",
        is_path=True,
    )
    fine_tune: bool = option(False, "Train the encoder too.", when=("encoder", ()))

    def resolved(self, inputs: int, language_model: bool) -> "TrainingConfig":
        """With `epochs` filled in for a number of training `inputs` and, if a language model is
        trained first, `lm_epochs`.
        """
        steps = math.ceil(inputs / self.batch_size)
        usual = max(10, math.ceil(LEAST_STEPS / steps))
        if self.optimizer == "lbfgs":
            usual = FULL_BATCH_STEPS
        first = self.lm_epochs
        if language_model:
            first = first or max(6, math.ceil(LEAST_LM_STEPS / steps))
        return dataclasses.replace(self, epochs=self.epochs or usual, lm_epochs=first)
