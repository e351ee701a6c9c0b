"""The settings of torch that a function of the package changes while it computes, and that are
those of its caller otherwise."""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

from aectl.verbs.start_torch import USUAL_THREADS

T = TypeVar("T")


class TorchSettings(NamedTuple):
    """The number of CPU threads, and the precision of convolutions and of recurrent layers on a
    GPU, by torch's names; torch begins with tf32.

    `allow_tf32` is both of these in one, and cannot be read where they differ.
    """

    threads: int
    convolutions: str = "tf32"
    recurrent: str = "tf32"

    @classmethod
    def now(cls) -> "TorchSettings | None":
        """The present ones; None if torch is not loaded."""
        torch = sys.modules.get("torch")
        if torch is None:
            return None
        cudnn = torch.backends.cudnn
        return cls(torch.get_num_threads(), cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision)

    def set(self) -> None:
        """Makes these the settings of torch."""
        import torch

        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        cudnn: Any = torch.backends.cudnn
        cudnn.allow_tf32 = self.convolutions == "tf32"  # can be read again where both are the same
        cudnn.conv.fp32_precision = self.convolutions
        cudnn.rnn.fp32_precision = self.recurrent


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Restores the settings of before at the end of the block."""
    before = TorchSettings.now()
    try:
        yield
    finally:
        _set(before)


def lent(results: AbstractContextManager[Iterator[T]]) -> Iterator[T]:
    """The results of a context, one after the other; between them, and after the last one, the
    settings are those of the caller."""
    before = TorchSettings.now()
    try:
        with results as found:
            for one in found:
                own = TorchSettings.now()
                _set(before)
                yield one
                before = TorchSettings.now() or before
                _set(own)
    finally:
        _set(before)


def _set(wanted: TorchSettings | None) -> None:
    """Sets the wanted settings, or the usual ones of a torch that was loaded meanwhile."""
    if wanted is None and USUAL_THREADS:
        wanted = TorchSettings(USUAL_THREADS[0])
    if wanted is not None:
        wanted.set()
