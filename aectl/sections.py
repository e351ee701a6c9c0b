"""The options of `aectl train`, each declared once on a field of a frozen section."""

import dataclasses
import math
from dataclasses import dataclass

from aectl import options
from aectl.errors import ConfigError
from aectl.options import option

AUTOENCODERS = ("autoencoder", "conv-autoencoder")
ACTIVATIONS = (
    "relu", "leaky-relu", "gelu", "silu", "elu", "softplus", "tanh", "sigmoid", "linear",
)  # fmt: skip
LEAST_STEPS = 2_000
WIDEST_CLASSIFIER = 2048


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
        unset="half the input's width; conv-autoencoder: 32, 64 and an eighth of it;"
        " classifier: twice the input's width, at most 2,048, two times",
    )  # fmt: skip
    bottleneck_factor: float | None = option(
        None,
        "Width of the input over the width of the code, where --hidden is not given.",
        at_least=0.01,
        when=("model", AUTOENCODERS),
        unset="2; 8 with --model conv-autoencoder",
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
        usual = 8.0 if self.model == "conv-autoencoder" else 2.0
        code = max(1, round(width / (self.bottleneck_factor or usual)))
        hidden = {
            "autoencoder": (code,),
            "conv-autoencoder": (32, 64, code),
            "classifier": (min(2 * width, WIDEST_CLASSIFIER),) * 2,
        }[self.model]
        return dataclasses.replace(self, hidden=hidden, bottleneck_factor=None)


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
        unset="10; more for a small set, so that there are 2,000 steps",
    )
    batch_size: int = option(128, "Images a step.", at_least=1)
    optimizer: str = option("adam", "Optimiser.", choices=("adam", "adamw", "sgd"))
    lr: float = option(
        0.003,
        "Learning rate at its highest.",
        above=0,
        instead=(
            ("sparsity", "kl", 0.01),
            ("optimizer", "sgd", 0.03),
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
