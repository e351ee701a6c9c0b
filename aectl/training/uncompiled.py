"""The base of optimisers, which never loads torch's compiler."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer


class Uncompiled(Optimizer):
    """An optimiser that is never compiled, and so does not load torch's compiler, which takes a
    second: the methods of torch are marked so that it is loaded with their first call.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


def loss_of(closure: Callable[[], Tensor] | None) -> Tensor | None:
    """The loss that the closure of a step gives, if there is one, once it has computed gradients:
    a step itself has none."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
