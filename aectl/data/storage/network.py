"""Whether this process may ask servers."""

from collections.abc import Iterator
from contextlib import contextmanager

NOT_ASKED = "--offline asks no server"

_off = False


def is_off() -> bool:
    """Whether no server may be asked."""
    return _off


@contextmanager
def offline(off: bool) -> Iterator[None]:
    """In the block, no server is asked, if `off`."""
    global _off
    before, _off = _off, off or _off
    try:
        yield
    finally:
        _off = before
