"""The precision of matrix products and convolutions in training, by the names that users type."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from aectl.config.training_options import BF16

PRECISIONS = {"fp32": "highest", "tf32": "high", BF16: "highest"}
"""torch's names of the precisions of products of float32 matrices. With bf16, only those within
`models.precision.exactly` have float32 matrices."""

TF32_SINCE = (8, 0)
"""The compute capability of the first GPUs that have tf32."""

WITHOUT = {"tf32": "changes nothing", BF16: "is slow"}
"""The effect of a precision on a device that does not support it."""


def usual_precision(device: torch.device) -> str:
    """The default of --precision on a device."""
    return "tf32" if _has_tf32(device) else "fp32"


def remark(precision: str, device: torch.device, asked: bool) -> str:
    """The message that the user did not ask for the precision, or that the device does not support
    it; otherwise empty. asked: whether the user gave the precision."""
    has = {"tf32": _has_tf32, BF16: _has_bfloat16}.get(precision)
    if has is None:
        return ""
    if not has(device):
        lacks = f"{device.type} has no {precision}"
        return f"--precision {precision} {WITHOUT[precision]} here: {lacks}"
    said = f"training computes matrix products in {precision}; --precision fp32 is more exact"
    return "" if asked else said


@contextlib.contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Sets the precision of products of float32 matrices, and of convolutions on a GPU, in the
    block; `precision` is a name of `PRECISIONS`.
    """
    before = _Settings.now()
    of_cudnn = "tf32" if precision == "tf32" else "ieee"
    try:
        _Settings(PRECISIONS[precision], convolutions=of_cudnn, recurrent=of_cudnn).set()
        yield
    finally:
        before.set()


class _Settings(NamedTuple):
    """Settings of torch: the precision of matrix products of all devices, that of each, and those
    of convolutions and recurrent layers on a GPU.

    torch refuses to tell the first, and whether cuDNN may use tf32, where the others contradict it:
    a caller may have set these alone, by torch's `fp32_precision`.
    """

    products: str
    cuda: str | None = None
    cpu: str | None = None
    convolutions: str = "tf32"
    recurrent: str = "tf32"

    @classmethod
    def now(cls) -> "_Settings":
        backends: Any = torch.backends
        try:
            products = torch.get_float32_matmul_precision()
        except RuntimeError:
            products = "highest"  # torch's default
        return cls(
            products,
            backends.cuda.matmul.fp32_precision,
            backends.mkldnn.matmul.fp32_precision,
            backends.cudnn.conv.fp32_precision,
            backends.cudnn.rnn.fp32_precision,
        )

    def set(self) -> None:
        """Without a precision of `cuda` or `cpu`, it is that of `products`."""
        backends: Any = torch.backends
        torch.set_float32_matmul_precision(self.products)
        if self.cuda is not None and self.cpu is not None:
            backends.cuda.matmul.fp32_precision = self.cuda
            backends.mkldnn.matmul.fp32_precision = self.cpu
        backends.cudnn.allow_tf32 = self.convolutions == "tf32"
        backends.cudnn.conv.fp32_precision = self.convolutions
        backends.cudnn.rnn.fp32_precision = self.recurrent


def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= TF32_SINCE


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
