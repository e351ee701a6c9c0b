"""The options of `aectl train` that define the optimiser, its schedule and the initial weights."""

import dataclasses
import math
from dataclasses import dataclass

from aectl.config import kinds, sparsity
from aectl.config.declaration import Section, option
from aectl.config.kinds import IMAGES, KINDS, MAP, WORDS
from aectl.config.shapes import both
from aectl.config.sparsity import KL, RULES
from aectl.config.traits import with_trait
from aectl.errors import ConfigError

OF_BATCHES = ("adam", "adamw", "sgd", "muon")
"""The optimisers that need no full batch."""

FP32, BF16 = "fp32", "bf16"

LEAST_STEPS, LEAST_MAP_STEPS, LEAST_LM_STEPS = 2_000, 500, 800
FULL_BATCH_STEPS = 100


def _usual_decay(
    model: str, rule: str, size: tuple[int, ...] | None, channels: int | None
) -> float | None:
    """The default of --weight-decay; None if it depends on the shape of the images."""
    if model not in kinds.encoding_pixels():
        return 0.0
    values = channels * math.prod(both(size)) if size and channels else None
    return sparsity.usual_decay(rule, values)


def _usual_lr(model: str, rule: str) -> float:
    """The default of --lr, where no other option alone decides it."""
    return KINDS[model].lr_of_k if RULES[rule].keeps_k else kinds.USUAL_LR


@dataclass(frozen=True)
class TrainingConfig(Section):
    """The optimiser, its schedule, and what training starts from."""

    epochs: int | None = option(
        None,
        "Number of passes over the training set.",
        at_least=1,
        unset="10; more for a small set, so that there are 2,000 steps, 500 with --bottleneck map; "
        "100 with --optimizer lbfgs",
    )
    optimizer: str = option(
        "adam",
        "Optimiser. muon orthogonalises the updates of weight matrices, and uses adamw for other "
        "weights. lbfgs uses all images in each step; an epoch is one step.",
        choices=(*OF_BATCHES, "lbfgs"),
    )
    batch_size: int = option(
        128,
        "Number of images, patches or pieces of text, per step.",
        at_least=1,
        when=("optimizer", OF_BATCHES),
        instead=(
            ("bottleneck", MAP, 16),
            *(("model", name, 128) for name in with_trait(KINDS, "convolutional")),
            *kinds.defaults("batch_size"),
            *sparsity.defaults("batch_size"),
        ),
    )
    lr: float = option(
        kinds.USUAL_LR,
        "Maximum learning rate; 0.0015 for a sparse code of text that keeps k units.",
        above=0,
        instead=(
            ("optimizer", "lbfgs", 1.0),
            ("optimizer", "sgd", 0.03),
            ("bottleneck", MAP, 0.001),
            *kinds.defaults("lr"),
            *sparsity.defaults("lr"),
        ),
        computed=(("model", "sparsity"), _usual_lr),
    )
    momentum: float = option(
        0.9, "Momentum of sgd.", at_least=0, below=1, when=("optimizer", ("sgd",))
    )
    weight_decay: float | None = option(
        None,
        "Weight decay, without biases. adam, sgd and lbfgs: L2 penalty; adamw and muon: decoupled.",
        at_least=0,
        computed=(("model", "sparsity", "size", "channels"), _usual_decay),
        unset=f"0; with --sparsity kl, {RULES[KL].decay:g} for each value of an image (0.00235 for "
        "28x28 pixels)",
    )
    clip_grad: float | None = option(
        None,
        "Maximum gradient norm; larger gradients are rescaled.",
        above=0,
        when=("optimizer", OF_BATCHES),
        instead=(
            ("optimizer", "lbfgs", None),
            ("bottleneck", MAP, 50.0),
            *kinds.defaults("clip_grad"),
        ),
        unset="none",
    )
    precision: str | None = option(
        None,
        "Precision of matrix products and convolutions in training; tf32 and bf16 are faster and "
        "less exact. Weights, optimiser, losses and metrics stay in float32.",
        choices=(FP32, "tf32", BF16),
        unset="tf32 on a GPU that supports it, else fp32",
    )
    optimizer_state: str = option(
        FP32,
        "Precision in which adam and adamw keep their moments; bf16 needs half of their memory. "
        "Weights stay in float32.",
        choices=(FP32, BF16),
        when=("optimizer", ("adam", "adamw")),
    )
    compile: bool = option(
        False,
        "Compile the training step with torch.compile: it takes some seconds, then steps are "
        "faster on a GPU, and with --contractive on a CPU.",
        when=("optimizer", OF_BATCHES),
    )
    cuda_graphs: bool = option(
        True,
        "Replay training steps as CUDA graphs, on a GPU, where that is possible (see aectl help "
        "speed).",
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
        when=("sparsity", with_trait(RULES, "keeps_k")),
        unset="--k",
    )
    decoder_columns: str = option(
        "free",
        "Constraint on the columns of the decoder's first layer, one per unit of the code, after "
        "each step: free (none), unit-norm or orthonormal.",
        choices=("free", "unit-norm", "orthonormal"),
        when=("model", kinds.encoding(IMAGES)),
        instead=tuple(("sparsity", name, "unit-norm") for name in with_trait(RULES, "unit_norm")),
    )
    lm_epochs: int | None = option(
        None,
        "Number of epochs that the language model is trained for, before the autoencoder.",
        at_least=1,
        when=("bottleneck", (WORDS,)),
        unset="6; more for a small set, so that there are 800 steps",
    )
    prior: str | None = option(
        None,
        "What the language model learns from: text, as for --dataset; or a text autoencoder with "
        "--bottleneck words, whose trained language model is taken, with its vocabulary.",
        when=("bottleneck", (WORDS,)),
        unset="the training text",
        is_path=True,
    )
    stack: int = option(
        0,
        "Number of epochs that each layer is first trained for alone, as an autoencoder of the "
        "output of the layer below.",
        at_least=0,
        when=("model", with_trait(KINDS, "stacked")),
    )
    keep: str = option(
        "last",
        "Weights to save: those of the last epoch, or of the epoch with the lowest validation "
        "loss (best).",
        choices=("last", "best"),
        when=("validation", ()),
    )
    patience: int | None = option(
        None,
        "Stop when the validation loss has not fallen for this number of epochs.",
        at_least=1,
        when=("validation", ()),
        unset="none; 50 for a folder of which a tenth is held out by default",
    )
    seed: int = option(0, "Seed of every random choice.", at_least=0, at_most=2**32 - 1)
    load: str | None = option(
        None, "Model whose weights training is initialised with.", unset="none", is_path=True
    )
    encoder: str | None = option(
        None,
        "Trained autoencoder whose code is the input of the classifier, instead of pixels, or whose"
        " pooled features are that of a second autoencoder whose features are pooled.",
        when=("model", kinds.standing_on_encoders()),
        unset="none",
        is_path=True,
    )
    fine_tune: bool = option(False, "Train the encoder too.", when=("encoder", ()))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision == BF16 and self.optimizer == "lbfgs":
            raise ConfigError(
                "--precision bf16 cannot go with --optimizer lbfgs, whose line search compares"
                " losses that differ by less than the precision of bfloat16"
            )
        if self.prior and self.load:
            raise ConfigError(
                "--prior cannot go with --load: the model that training starts from has a language"
                " model already"
            )

    @property
    def takes_language_model(self) -> bool:
        """Whether the language model is that of `prior`, and not trained; once resolved."""
        return self.prior is not None and self.lm_epochs is None

    def resolved(self, inputs: int, to_map: bool, of_prior: int) -> "TrainingConfig":
        """With `epochs` filled in for a number of training `inputs`; `to_map`: whether the code is
        a map. If a language model is trained first, on `of_prior` inputs, with `lm_epochs` too.
        """
        steps = math.ceil(inputs / self.batch_size)
        usual = max(10, math.ceil((LEAST_MAP_STEPS if to_map else LEAST_STEPS) / steps))
        if self.optimizer == "lbfgs":
            usual = FULL_BATCH_STEPS
        first = self.lm_epochs
        if of_prior:
            steps_of_prior = math.ceil(of_prior / self.batch_size)
            first = first or max(6, math.ceil(LEAST_LM_STEPS / steps_of_prior))
        return dataclasses.replace(self, epochs=self.epochs or usual, lm_epochs=first)
