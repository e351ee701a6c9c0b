"""The base of optimisers, which never loads torch's compiler."""

import inspect

from torch.optim import Optimizer


class Uncompiled(Optimizer):
    """An optimiser that is never compiled, and so does not load torch's compiler, which takes a
    second: the methods of torch are marked so that it is loaded with their first call.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
