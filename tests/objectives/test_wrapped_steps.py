"""A step whose module others wrap: one call of `forward`, and the same gradients, bit for bit."""

from collections.abc import Iterator

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS, TEXT
from aectl.config.shapes import SPECIAL, TextShape
from aectl.config.sparsity import RULES
from aectl.errors import ConfigError
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.language import LanguageModel
from aectl.objectives.dead_units import DEAD_AFTER
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch, Objective
from aectl.objectives.text_objectives import language_modelling

SHAPE, SMALL, TOKENS = (1, 8, 8), (1, 4, 4), TextShape(6, 20)
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
    for loss in ("bce", "softmax-kl"):
        yield {"hidden": (12,), "loss": loss}
    for noise in ("masking", "salt-and-pepper", "gaussian"):
        yield {"hidden": (12, 5), "noise": noise, "dropout": 0.2, "shift": 1}
    for hidden in ((12,), (12, 5)):
        yield {"hidden": hidden, "contractive": 0.3, "code_activation": "sigmoid"}
    yield {"hidden": (12,), "tied": True, "sparsity": "kl"}
    yield {"hidden": (12,), "sparsity": "topk", "k": 2, "aux_k": 4}
    yield {"hidden": (12,), "optimizer": "lbfgs", "weight_decay": 0.01}


def made(options: dict[str, object]) -> tuple[Objective, list[Batch]]:
    """An objective in training mode and two batches, large enough that units are dead."""
    config = Config.from_options(options)
    kind = KINDS[config.model.model]
    torch.manual_seed(0)
    texts = TEXT in kind.modalities and kind.has_code
    shape = SMALL if config.model.model.startswith("conv") else SHAPE
    described = Architecture(config.model, TOKENS if texts else shape, 0 if kind.has_code else 4)
    network = build_network(described)
    count = DEAD_AFTER // 2 if RULES[config.model.sparsity].can_die and not texts else 6
    if texts:
        inputs = torch.randint(SPECIAL, TOKENS.tokens, (2, count, TOKENS.length))
    else:
        inputs = torch.rand(2, count, *shape)
    labels = None if kind.has_code else torch.arange(count) % 4
    trained = getattr(network, "trained", network)
    return objective(config, trained).train(), [Batch(one, labels) for one in inputs]


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
