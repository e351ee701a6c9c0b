"""Codes of which few units are active: the same losses and gradients as from products with all."""

import pytest
import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.shapes import VectorShape
from aectl.models import active_units
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.dead_units import NAME
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch

WIDTH, UNITS = 128, 1024


def network_and_loss(
    monkeypatch, few: bool, remembered: dict[str, Tensor] | None = None, **options
):
    options = {"modality": "vectors", "hidden": (UNITS,), "sparsity": "topk", "k": 8, **options}
    config = Config.from_options(options).resolved(None, WIDTH, 1000)
    with monkeypatch.context() as patched:
        if not few:
            patched.setattr(active_units, "FEWEST_UNITS", 1 << 30)
        torch.manual_seed(3)
        network = build_network(Architecture(config.model, VectorShape(WIDTH))).train()
    assert network.decoder.few_active == few
    remembered = {} if remembered is None else remembered
    remembered[NAME] = torch.arange(UNITS) % 2 * 1e5
    return network, objective(config, network, remembered=remembered)


def gradients(network, whole, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and the gradients of all parameters, in the shapes of their names in files."""
    loss = whole(Batch(inputs, None)).loss
    loss.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.grad)
    return loss.detach(), network.state_dict()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sparsity": "batch-topk"},
        {"tied": True},
        {"code_activation": "tanh"},
        {"hidden": (160, UNITS)},
        {"aux_k": 16},
        {"revive": 0.1},
        {"prefixes": (64, 256)},
        {"loss": "l1"},
    ],
    ids=str,
)
def test_few_active_units_give_the_loss_and_the_gradient_of_all(monkeypatch, options):
    inputs = torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(1))
    loss, found = gradients(*network_and_loss(monkeypatch, True, **options), inputs)
    expected_loss, expected = gradients(*network_and_loss(monkeypatch, False, **options), inputs)
    assert loss == pytest.approx(expected_loss.item(), rel=1e-5)
    assert list(found) == list(expected)
    for name, value in expected.items():
        scale = value.abs().max().clamp(min=1e-6)
        assert (found[name] - value).abs().max() < 1e-4 * scale, name


@pytest.mark.parametrize("active", [8, UNITS])
def test_any_code_is_decoded_at_inference_as_from_all_units(monkeypatch, active):
    code = torch.randn(20, UNITS, generator=torch.Generator().manual_seed(1))
    code[:, active:] = 0
    few, whole = (network_and_loss(monkeypatch, kind)[0].eval() for kind in (True, False))
    torch.testing.assert_close(few.decode(code), whole.decode(code), rtol=1e-4, atol=1e-4)


def test_the_gradient_is_that_of_finite_differences(monkeypatch):
    network, whole = network_and_loss(monkeypatch, True)
    network.double()
    inputs = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(2)).double()
    whole(Batch(inputs, None)).loss.backward()
    step = 1e-6
    for parameter in network.parameters():
        place = parameter.grad.abs().argmax()
        losses = []
        for change in (step, -2 * step):
            parameter.detach().flatten()[place] += change
            losses.append(whole(Batch(inputs, None)).loss.item())
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(parameter.grad.flatten()[place].item(), rel=1e-5)
        parameter.detach().flatten()[place] += step


def test_an_input_on_which_no_unit_is_active_is_decoded_to_the_bias():
    code, weight, bias = torch.zeros(2, 4), torch.ones(3, 4), torch.tensor([1.0, 2, 3])
    code[1, 2] = 2
    assert active_units.decoded(code, weight, bias).tolist() == [[1, 2, 3], [3, 4, 5]]
    assert active_units.decoded(code * 0, weight, bias).tolist() == [[1, 2, 3]] * 2


def test_weights_in_a_file_have_the_shape_of_a_linear_layer(monkeypatch):
    network, _ = network_and_loss(monkeypatch, True)
    other, _ = network_and_loss(monkeypatch, False)
    other.load_state_dict(network.state_dict())
    inputs = torch.randn(5, WIDTH)
    assert torch.equal(other.eval().encode(inputs), network.eval().encode(inputs))
    assert other.decoder.directions.equal(network.decoder.directions)
    assert other.decoder.directions.shape == (WIDTH, UNITS)
