"""Optimisers, by the names that users type, and what is done to the weights after each step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aectl.sections import TrainingConfig

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
    return OPTIMIZERS[config.optimizer](groups, config)


def constrain(network: nn.Module, config: TrainingConfig, optimizer: Optimizer) -> None:
    """Holds the columns of the decoder to what the config asks for, now and after each step."""
    project = COLUMNS.get(config.decoder_columns)
    if project is None:
        return

    @torch.no_grad()
    def hold(*_: object) -> None:
        columns: Tensor = network.decoder.directions  # type: ignore[union-attr, assignment]
        columns.copy_(project(columns))

    hold()
    optimizer.register_step_post_hook(hold)


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
    return torch.optim.LBFGS(
        parameters, config.lr, max_iter=1, max_eval=25, tolerance_grad=0.0,
        tolerance_change=0.0, history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip


class Muon(Optimizer):
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
        self._parts: tuple[Optimizer, ...] = (
            torch.optim.Muon(matrices, config.lr, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, config.lr, fused=True),
        )
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """One step of both, after the loss and its gradients have been computed by `closure`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states and the groups of both."""
        states = [part.state_dict() for part in self._parts]
        return {name: [state[name] for state in states] for name in ("state", "param_groups")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        both = zip(state_dict["state"], state_dict["param_groups"], strict=True)
        for part, (state, groups) in zip(self._parts, both, strict=True):
            part.load_state_dict({"state": state, "param_groups": groups})
        self.param_groups = [group for part in self._parts for group in part.param_groups]


OPTIMIZERS: dict[str, Callable[[Groups, TrainingConfig], Optimizer]] = {
    "adam": lambda groups, config: torch.optim.Adam(groups, config.lr, fused=True),
    "adamw": lambda groups, config: torch.optim.AdamW(groups, config.lr, fused=True),
    "sgd": lambda groups, config: torch.optim.SGD(
        groups, config.lr, momentum=config.momentum, fused=True
    ),
    "muon": Muon,
    "lbfgs": _lbfgs,
}

COLUMNS: dict[str, Callable[[Tensor], Tensor]] = {
    "unit-norm": unit_norm,
    "orthonormal": orthonormal,
}
