"""No step of training waits for its device: nothing in it asks for a value of a tensor.

On the meta device tensors have no values, so that torch itself refuses to give one; and it is not
the CPU, on which some kernels look for the active units of a code, which costs no wait there.
"""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from every_kind import made, of_tables, others
from operations import waits
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aectl.objectives.step import Batch, Objective
from aectl.training.optimizers import Adam
from aectl.training.steps import Eager

aten = torch.ops.aten
COPIES = {aten._to_copy.default: 0, aten.copy_.default: 1}
"""Copies, with the place of the argument that is copied."""


class Waited(AssertionError):
    """An operation that waits for a device."""


class NoWaiting(TorchDispatchMode):
    """Refuses operations that wait for a device, also those that the CPU carries out, and copies
    from the CPU's memory, which is not pinned, to another."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if waits(func, args):
            raise Waited(str(func))
        found = func(*args, **(kwargs or {}))
        if func in COPIES and found.device.type != args[COPIES[func]].device.type == "cpu":
            raise Waited(str(func))
        return found


def stepped(whole: Objective, batch: Batch, precision: str) -> None:
    trained = [one for one in whole.parameters() if one.requires_grad]
    fused = trained[0].device.type == "cpu"  # whose kernels are not those of the meta device
    optimizer = Adam(trained, fused=True) if fused else torch.optim.SGD(trained)
    take = Eager(whole, optimizer, 1.0, precision)
    for _ in range(2):
        with NoWaiting():
            take.step(batch)


def on_meta(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to("meta")


@pytest.mark.parametrize("options", [*of_tables(), *others()], ids=str)
def test_no_step_of_any_kind_or_rule_waits(options):
    whole, batches = made({**options, "optimizer": "adam"})
    first = batches[0]
    whole.to("meta")
    stepped(whole, Batch(on_meta(first.inputs), on_meta(first.labels)), "fp32")


def waiting_on_a_cpu(options: Mapping[str, object]) -> bool:
    """Kernels for a CPU, and texts that are as long as the longest of a batch there."""
    return options.get("model") == "conv-wta-autoencoder" or options.get("bottleneck") == "words"


@pytest.mark.parametrize(
    "options",
    [one for one in [*of_tables(), *others()] if not waiting_on_a_cpu(one)],
    ids=str,
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_that_a_cpu_carries_out_like_other_devices_waits(options, precision):
    whole, batches = made({**options, "optimizer": "adam", "precision": precision})
    stepped(whole, batches[0], precision)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0].sum(),
        lambda x: x.nonzero(),
        lambda x: x.masked_select(x > 0),
    ],
)
def test_a_step_that_waits_is_found(wait):
    def compute(network: nn.Module, batch: Batch) -> Any:
        wait(batch.inputs)
        raise RuntimeError("it was not found")

    whole = Objective(nn.Linear(2, 2), compute)
    with pytest.raises(Waited):
        stepped(whole, Batch(torch.rand(3, 2), None), "fp32")
