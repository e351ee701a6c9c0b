"""Products from the units that a rule keeps: the results and gradients of dense products, without
an operation that waits for a GPU."""

import pytest
import torch
from operations import OnCpu, Waiting
from test_active_units import UNITS, WIDTH, gradients, network_and_loss
from torch import Tensor

from aectl.models import active_units, kept_units
from aectl.models.codes import BatchTopK, TopK
from aectl.models.precision import in_bfloat16
from aectl.objectives.step import Batch
from aectl.training import replayed
from aectl.training.means import Means
from aectl.training.optimizers import Adam
from aectl.training.replayed import Replayed
from aectl.training.steps import Eager


def inputs_of(seed: int, count: int = 20) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def of_kept_units(monkeypatch, **options):
    network, whole = network_and_loss(monkeypatch, True, **options)
    network.kept_up_to = network.encoder.code.kept
    return network, whole


OPTIONS = [
    {},
    {"sparsity": "batch-topk"},
    {"tied": True},
    {"code_activation": "tanh"},
    {"code_activation": "gelu"},
    {"hidden": (160, UNITS), "activation": "tanh"},
    {"aux_k": 16},
    {"revive": 0.1},
    {"prefixes": (64, 256)},
    {"sparsity": "batch-topk", "loss": "l1"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_kept_units_give_the_loss_and_the_gradient_of_all(monkeypatch, options):
    inputs = inputs_of(1)
    network, whole = of_kept_units(monkeypatch, **options)
    loss, found = gradients(network, whole, inputs)
    other, expected_whole = network_and_loss(monkeypatch, False, **options)
    expected_loss, expected = gradients(other, expected_whole, inputs)
    assert loss == pytest.approx(expected_loss.item(), rel=1e-5)
    assert list(found) == list(expected)
    for name, value in expected.items():
        scale = value.abs().max().clamp(min=1e-6)
        assert (found[name] - value).abs().max() < 1e-4 * scale, name


@pytest.mark.parametrize("rule", [TopK, BatchTopK])
@pytest.mark.parametrize("k", [3, 12])
def test_gradients_are_those_of_float64_autograd(rule, k):
    """Against dense products; some units are kept in no row, and some of the kept ones are 0."""
    torch.manual_seed(0)
    x, below = (torch.randn(shape, dtype=torch.float64) for shape in ((6, 5), (12, 5)))
    above, biases = torch.randn(7, 12).double(), torch.randn(19).double()
    below[:4] -= 10 * x.mean(0)
    leaves = [one.requires_grad_() for one in (x, below, above, biases)]
    code = rule("relu", k).double().train()
    weights = torch.randn(6, 7, dtype=torch.float64)

    def of_kept():
        out = torch.nn.functional.linear(x, below, biases[:12]).detach()
        kept = kept_units.kept_at(code.places(out), *out.shape)
        values = kept_units.encoded(x, below, biases[:12], out, kept).relu()
        spread = kept_units.spread(values, kept, out)
        return kept_units.decoded(values, kept, above, biases[12:]), spread

    def of_all():
        found = code(torch.nn.functional.linear(x, below, biases[:12]))
        return torch.nn.functional.linear(found, above, biases[12:]), found

    found, expected = of_kept(), of_all()
    torch.testing.assert_close(found, expected)
    assert (found[1] == 0).all(0).any() and (found[1] != 0).any()
    of_both = (
        torch.autograd.grad((made * weights).sum() + spread.square().sum(), leaves)
        for made, spread in (found, expected)
    )
    torch.testing.assert_close(*of_both)


def test_the_threshold_of_a_batch_is_followed_as_with_all_units(monkeypatch):
    thresholds = []
    for from_kept in (True, False):
        network, whole = network_and_loss(monkeypatch, True, sparsity="batch-topk")
        network.kept_up_to = from_kept * network.encoder.code.kept
        for seed in range(3):
            whole(Batch(inputs_of(seed), None))
        thresholds.append(network.encoder.code.threshold.item())
    assert thresholds[0] == thresholds[1] > 0


def test_in_bfloat16_the_gradient_is_that_of_all_units_but_for_rounding(monkeypatch):
    inputs = inputs_of(1)
    with in_bfloat16(inputs, True):
        loss, found = gradients(*of_kept_units(monkeypatch), inputs)
        expected_loss, expected = gradients(*network_and_loss(monkeypatch, False), inputs)
    assert loss == pytest.approx(expected_loss.item(), rel=1e-2)
    for name, value in expected.items():
        assert (found[name] - value).norm() <= 2e-2 * value.norm(), name


@pytest.mark.parametrize("options", [{}, {"sparsity": "batch-topk"}, {"aux_k": 16}], ids=str)
def test_no_step_waits_and_all_can_be_replayed(monkeypatch, options):
    monkeypatch.setattr(active_units, "applies_to", lambda _: False)  # as on a GPU
    monkeypatch.setattr(replayed, "WARM_UP", 3)
    weights = []
    for recorder in (OnCpu(), None):
        remembered: dict[str, Tensor] = {}
        network, whole = of_kept_units(monkeypatch, remembered=remembered, **options)
        take = Eager(whole, Adam(whole.parameters(), 2**-10, fused=True))
        with Waiting() as waiting:
            take.step(Batch(inputs_of(0), None))
        assert waiting.found == []
        sums = Means()
        if recorder is not None:
            take = Replayed(take, remembered, recorder, pytest.fail)
        for seed in range(9):
            take(Batch(inputs_of(seed), None), sums)
        weights.append([one.detach().clone() for one in network.parameters()])
        assert recorder is None or recorder.replays > 3
    assert all(map(torch.equal, *weights))


@pytest.mark.gpu
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_on_a_gpu_kept_units_give_the_gradient_of_all(monkeypatch, options):
    found = []
    for from_kept in (True, False):
        remembered: dict[str, Tensor] = {}
        network, whole = network_and_loss(monkeypatch, True, remembered, **options)
        network.kept_up_to = from_kept * network.encoder.code.kept
        whole.to("cuda")
        remembered |= {name: one.cuda() for name, one in remembered.items()}
        whole(Batch(inputs_of(1).cuda(), None)).loss.backward()
        found.append([one.grad for one in network.parameters()])
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()
