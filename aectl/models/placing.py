"""Copies of tensors to the memory of a device."""

import torch
from torch import Tensor


def placed(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor in a device's memory; the same one, if it is there.

    To a GPU, it is copied from pinned memory, so that neither the program nor the GPU's earlier
    work waits for the copy.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
