"""Copies to a device: the same values, whatever the form of the tensor."""

import pytest
import torch

from aectl.models.placing import placed


def forms():
    whole = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    return {
        "whole": whole,
        "part": whole[:, 1],
        "turned": whole.transpose(0, 2),
        "empty": whole[:0],
    }


@pytest.mark.parametrize("name", forms())
def test_a_tensor_that_is_there_is_given_as_it_is(name):
    tensor = forms()[name]
    assert placed(tensor, torch.device("cpu")) is tensor


@pytest.mark.parametrize("name", forms())
def test_another_device_without_pinned_memory_gets_a_copy(name):
    tensor = forms()[name]
    found = placed(tensor, torch.device("meta"))
    assert (found.device.type, found.shape, found.dtype) == ("meta", tensor.shape, tensor.dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("name", forms())
def test_a_gpu_gets_the_values(name):
    tensor = forms()[name]
    found = placed(tensor, torch.device("cuda"))
    assert found.is_cuda
    assert found.cpu().equal(tensor)
