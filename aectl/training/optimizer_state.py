"""The state that an optimiser keeps between its steps: its size, and its way into a checkpoint."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from aectl.config.training_options import BF16, TrainingConfig
from aectl.training.bfloat16_adam import AdamInBfloat16, bytes_at_once
from aectl.training.optimizers import HISTORY, SGD, Adam, AdamW, Muon, OfMatrices
from aectl.training.state import OptimizerState

SLOTS: dict[type[Optimizer], set[str]] = {
    Adam: {"step", "exp_avg", "exp_avg_sq"},
    AdamW: {"step", "exp_avg", "exp_avg_sq"},
    AdamInBfloat16: {"step", "exp_avg", "exp_avg_sq"},
    SGD: {"momentum_buffer"},
    OfMatrices: {"momentum_buffer"},
}
"""The entries of each optimiser's state for a parameter after its first step."""

VECTORS = {"d", "prev_flat_grad", "old_dirs", "old_stps"}
NUMBERS = {"func_evals", "n_iter", "t", "H_diag", "prev_loss", "ro", "al"}
SEQUENCES = {"old_dirs", "old_stps", "ro", "al"}
"""The state of LBFGS, all of whose weights are one vector."""


def bytes_of_state(config: TrainingConfig, parameters: Sequence[Tensor]) -> int:
    """The bytes that an optimiser keeps between its steps."""
    every = sum(parameter.nbytes for parameter in parameters)
    if config.optimizer == "lbfgs":
        return every * (2 * HISTORY + 6)
    if config.optimizer == "sgd":
        return every if config.momentum else 0
    if config.optimizer == "muon":
        return 2 * every - sum(parameter.nbytes for parameter in parameters if parameter.ndim == 2)
    return every if config.optimizer_state == BF16 else 2 * every


def bytes_of_step(config: TrainingConfig, parameters: Sequence[Tensor]) -> int:
    """An upper bound of the bytes that a step of an optimiser needs for its own results."""
    largest = max((parameter.nbytes for parameter in parameters), default=0)
    if config.optimizer == "lbfgs":
        return 5 * sum(parameter.nbytes for parameter in parameters)
    if config.optimizer == "muon" or config.decoder_columns != "free":
        return 4 * largest
    if config.optimizer_state == BF16:
        return max(map(bytes_at_once, parameters), default=0)
    return 0


def state_of(optimizer: Optimizer) -> list[OptimizerState]:
    """The state of an optimiser for each parameter; for one of several parts, of each part."""
    return [part.state_dict()["state"] for part in _parts(optimizer)]


def restore_state(optimizer: Optimizer, states: list[OptimizerState]) -> None:
    """The inverse of `state_of`. Raises ValueError where the states are not of such an optimiser
    and such parameters.
    """
    for part, state in zip(_parts(optimizer), states, strict=True):
        _refuse_misfit(part, state)
        part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
    optimizer.param_groups = [group for part in _parts(optimizer) for group in part.param_groups]


def _parts(optimizer: Optimizer) -> tuple[Optimizer, ...]:
    return optimizer.parts if isinstance(optimizer, Muon) else (optimizer,)


def _refuse_misfit(optimizer: Optimizer, state: OptimizerState) -> None:
    """Raises ValueError where compiled code would read or write beside the optimiser's tensors."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    for number, held in state.items():
        if number not in range(len(parameters)):
            raise ValueError(f"there is no parameter {number}")
        if isinstance(optimizer, torch.optim.LBFGS):
            _refuse_misfit_of_history(held, sum(parameter.numel() for parameter in parameters))
            continue
        if held.keys() not in (SLOTS[type(optimizer)], set()):
            raise ValueError(f"parameter {number} has the wrong state: {', '.join(held)}")
        for name, value in held.items():
            wanted = torch.Size() if name == "step" else parameters[number].shape
            narrow = isinstance(optimizer, AdamInBfloat16) and name != "step"
            if not isinstance(value, Tensor) or value.shape != wanted:
                raise ValueError(f"{name} of parameter {number} has the wrong shape")
            if value.dtype != (torch.bfloat16 if narrow else torch.float32):
                raise ValueError(f"{name} of parameter {number} has the wrong type")


def _refuse_misfit_of_history(held: Mapping[str, object], size: int) -> None:
    """Raises ValueError if the state of LBFGS is not that of this number of weights."""
    for name, value in held.items():
        wanted = torch.Size((size,) if name in VECTORS else ())
        several = isinstance(value, list)
        tensors = value if isinstance(value, list) else [value]
        fits = name in VECTORS | NUMBERS and several == (name in SEQUENCES)
        for one in tensors if fits else ():
            if isinstance(one, Tensor):
                fits &= one.dtype == torch.float32 and one.shape == wanted
            else:
                fits &= name in NUMBERS and (type(one) in (int, float) or (one is None and several))
        if not fits:
            raise ValueError(f"{name} has the wrong form for lbfgs")
    if held.keys() - {"al"} != VECTORS | NUMBERS - {"al"}:
        raise ValueError("the history of lbfgs is incomplete")
    if len({len(held[name]) for name in SEQUENCES - {"al"}}) > 1:  # type: ignore[arg-type]
        raise ValueError("the history of lbfgs has different lengths")
