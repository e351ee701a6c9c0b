"""The size of the state of optimisers. `test_resume` has its way into a checkpoint and back."""

import pytest
import torch

from aectl.config.configuration import Config
from aectl.training.optimizer_state import bytes_of_state, state_of
from aectl.training.optimizers import build_optimizer

KINDS = [{"optimizer": one} for one in ("adam", "adamw", "sgd", "muon", "lbfgs")]
KINDS += [{"optimizer": one, "optimizer_state": "bf16"} for one in ("adam", "adamw")]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_the_state_of_an_optimiser_is_that_which_it_keeps(options):
    network = torch.nn.Sequential(torch.nn.Linear(50, 40), torch.nn.Linear(40, 50))
    config = Config.from_options(options).training
    made = build_optimizer(network, config)
    generator = torch.Generator().manual_seed(0)
    for _ in range(25):
        inputs = torch.rand(8, 50, generator=generator)

        def loss(inputs=inputs):
            made.zero_grad()
            found = (network(inputs) - inputs).square().sum() + network(inputs).cos().sum()
            found.backward()
            return found

        made.step(loss)
    kept = sum(
        value.nbytes
        for state in state_of(made)
        for held in state.values()
        for several in held.values()
        for value in (several if isinstance(several, list) else [several])
        if isinstance(value, torch.Tensor)
    )
    assert kept <= 1.02 * bytes_of_state(config, list(network.parameters()))
    assert kept >= 0.8 * bytes_of_state(config, list(network.parameters()))
