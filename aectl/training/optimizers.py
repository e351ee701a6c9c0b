"""Optimisers, by the names that users type, and what is done to the weights after each step."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aectl.config.training_options import BF16, TrainingConfig
from aectl.models.text_autoencoder import VectorEncoder
from aectl.objectives.text_objectives import DEVIATION, MEAN
from aectl.training.bfloat16_adam import AdamInBfloat16
from aectl.training.uncompiled import Uncompiled, loss_of

HISTORY = 20
"""Steps that LBFGS remembers."""

PACE, SAME = 0.1, 1e-4
"""How fast units follow the standardisation of a batch, and the standard deviation below which a
unit is taken to be the same for all texts."""

MOST_STEPS = 50
NEARLY = 1e-5
CONVERGES_BELOW = 3.0


def build_optimizer(network: nn.Module, config: TrainingConfig) -> Optimizer:
    """The optimiser of all parameters that are trained; only weights, not biases, decay."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: Groups = [{"params": trained, "weight_decay": 0.0}]
    if config.weight_decay:
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
    table = IN_BFLOAT16 if config.optimizer_state == BF16 else OPTIMIZERS
    return table[config.optimizer](groups, config)


def constrain(
    network: nn.Module, config: TrainingConfig, optimizer: Optimizer, now: bool = True
) -> None:
    """Holds the columns of the decoder to what the config asks for after each step, and `now`,
    unless the last step before has done so: a second time may change their last bits.
    """
    project = COLUMNS.get(config.decoder_columns)
    if project is None:
        return

    @torch.no_grad()
    def hold(*_: object) -> None:
        columns: Tensor = network.decoder.directions  # type: ignore[union-attr, assignment]
        columns.copy_(project(columns))

    if now:
        hold()
    optimizer.register_step_post_hook(hold)


def follow(encoder: VectorEncoder, remembered: Mapping[str, Tensor], optimizer: Optimizer) -> None:
    """Lets the pre-activations of a code that is standardised in training come near to mean 0 and
    standard deviation 1 by themselves, as they are at inference: after each step, the vectors of
    the places, and the bias, follow the mean and the deviation of the batch, which are remembered.

    A unit with the same pre-activation for all texts of a batch stays as it is.
    """

    @torch.no_grad()
    def move(*_: object) -> None:
        if DEVIATION not in remembered:
            return
        mean, deviation = remembered[MEAN], remembered[DEVIATION]
        scale = torch.where(deviation > SAME, deviation, 1.0) ** -PACE
        encoder.places.mul_(scale)
        encoder.to_code.bias.sub_(PACE * mean * (deviation > SAME)).mul_(scale)

    optimizer.register_step_post_hook(move)


@contextlib.contextmanager
def recordable(optimizer: Optimizer) -> Iterator[None]:
    """Lets the steps of an optimiser in `RECORDABLE` be recorded, as a CUDA graph. Their learning
    rates must lie in memory of the device."""
    able = [group for group in optimizer.param_groups if "capturable" in group]
    for group in able:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in able:
            group["capturable"] = False


def unit_norm(columns: Tensor) -> Tensor:
    """Each column scaled to length 1; a column of zeros stays."""
    return nn.functional.normalize(columns, dim=0)


def orthonormal(columns: Tensor) -> Tensor:
    """The nearest matrix whose columns are orthonormal, or, where there are more columns than rows,
    whose rows are: the polar factor, by Newton-Schulz steps (Higham 2008, section 8.3).
    """
    if len(columns) < len(columns.T):
        return orthonormal(columns.T).T
    x, unit = columns, torch.eye(len(columns.T), device=columns.device)
    for _ in range(MOST_STEPS):
        gram = x.T @ x
        if (gram - unit).abs().max() < NEARLY:
            break
        bound = torch.linalg.matrix_norm(gram, torch.inf)  # of the largest singular value, squared
        x = x / bound.sqrt() if bound >= CONVERGES_BELOW else 1.5 * x - 0.5 * x @ gram
    return x


Groups = list[dict[str, Any]]


def _lbfgs(groups: Groups, config: TrainingConfig) -> Optimizer:
    """One iteration a step; the objective sees to the weight decay (it knows of no groups)."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return LBFGS(
        parameters, config.lr, max_iter=1, max_eval=25, tolerance_grad=0.0,
        tolerance_change=0.0, history_size=HISTORY, line_search_fn="strong_wolfe",
    )  # fmt: skip


class Adam(Uncompiled, torch.optim.Adam):
    """Kingma & Ba 2015."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class AdamW(Uncompiled, torch.optim.AdamW):
    """Loshchilov & Hutter 2019."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class SGD(Uncompiled, torch.optim.SGD):
    """With momentum as in torch (Sutskever et al. 2013)."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class LBFGS(Uncompiled, torch.optim.LBFGS):
    """Nocedal & Wright 2006, section 7.2."""


class OfMatrices(Uncompiled, torch.optim.Muon):
    """Jordan 2024, for matrices alone."""


class Muon(Uncompiled):
    """Muon for matrices, and AdamW for all else: two optimisers that step as one (Jordan 2024).

    Muon steps along the nearest orthogonal matrix to the momentum of the gradient; its steps are
    scaled to the length of AdamW's, so that both go with the same learning rate.
    """

    def __init__(self, groups: Groups, config: TrainingConfig) -> None:
        matrices: Groups = []
        others: Groups = []
        for group in groups:
            for kept, wanted in ((matrices, True), (others, False)):
                parameters = [p for p in group["params"] if (p.ndim == 2) == wanted]
                kept.append({**group, "params": parameters})
        self.parts: tuple[Optimizer, ...] = (
            OfMatrices(matrices, config.lr, adjust_lr_fn="match_rms_adamw"),
            AdamW(others, config.lr, fused=True),
        )
        super().__init__([group for part in self.parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """One step of both, after the loss and its gradients have been computed by `closure`."""
        loss = loss_of(closure)
        for part in self.parts:
            part.step()
        return loss


OPTIMIZERS: dict[str, Callable[[Groups, TrainingConfig], Optimizer]] = {
    "adam": lambda groups, config: Adam(groups, config.lr, fused=True),
    "adamw": lambda groups, config: AdamW(groups, config.lr, fused=True),
    "sgd": lambda groups, config: SGD(groups, config.lr, momentum=config.momentum, fused=True),
    "muon": Muon,
    "lbfgs": _lbfgs,
}

IN_BFLOAT16: dict[str, Callable[[Groups, TrainingConfig], Optimizer]] = {
    "adam": lambda groups, config: AdamInBfloat16(groups, config.lr),
    "adamw": lambda groups, config: AdamInBfloat16(groups, config.lr, decoupled_weight_decay=True),
}
"""Those whose state can be in bfloat16."""

RECORDABLE = ("adam", "adamw", "sgd")
"""Optimisers whose steps read all that changes from step to step from the device's memory."""

COLUMNS: dict[str, Callable[[Tensor], Tensor]] = {
    "unit-norm": unit_norm,
    "orthonormal": orthonormal,
}
