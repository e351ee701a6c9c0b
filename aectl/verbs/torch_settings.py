"""The settings of torch that a function of the package changes while it computes, and that are
those of its caller otherwise."""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, TypeVar

from aectl.verbs.start_torch import USUAL_THREADS

T = TypeVar("T")


class TorchSettings(NamedTuple):
    """The number of CPU threads, and whether convolutions on a GPU may be computed in tf32."""

    threads: int
    tf32: bool

    @classmethod
    def now(cls) -> "TorchSettings | None":
        """The present ones; None if torch is not loaded."""
        torch = sys.modules.get("torch")
        if torch is None:
            return None
        return cls(torch.get_num_threads(), torch.backends.cudnn.allow_tf32)

    def set(self) -> None:
        """Makes these the settings of torch."""
        import torch

        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        torch.backends.cudnn.allow_tf32 = self.tf32


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
        wanted = TorchSettings(USUAL_THREADS[0], True)
    if wanted is not None:
        wanted.set()
