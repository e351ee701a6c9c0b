"""Every kind of model with every rule of sparsity, as small objectives that make steps."""

from collections.abc import Iterator

import torch

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS, TEXT
from aectl.config.shapes import SPECIAL, TextShape
from aectl.config.sparsity import RULES
from aectl.errors import ConfigError
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.dead_units import DEAD_AFTER
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch, Objective

SHAPE, SMALL, WINDOW, TOKENS = (1, 8, 8), (1, 4, 4), (1, 12, 11), TextShape(6, 20)
WIDTHS = {
    "conv-autoencoder": (3, 12), "text-autoencoder": (6, 12), "conv-wta-autoencoder": (3, 5),
}  # fmt: skip


def allowed(options: dict[str, object]) -> bool:
    try:
        Config.from_options(options)
    except ConfigError:
        return False
    return True


def of_tables() -> list[dict[str, object]]:
    """Every kind of model with every rule of sparsity that it can have."""
    k = {"k": 3, "revive": 0.1}
    every = (
        {"model": kind, "hidden": WIDTHS.get(kind, (12,)), "sparsity": rule}
        | ({"grid": 1} if KINDS[kind].pooled else {})
        | ({"patch_size": SHAPE[1:]} if KINDS[kind].patches else {})
        | (k if RULES[rule].keeps_k else {})
        for kind in KINDS
        for rule in RULES
    )
    return [options for options in every if allowed(options)]


def others() -> Iterator[dict[str, object]]:
    """Options that add another term to the loss, or draws to the step."""
    yield {"model": "classifier", "hidden": (12,), "dropout": 0.2, "shift": 1}
    yield {"model": "text-autoencoder", "hidden": (6,), "bottleneck": "words", "swap": 0.3}
    for loss in ("bce", "softmax-kl", "ssim"):
        yield {"hidden": (12,), "loss": loss}
    for noise in ("masking", "salt-and-pepper", "gaussian"):
        yield {"hidden": (12, 5), "noise": noise, "dropout": 0.2, "shift": 1}
    for hidden in ((12,), (12, 5)):
        yield {"hidden": hidden, "contractive": 0.3, "code_activation": "sigmoid"}
    yield {"hidden": (12,), "tied": True, "sparsity": "kl"}
    yield {"hidden": (12,), "sparsity": "topk", "k": 2, "aux_k": 4}
    yield {"hidden": (12,), "optimizer": "lbfgs", "weight_decay": 0.01}


def made(
    options: dict[str, object], remembered: dict[str, torch.Tensor] | None = None
) -> tuple[Objective, list[Batch]]:
    """An objective in training mode and two batches, large enough that units are dead."""
    config = Config.from_options(options)
    kind = KINDS[config.model.model]
    torch.manual_seed(0)
    texts = TEXT in kind.modalities and kind.has_code
    shape = SMALL if config.model.model.startswith("conv") else SHAPE
    if config.loss.loss == "ssim":
        shape = WINDOW
    described = Architecture(config.model, TOKENS if texts else shape, 0 if kind.has_code else 4)
    network = build_network(described)
    count = DEAD_AFTER // 2 if RULES[config.model.sparsity].can_die and not texts else 6
    if texts:
        inputs = torch.randint(SPECIAL, TOKENS.tokens, (2, count, TOKENS.length))
    else:
        inputs = torch.rand(2, count, *shape)
    labels = None if kind.has_code else torch.arange(count) % 4
    trained = getattr(network, "trained", network)
    whole = objective(config, trained, remembered=remembered).train()
    return whole, [Batch(one, labels) for one in inputs]
