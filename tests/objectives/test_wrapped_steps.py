"""A step whose module others wrap: one call of `forward`, and the same gradients, bit for bit."""

from collections.abc import Iterator

import pytest
import torch
from every_kind import TOKENS, made, of_tables, others
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.config.shapes import SPECIAL
from aectl.config.sparsity import RULES
from aectl.models.language import LanguageModel
from aectl.objectives.step import Batch, Objective
from aectl.objectives.text_objectives import language_modelling


class Counted(nn.Module):
    """Counts the calls of a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.calls = module, 0

    def forward(self, batch: Batch) -> object:
        self.calls += 1
        return self.module(batch)


@pytest.fixture(scope="module")
def _one_process() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def stepped(module: nn.Module, batches: list[Batch]) -> list[torch.Tensor]:
    """The losses, gradients and weights of two steps of gradient descent."""
    torch.manual_seed(1)
    optimizer, found = torch.optim.SGD(module.parameters(), 0.01), []
    for batch in batches:
        optimizer.zero_grad()
        loss, terms = module(batch)
        loss.backward()
        found += [loss.detach(), *terms.values()]
        trained = [p for p in module.parameters() if p.requires_grad]
        found += [p.grad.clone() for p in trained if p.grad is not None]
        optimizer.step()
    return found + [p.detach() for p in module.parameters()]


def test_every_kind_of_model_and_every_rule_of_sparsity_is_tried():
    tried = [Config.from_options(options).model for options in [*of_tables(), *others()]]
    assert {one.model for one in tried} == KINDS.keys()
    assert {one.sparsity for one in tried} == RULES.keys()


@pytest.mark.usefixtures("_one_process")
@pytest.mark.parametrize("options", [*of_tables(), *others()], ids=str)
def test_a_wrapped_step_calls_forward_once_and_gives_the_same_gradients(options):
    plain, batches = made(options)
    expected = stepped(plain, batches)
    counted = Counted(made(options)[0])
    parallel = DistributedDataParallel(made(options)[0])
    for wrapped in (counted, parallel):
        found = stepped(wrapped, batches)
        assert len(found) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert counted.calls == len(batches)


@pytest.mark.usefixtures("_one_process")
def test_the_stage_of_a_language_model_can_be_wrapped_too():
    def made() -> Objective:
        torch.manual_seed(0)
        return Objective(LanguageModel(TOKENS.tokens, 4, 6), language_modelling).train()

    tokens = torch.randint(SPECIAL, TOKENS.tokens, (2, 5, TOKENS.length))
    batches = [Batch(one, None) for one in tokens]
    expected = stepped(made(), batches)
    found = stepped(DistributedDataParallel(made()), batches)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
