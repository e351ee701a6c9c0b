"""A trial chooses the kept units alone only where they are right and faster, and changes nothing
else. The clock of the tests says which way is the faster one."""

from types import SimpleNamespace

import pytest
import torch
from operations import OnCpu
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.shapes import VectorShape
from aectl.models import active_units, kept_units
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch
from aectl.training import kept_trial
from aectl.training.kept_trial import choose_products, tried
from aectl.training.recording import CudaGraphs

WIDTH, UNITS, K = 128, 1024, 8


def made(**options):
    options = {"modality": "vectors", "hidden": (UNITS,), "sparsity": "topk", "k": K, **options}
    config = Config.from_options(options).resolved(None, WIDTH, 1000)
    torch.manual_seed(3)
    network = build_network(Architecture(config.model, VectorShape(WIDTH)))
    remembered: dict[str, Tensor] = {}
    return config, network, objective(config, network, remembered=remembered), remembered


def batch() -> Batch:
    return Batch(torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(1)), None)


def set_clock(monkeypatch, network, kept: float, every: float = 10.0) -> None:
    """Seconds from one look at the clock to the next, with kept units and with all."""
    now = 0.0

    def look():
        nonlocal now
        now += kept if network.kept_up_to else every
        return now

    monkeypatch.setattr(kept_trial, "time", SimpleNamespace(perf_counter=look))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "options",
    [{}, {"sparsity": "batch-topk"}, {"aux_k": 8}, {"noise": "masking", "dropout": 0.2}],
    ids=str,
)
def test_kept_units_are_chosen_where_they_are_right_and_faster(monkeypatch, options, precision):
    _, network, whole, remembered = made(**options)
    set_clock(monkeypatch, network, kept=5.0)
    said = tried(whole, network, remembered, batch, precision, K)
    assert said == (
        "from the kept units alone (5e+03 ms a step) rather than from all units (1e+04 ms a step)"
    )
    assert network.kept_up_to == K


def test_all_units_are_chosen_where_they_are_as_fast(monkeypatch):
    _, network, whole, remembered = made()
    set_clock(monkeypatch, network, kept=9.5)
    said = tried(whole, network, remembered, batch, "fp32", K)
    assert said.startswith("from all units (1e+04 ms a step) rather than from the kept units alone")
    assert network.kept_up_to == 0


def test_the_last_k_of_a_schedule_is_tried_and_kept_units_wait_for_it(monkeypatch):
    _, network, whole, remembered = made()
    code, elements, kept_at = network.encoder.code, [], kept_units.kept_at

    def noted(places, *shape):
        elements.append(len(places))
        return kept_at(places, *shape)

    monkeypatch.setattr(kept_units, "kept_at", noted)
    set_clock(monkeypatch, network, kept=5.0)
    code.kept = 20
    tried(whole, network, remembered, batch, "fp32", K)
    assert (code.kept, set(elements)) == (20, {len(batch().inputs) * K})
    elements.clear()
    whole.train()
    for code.kept, steps in ((20, 0), (K + 1, 0), (K, 1)):
        whole(batch())
        assert len(elements) == steps


@pytest.mark.parametrize(
    "options", [{}, {"sparsity": "batch-topk", "aux_k": 8}, {"noise": "masking"}], ids=str
)
def test_replays_are_measured_where_steps_are_recorded(monkeypatch, options):
    monkeypatch.setattr(active_units, "applies_to", lambda _: False)  # as on a GPU
    _, network, whole, remembered = made(**options)
    recorder, before = OnCpu(), [one.clone() for one in whole.buffers()]
    set_clock(monkeypatch, network, kept=5.0)
    said = tried(whole, network, remembered, batch, "fp32", K, recorder)
    assert said.startswith("from the kept units alone (5e+03 ms a step)")
    assert recorder.replays == 2 * kept_trial.ROUNDS
    assert remembered == {}
    assert all(map(torch.equal, before, whole.buffers()))


def test_units_that_die_while_the_second_way_is_tried_are_no_difference(monkeypatch):
    """Of 1,300 inputs, units are dead after 8 steps, and not after 4."""
    _, network, whole, remembered = made(aux_k=8)
    set_clock(monkeypatch, network, kept=5.0)
    inputs = torch.randn(1300, WIDTH, generator=torch.Generator().manual_seed(1))
    inputs[1:] = inputs[0]  # most units are inactive
    said = tried(whole, network, remembered, lambda: Batch(inputs, None), "fp32", K)
    assert said.startswith("from the kept units alone")


def fails(*_):
    raise NotImplementedError("'embedding_bag' is not implemented here\nat all")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda sums: lambda *given: 1.05 * sums(*given), "(which differ by "),
        (lambda sums: lambda *given: sums(*given).fill_(torch.nan), "(which differ by nan%)"),
        (lambda sums: lambda *given: sums(*given).detach(), "(which differ by "),
        (lambda _: fails, "('embedding_bag' is not implemented here)"),
    ],
)
def test_all_units_are_chosen_where_sums_are_wrong_or_fail(monkeypatch, wrong, said):
    _, network, whole, remembered = made()
    set_clock(monkeypatch, network, kept=1.0)
    monkeypatch.setattr(kept_units, "sums", wrong(kept_units.sums))
    found = tried(whole, network, remembered, batch, "tf32", K)
    assert found.startswith(f"from all units rather than from the kept units alone {said}")
    assert network.kept_up_to == 0
    expected = made()[2](batch()).loss
    assert whole(batch()).loss.equal(expected)


@pytest.mark.parametrize(
    "options", [{"sparsity": "batch-topk", "aux_k": 8}, {"noise": "masking"}], ids=str
)
def test_a_trial_changes_neither_weights_nor_state_nor_random_numbers(monkeypatch, options):
    states = []
    for with_trial in (True, False):
        _, network, whole, remembered = made(**options)
        set_clock(monkeypatch, network, kept=1.0)
        whole.train()
        whole(Batch(batch().inputs.neg(), None))
        if with_trial:
            tried(whole, network, remembered, batch, "fp32", K)
            network.kept_up_to = 0
        losses = [whole(batch()).loss.detach() for _ in range(2)]
        assert all(one.grad is None for one in network.parameters())
        states.append([*losses, *network.state_dict().values(), *remembered.values()])
    assert len(states[0]) == len(states[1])
    assert all(map(torch.equal, *states))


def test_nothing_is_tried_on_a_cpu_nor_for_a_narrow_code():
    config, network, whole, remembered = made()
    device, said = torch.device("cpu"), []
    choose_products(device, config, whole, remembered, fails, None, said.append)
    config, narrow, whole, remembered = made(hidden=(64,))
    choose_products(torch.device("cuda"), config, whole, remembered, fails, None, said.append)
    assert said == [] and network.kept_up_to == narrow.kept_up_to == 0


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_on_a_gpu_both_ways_agree(monkeypatch, precision):
    _, network, whole, remembered = made()
    whole.to("cuda")
    set_clock(monkeypatch, network, kept=1.0)
    on_gpu = Batch(batch().inputs.cuda(), None)
    for recorder in (None, CudaGraphs()):
        said = tried(whole, network, remembered, lambda: on_gpu, precision, K, recorder)
        assert network.kept_up_to == K, said
