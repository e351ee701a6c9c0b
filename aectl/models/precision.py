"""The precision of values where products of matrices are computed in bfloat16 (torch.autocast)."""

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor


def single(values: Tensor) -> Tensor:
    """Values in bfloat16 as float32; others as they are.

    Rules of sparsity, losses and counts are computed from such values: in bfloat16, which has 8
    significant bits, sums would stop growing, and many of the largest values be equal.
    """
    return values.float() if values.dtype == torch.bfloat16 else values


def exactly(like: Tensor) -> AbstractContextManager[object]:
    """Computes all products of matrices in the block in the type of their factors, on the device of
    a tensor."""
    kind = like.device.type
    if not torch.amp.is_autocast_available(kind):
        return contextlib.nullcontext()
    return torch.autocast(kind, enabled=False)


def in_bfloat16(like: Tensor, wanted: bool) -> AbstractContextManager[object]:
    """Computes products of matrices and convolutions in the block in bfloat16, on the device of a
    tensor, if that is wanted; weights, and the gradients of these, stay in float32.
    """
    return torch.autocast(like.device.type, torch.bfloat16) if wanted else contextlib.nullcontext()
