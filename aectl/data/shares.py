"""Shares of a list of inputs: each of n machines takes one of n consecutive parts of it."""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Self, TypeVar

from aectl.data.storage.folders import OnBad
from aectl.errors import ConfigError

Listed = TypeVar("Listed")

MOST_SHARDS = 100_000

AT_A_TIME = 4096
"""Names that are digested at a time."""


class Shard(NamedTuple):
    """The `number`th of `of` shares, counted from 1."""

    number: int
    of: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """That of a text such as `3/64`. Raises ConfigError."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of <= MOST_SHARDS:
            raise ConfigError(
                f"--shard {text}: give a share and their number, from 1/64 to 64/64,"
                f" of at most {MOST_SHARDS:,}"
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class InputShare(NamedTuple):
    """The inputs from number `first`, counted from 0, up to `last`, without it; `total`: the number
    of all; `digest`: of the names of all, in their order."""

    first: int
    last: int
    total: int
    digest: str

    @classmethod
    def of(cls, shard: Shard, names: Iterable[tuple[str, int]]) -> Self:
        """The share of a list of names, each with the number of inputs that it stands for.

        Shares are consecutive, and differ by one input at most.
        """
        digest, total, left = hashlib.blake2b(digest_size=16), 0, iter(names)
        while some := list(itertools.islice(left, AT_A_TIME)):
            digest.update(os.fsencode("".join(f"{name}\0{count}\0" for name, count in some)))
            total += sum(count for _, count in some)
        first, last = (total * end // shard.of for end in (shard.number - 1, shard.number))
        return cls(first, last, total, digest.hexdigest())


def listing(
    read: Callable[[OnBad], Iterable[Listed]], named: Callable[[Listed], tuple[str, int]]
) -> Iterator[tuple[str, int]]:
    """The names of all that `read` gives, each with the number of inputs that it stands for, and
    those of inputs that it cannot read, with 1, in their order."""
    bad: list[str] = []
    for one in read(lambda path, reason: bad.append(path)):
        yield from ((path, 1) for path in bad)
        bad.clear()
        yield named(one)
    yield from ((path, 1) for path in bad)


class Window:
    """Counts inputs, and tells which are in a share; without a share, all are."""

    def __init__(self, share: InputShare | None) -> None:
        self._share, self._seen = share, 0

    def within(self, count: int = 1) -> range:
        """Counts so many inputs. Returns the places among them of those in the share."""
        begun, self._seen = self._seen, self._seen + count
        if self._share is None:
            return range(count)
        first, last = (min(max(0, end - begun), count) for end in self._share[:2])
        return range(first, last)

    @property
    def is_open(self) -> bool:
        """Whether the next input is in the share."""
        return self._share is None or self._share.first <= self._seen < self._share.last

    @property
    def is_past(self) -> bool:
        """Whether no further input is in the share."""
        return self._share is not None and self._seen >= self._share.last
