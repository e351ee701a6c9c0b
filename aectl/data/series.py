"""Series of files in one word, as WebDataset names shards: `data-{000000..000123}.tar`."""

import itertools
import math
import re
from collections.abc import Iterator

from aectl.errors import DataError

NUMBERS = re.compile(r"\{([0-9]{1,18})\.\.([0-9]{1,18})\}")

MOST = 1_000_000
"""Maximum number of files of a series."""


def is_series(word: str) -> bool:
    """Whether a word names a series of files."""
    return NUMBERS.search(word) is not None


def files_of(word: str) -> Iterator[str]:
    """The files that a series names, in its order, as a shell expands it: numbers have as many
    digits as the longer end, if one begins with a zero, and of several series the last is the
    innermost.

    Raises DataError for too many.
    """
    pieces = NUMBERS.split(word)
    series = [_Series(*ends) for ends in zip(pieces[1::3], pieces[2::3], strict=True)]
    if (count := math.prod(len(one.numbers) for one in series)) > MOST:
        raise DataError(f"{word} names {count:,} files; at most {MOST:,} may be named at once")
    between = pieces[::3]
    for numbers in itertools.product(*series):
        yield "".join(itertools.chain(*zip(between, numbers, strict=False), between[-1:]))


class _Series:
    """The numbers from one end to the other, both included, as text."""

    def __init__(self, first: str, last: str) -> None:
        padded = any(one.startswith("0") and len(one) > 1 for one in (first, last))
        self._width = max(len(first), len(last)) if padded else 0
        step = 1 if int(first) <= int(last) else -1
        self.numbers = range(int(first), int(last) + step, step)

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{self._width}d}" for number in self.numbers)
