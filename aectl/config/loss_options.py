"""The options of `aectl train` that define the loss."""

from dataclasses import dataclass

from aectl.config import kinds, sparsity
from aectl.config.declaration import Section, option
from aectl.config.kinds import IMAGES, KINDS, WORDS
from aectl.config.sparsity import KL, RULES
from aectl.config.traits import with_trait


@dataclass(frozen=True)
class LossConfig(Section):
    """The loss that training minimises."""

    loss: str = option(
        "mse",
        "Reconstruction loss per image: mse (half the squared error, summed over pixels), l1 (the "
        "absolute error, summed), charbonnier (the same, smooth at 0), bce (cross-entropy, "
        "summed), softmax-kl (KL divergence between the softmaxes of input and output) or ssim "
        "(1 - the structural similarity, times the number of pixels).",
        choices=("mse", "l1", "charbonnier", "bce", "softmax-kl", "ssim"),
        limited=(("bce", (IMAGES,)), ("ssim", (IMAGES,))),
        when=("model", kinds.encoding_pixels()),
    )
    svm: bool = option(
        False,
        "Minimise the squared hinge loss of a linear SVM for each class against the others, "
        "instead of the cross-entropy.",
        when=("model", kinds.classifiers()),
    )
    rho: float = option(
        0.05, "Target mean activation of each unit.", above=0, below=1, when=("sparsity", (KL,))
    )
    beta: float = option(
        RULES[KL].beta,
        "Weight of the sparsity penalty.",
        at_least=0,
        when=("sparsity", with_trait(RULES, "beta")),
        instead=sparsity.defaults("beta"),
    )
    p_end: float = option(
        1.0,
        "Power p of the penalty sum_j |code_j|^p at the end of training; p falls linearly from 1, "
        "and the weight is adjusted so that the penalty does not jump.",
        above=0, at_most=1,
        when=("sparsity", ("l1",)),
    )  # fmt: skip
    aux_k: int = option(
        0,
        "Number of dead units that are trained to reconstruct the residual of the active ones.",
        at_least=0,
        when=("sparsity", with_trait(RULES, "auxiliary")),
    )
    revive: float = option(
        0.0,
        "Weight of the loss that reactivates dead units, using the input with the largest "
        "pre-activation.",
        at_least=0,
        when=("sparsity", with_trait(RULES, "can_die")),
        instead=(
            ("optimizer", "lbfgs", 0.0),
            *(("sparsity", name, 0.001) for name in with_trait(RULES, "can_die")),
        ),
    )
    prefixes: tuple[int, ...] | None = option(
        None,
        "Numbers of first units of the code that are to reconstruct an input alone, too, such as "
        "64,256: their reconstruction losses are added to that of all units.",
        lengths=(1, 32), at_least=1,
        when=("model", with_trait(KINDS, "stacked")),
        unset="none",
    )  # fmt: skip
    noise: str = option(
        "none",
        "Noise added to the input, not to the target: masking (sets pixels to 0), "
        "salt-and-pepper (to 0 or 1) or gaussian.",
        choices=("none", "masking", "salt-and-pepper", "gaussian"),
        limited=(("salt-and-pepper", (IMAGES,)),),
        when=("model", kinds.encoding(IMAGES)),
    )
    noise_level: float = option(
        0.25,
        "Fraction of the pixels that noise changes; for gaussian noise, its standard deviation.",
        above=0, at_most=1,
        when=("noise", ("masking", "salt-and-pepper", "gaussian")),
    )  # fmt: skip
    lambda_q: float = option(
        1.0,
        "Weight of the quality of the kept words: their negative log-likelihood under a language "
        "model, which is trained first. It rises from 0 over the first 1,000 steps.",
        at_least=0,
        when=("bottleneck", (WORDS,)),
    )
    contractive: float = option(
        0.0,
        "Weight of the contractive penalty, the squared Frobenius norm of d code / d input.",
        at_least=0,
        when=("model", kinds.encoding(IMAGES)),
    )
