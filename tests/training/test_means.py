"""Means over batches of different sizes, and the memory in which they are summed."""

import pytest
import torch

from aectl.training.means import Means


def scalars(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_means_are_weighted_by_the_size_of_their_batch():
    sums = Means()
    sums.add(scalars(loss=1.0, penalty=3.0), 2)
    sums.add(scalars(loss=4.0, penalty=0.0), 1)
    assert sums.means() == pytest.approx({"loss": 2.0, "penalty": 2.0})
    assert sums.sums == scalars(loss=6.0, penalty=6.0)


def test_after_a_restart_nothing_is_left_but_the_memory():
    sums = Means()
    assert sums.means() == {}
    sums.add(scalars(loss=1.0), 2)
    memory = sums.memory
    sums.restart()
    assert sums.sums == {}
    sums.add(scalars(loss=4.0), 3)
    sums.add(scalars(loss=1.0), 3)
    assert sums.means() == {"loss": 2.5}
    assert memory.tolist() == [15.0]


def test_sums_of_a_checkpoint_go_on_with_values_on_another_device():
    """Several processes on GPUs exchange their losses, which come to the CPU with that; the sums of
    a checkpoint are on the GPU. Without one, the device "meta" stands for another."""
    sums = Means({"loss": torch.zeros(())}, 3)
    sums.add({"loss": torch.ones((), device="meta")}, 2)
    assert sums.inputs == 5
    assert sums.sums["loss"].is_meta
