"""Dead units: when a unit is dead, and that rare checks of the counts miss none."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from aectl.config.configuration import Config
from aectl.objectives import dead_units
from aectl.objectives.dead_units import DEAD_AFTER, NAME, Dead
from aectl.objectives.step import dead_units_of, uncompiled


def test_a_unit_is_dead_after_exactly_10000_inputs_and_alive_at_once():
    remembered = {}
    dead = Dead(remembered)
    silent, once = torch.zeros(4_000, 2), torch.zeros(1_999, 2)
    first = torch.tensor([[0.0, 1.0]])
    assert dead(silent, True).tolist() == [False, False]
    assert dead(silent, True).tolist() == [False, False]
    assert dead(once, True).tolist() == [False, False]
    assert remembered[NAME].tolist() == [DEAD_AFTER - 1] * 2
    assert dead(first, True).tolist() == [True, False]
    assert remembered[NAME].tolist() == [DEAD_AFTER, 0]
    assert dead(first, False).tolist() == [True, False]
    assert remembered[NAME].tolist() == [DEAD_AFTER, 0]
    assert dead(torch.tensor([[2.0, 0.0]]), True).tolist() == [False, False]
    assert remembered[NAME].tolist() == [0, 1]


@pytest.mark.parametrize("steps", [1, 32])
@pytest.mark.parametrize("rate", [0.0, 3e-4, 3e-3])
def test_every_dead_unit_is_found_however_rarely_counts_are_looked_at(steps, rate, monkeypatch):
    monkeypatch.setitem(dead_units.LOOK_EVERY, "cpu", steps)
    generator = torch.Generator().manual_seed(0)
    looking, always, left_out = Dead({}), Dead({}), 0
    for step in range(400):
        size = 100 if step % 7 else 37
        code = (torch.rand(size, 5, generator=generator) < rate).float()
        looking.look(size)
        found, expected = looking(code, True), always(code, True)
        assert found is None or found.equal(expected)
        assert found is not None or not expected.any()
        left_out += found is None
    assert left_out >= (50 if rate < 3e-3 else 100)


class Values(TorchDispatchMode):
    """Counts the values of tensors that the program asks for."""

    asked = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.asked += func.overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("steps", "most"), [(1, 640 - 98), (32, 640 // 32)])
def test_counts_are_looked_at_no_more_often_than_a_device_can_wait(steps, most, monkeypatch):
    """In steps of 100 inputs, in which no unit is active; for the first 99, no look is needed."""
    monkeypatch.setitem(dead_units.LOOK_EVERY, "cpu", steps)
    dead = Dead({})
    with Values() as values:
        for _ in range(640):
            dead.look(100)
            dead(torch.zeros(100, 3), True)
    assert 2 <= values.asked <= most


def test_where_no_loss_asks_no_unit_is_dead():
    assert dead_units_of(None, Config.from_options({}))(torch.zeros(3, 2), True) is None


def test_a_count_is_left_as_it_is_where_nothing_is_compiled():
    assert uncompiled(torch.square, Config.from_options({})) is torch.square
