"""The count of memory, against torch's own record of real steps."""

import sys
from itertools import accumulate
from math import prod

import pytest
import torch
from torch.autograd.profiler import profile

from aectl.config.configuration import Config
from aectl.config.shapes import TextShape
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch
from aectl.training.metering import metered, without_compiler

GREY, COLOUR, TEXT = (1, 20, 20), (3, 16, 16), TextShape(4, 300)
DENSE = {
    "plain": {},
    "deep": {"hidden": (300, 200, 100)},
    "kl": {"sparsity": "kl"},
    "l1": {"sparsity": "l1"},
    "topk": {"sparsity": "topk"},
    "batch-topk": {"sparsity": "batch-topk"},
    "jumprelu": {"sparsity": "jumprelu"},
    "gated": {"sparsity": "gated"},
    "wta": {"sparsity": "wta"},
    "auxiliary": {"sparsity": "topk", "aux_k": 16},
    "revival": {"sparsity": "topk", "revive": 0.1},
    "contractive": {"hidden": (40, 20), "activation": "tanh", "contractive": 0.1},
    "noise": {"noise": "masking", "noise_level": 0.2},
    "shift": {"shift": 2},
    "tied": {"tied": True},
    "dropout": {"dropout": 0.5},
}
OTHERS = {
    "conv": (
        {"model": "conv-autoencoder", "bottleneck": "vector", "hidden": (8, 16, 100)},
        COLOUR,
        0,
    ),
    "winners": (
        {"model": "conv-wta-autoencoder", "hidden": (8, 16), "filter_size": 5},
        COLOUR,
        0,
    ),
    "conv to a map": ({"model": "conv-autoencoder", "hidden": (8, 16, 4)}, COLOUR, 0),
    "classifier": ({"model": "classifier", "hidden": (500,)}, GREY, 7),
    "text": ({"model": "text-autoencoder", "hidden": (40, 30)}, TEXT, 0),
    "kept words": ({"model": "text-autoencoder", "bottleneck": "words"}, TEXT, 0),
}
CASES = {name: (options, GREY, 0) for name, options in DENSE.items()} | OTHERS


def step(options, shape, classes, batch=50):
    """Builds a network, and makes a step with gradients; all that is not kept is freed."""
    text = isinstance(shape, TextShape)
    config = Config.from_options(options).resolved(None if text else shape, prod(shape), 1000)
    network = build_network(Architecture(config.model, shape, classes))
    if text:
        inputs = torch.randint(3, shape.tokens, (batch, shape.length))
    else:
        inputs = torch.rand(batch, *shape)
    labels = torch.randint(classes, (batch,)) if classes else None
    whole = objective(config, getattr(network, "trained", network))
    whole.train()
    whole(Batch(inputs, labels)).loss.backward()
    return whole


def counted(*case):
    with metered() as meter:
        whole = step(*case)
        assert all(parameter.is_meta for parameter in whole.parameters())
    return meter


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_peak_is_that_of_a_real_step(case):
    with profile(profile_memory=True) as profiled:
        step(*case)
    events = profiled.kineto_results.events()
    real = max(accumulate(event.nbytes() for event in events if event.name() == "[memory]"))
    found = without_compiler(lambda: counted(*case)).peak
    most = 1.7 if "conv" in str(case) else 1.3  # torch's record lacks copies within convolutions
    assert 0.95 * real <= found <= most * real


def test_all_is_free_again_but_weights_and_gradients():
    options = {"sparsity": "l1", "center": False}
    meter = without_compiler(lambda: counted(options, GREY, 0))
    assert meter.live == 0

    def held():
        with metered() as meter:
            whole = step(options, GREY, 0)
            weights = sum(parameter.nbytes for parameter in whole.parameters())
            return meter.live, weights

    live, weights = without_compiler(held)
    assert live == pytest.approx(2 * weights, rel=0.01)


def test_a_condition_on_a_value_holds_and_a_mask_selects_all():
    def both():
        with metered():
            values = torch.rand(3, 4)
            return bool((values > 2).any()), values[values > 2].shape

    assert without_compiler(both) == (True, (12,))


def test_what_torch_loads_for_shapes_is_loaded_where_more_is_needed_of_it(monkeypatch):
    """As by another version of torch."""
    from aectl.training import metering

    name = "an_absent_module_of_torch"
    monkeypatch.setitem(metering.STAND_INS, name, {})
    found = []

    def count():
        found.append(name in sys.modules)
        if found[-1]:
            from an_absent_module_of_torch import anything  # noqa: F401
        return 5

    assert without_compiler(count) == 5
    assert found == [True, False]
