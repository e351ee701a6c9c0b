"""Trainings in bfloat16 beside those in float32, and the precision of products in torch."""

from operator import attrgetter

import pytest
import torch
from conftest import shell
from test_distributed import CASES, write_data
from test_run import prepared
from together import trained
from torch import nn

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.config.sparsity import RULES
from aectl.errors import ConfigError
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.dead_units import DEAD_AFTER
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch, Losses, Objective
from aectl.training.loop import MemorySet, train_epochs
from aectl.training.optimizers import build_optimizer
from aectl.training.products import PRECISIONS, products_in, remark, usual_precision
from aectl.training.run import Epoch
from aectl.training.schedules import Schedule
from aectl.training.steps import Eager

CPU = torch.device("cpu")
NEAR = 0.1
"""The distance of the weights after training in bfloat16 to those after training in float32, as a
fraction of the length of these: steps of Adam have the same length for any gradient, however small,
so that rounding may turn some."""

LIKE = 0.01
"""The same for the loss."""

SAME_NOISE = 1e-3
"""Of losses that fall nearly to 0, where a fraction says little."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def in_both(options):
    """The weights and the last metrics of trainings of two epochs in float32 and in bfloat16."""
    few = {**options, "epochs": 2}
    return [trained({**few, "precision": precision}) for precision in ("fp32", "bf16")]


TOPK = {**CASES["none"], "sparsity": "topk", "k": 2}
EVERY_KIND = {name: options for name, options in CASES.items() if "precision" not in options} | {
    "many units": {**TOPK, "hidden": [1100], "size": [12, 12], "aux_k": 0},
    "maps": {**CASES["conv"], "bottleneck": "map", "hidden": [8, 2], "k": 9, "lr": 0.001},
    "similarity": {**CASES["none"], "loss": "ssim", "size": [16, 16]},
    "muon": {**CASES["none"], "optimizer": "muon"},
}


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_kind_trains_in_bfloat16_nearly_as_in_float32(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    (exact, rows), (found, rounded_rows) = in_both(EVERY_KIND[name])
    assert {value.dtype for value in found.values()} <= {torch.float32, torch.bool, torch.int64}
    apart, length = (
        torch.cat([change(name).double().flatten() for name in exact]).norm()
        for change in (lambda name: found[name] - exact[name], exact.__getitem__)
    )
    assert 0 < apart < NEAR * length
    expected = pytest.approx(rows[-1]["loss"], rel=LIKE, abs=SAME_NOISE)
    assert rounded_rows[-1]["loss"] == expected


@pytest.mark.parametrize("rule", RULES)
def test_losses_counts_gradients_and_the_state_of_the_optimiser_are_float32(rule):
    options = {"sparsity": rule, "hidden": (32,), "precision": "bf16"}
    options |= {"k": 2, "revive": 0.1} if RULES[rule].keeps_k else {}
    config = Config.from_options(options).resolved((1, 4, 4), 16, 100)
    torch.manual_seed(0)
    network, remembered = build_network(Architecture(config.model, (1, 4, 4))).train(), {}
    whole, images = objective(config, network, remembered=remembered), torch.rand(50, 1, 4, 4)
    optimizer = build_optimizer(network, config.training)
    found = Eager(whole, optimizer, precision="bf16").step(Batch(images, None))
    states = [one for state in optimizer.state.values() for one in state.values()]
    gradients = [one.grad for one in network.parameters()]
    for tensor in (*found.values(), *remembered.values(), *states, *gradients):
        assert tensor.dtype == torch.float32
    exact = whole(Batch(images, None)).loss.dtype
    assert exact == torch.float32


def test_a_unit_dies_after_as_many_inputs_as_in_float32():
    """A count in bfloat16 would stop at 256."""
    config = Config.from_options({"sparsity": "topk", "k": 1, "hidden": (4,), "revive": 0.1})
    config = config.resolved((1, 2, 2), 4, 100)
    network, remembered = build_network(Architecture(config.model, (1, 2, 2))).train(), {}
    network.requires_grad_(False)
    network.encoder.layers[0].bias[1:] = -1e3
    whole, batch = objective(config, network, remembered=remembered), torch.rand(1000, 1, 2, 2)
    for _ in range(10):
        with torch.autocast("cpu", torch.bfloat16):
            whole(Batch(batch, None))
    (count,) = remembered.values()
    assert count[1:].tolist() == [DEAD_AFTER] * 3


def test_lbfgs_is_refused_in_bfloat16():
    with pytest.raises(ConfigError, match="--precision bf16 cannot go with --optimizer lbfgs"):
        Config.from_options({"precision": "bf16", "optimizer": "lbfgs"})


@pytest.mark.parametrize(("name", "of_torch"), PRECISIONS.items())
def test_products_of_float32_have_the_wanted_precision_in_training_alone(name, of_torch):
    seen = []

    def note(network, batch):
        convolutions = torch.backends.cudnn.allow_tf32
        seen.append((torch.get_float32_matmul_precision(), convolutions))
        return Losses(network.weight.sum(), {})

    images = MemorySet(torch.zeros(5, 1, 1, 1, dtype=torch.uint8), None, torch.arange(5))
    optimizer = torch.optim.SGD((network := nn.Linear(1, 1)).parameters(), 0.1)
    rates = Schedule(optimizer, lambda step: 1.0)
    before = torch.backends.cudnn.allow_tf32
    for _ in train_epochs(
        Eager(Objective(network, note), optimizer, precision=name), images, rates, epochs=2,
        batch_size=3, generator=torch.Generator(),
    ):  # fmt: skip
        seen.append(torch.get_float32_matmul_precision())
    inside = (of_torch, name == "tf32")
    assert seen == ["highest"] + [inside, inside, "highest"] * 2
    assert torch.backends.cudnn.allow_tf32 == before


def test_every_precision_that_a_user_may_name_is_known():
    assert PRECISIONS.keys() == set(OPTIONS["precision"].metadata["option"].choices)


def test_a_model_records_the_precision_that_its_device_has_by_default():
    run = prepared(epochs=1)
    assert usual_precision(CPU) == "fp32"
    assert run.card().training["options"]["precision"] == "fp32"
    assert prepared(precision="bf16").card().training["options"]["precision"] == "bf16"


def test_a_precision_that_was_not_asked_for_or_that_a_device_lacks_is_told():
    assert "tf32 changes nothing here: cpu has no tf32" in remark("tf32", CPU, asked=True)
    assert "bf16; --precision fp32 is more exact" in remark("bf16", CPU, asked=False)
    assert remark("bf16", CPU, asked=True) == remark("fp32", CPU, asked=False) == ""


def test_a_processor_without_bfloat16_is_told(tmp_path):
    train = "aectl train --dataset digits --epochs 1 --precision bf16 --out run"
    done = shell(f"ONEDNN_MAX_CPU_ISA=AVX2 {train}", tmp_path, warmed=True)
    assert done.status == 0, done.err
    assert "--precision bf16 is slow here: cpu has no bf16" in done.err
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_held_out_losses_are_those_of_float32():
    run = prepared(precision="bf16", epochs=1, validation=0.2)
    row = next(event.row for event in run.epochs() if isinstance(event, Epoch))
    with torch.no_grad():
        batch = run._held_out.whole()
        half = 0.5 * (run.network(batch.inputs) - batch.inputs).square().sum() / len(batch.inputs)
    assert row["validation_loss"] == pytest.approx(half.item(), rel=1e-5)


@pytest.fixture
def torch_as_before():
    yield
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def of_each():
    """What torch computes in, on a GPU and on a CPU."""
    backends = torch.backends
    each = (backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    return [one.fp32_precision for one in each]


@pytest.mark.parametrize(
    "name", ["fp32_precision", "cuda.matmul.fp32_precision", "cudnn.conv.fp32_precision"]
)
@pytest.mark.parametrize("setting", ["tf32", "ieee"])
def test_a_caller_may_have_set_precisions_by_the_newer_names_of_torch(
    name, setting, torch_as_before
):
    """torch then refuses to tell the precision by its older names."""
    *path, last = name.split(".")
    setattr(attrgetter(".".join(path))(torch.backends) if path else torch.backends, last, setting)
    before = of_each()
    for precision in PRECISIONS:
        with products_in(precision):
            assert set(of_each()) == {"tf32" if precision == "tf32" else "ieee"}
            assert torch.get_float32_matmul_precision() == PRECISIONS[precision]
            assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
        assert of_each() == before
