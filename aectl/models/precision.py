"""Matrix products in bfloat16 (torch.autocast), and values that stay in float32 beside them."""

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor


def single(values: Tensor) -> Tensor:
    """Converts values in bfloat16 to float32; returns others unchanged.

    Sparsity rules, losses and counts are computed from the result. In bfloat16, which has 8
    significant bits, long sums would stop growing, and many of the largest values would be equal.
    """
    return values.float() if values.dtype == torch.bfloat16 else values


def exactly(like: Tensor) -> AbstractContextManager[object]:
    """Computes all matrix products in the block in the type of their factors, on the device of the
    tensor `like`."""
    kind = like.device.type
    if not torch.amp.is_autocast_available(kind):
        return contextlib.nullcontext()
    return torch.autocast(kind, enabled=False)


def in_bfloat16(like: Tensor, wanted: bool) -> AbstractContextManager[object]:
    """Computes matrix products and convolutions in the block in bfloat16, if `wanted`, on the
    device of the tensor `like`. Weights and their gradients stay in float32."""
    return torch.autocast(like.device.type, torch.bfloat16) if wanted else contextlib.nullcontext()
