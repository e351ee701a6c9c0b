"""Ways to damage bytes, each a function of them and of chance."""

from collections.abc import Callable
from random import Random

Damage = Callable[[bytes, Random], bytes]

ODD = (0, 1, 0x7F, 0x80, 0xFF)


def flipped(content: bytes, chance: Random) -> bytes:
    """Some bits are others."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 3, 30))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def overwritten(content: bytes, chance: Random) -> bytes:
    """Some bytes near the start, where the sizes stand, are extreme ones."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 4))):
        first = chance.randrange(min(len(data), 200))
        count = chance.choice((1, 2, 4, 8))
        data[first : first + count] = bytes(chance.choice(ODD) for _ in range(count))
    return bytes(data)


def cut(content: bytes, chance: Random) -> bytes:
    """The end is missing."""
    return content[: chance.randrange(len(content))]


def lacking(content: bytes, chance: Random) -> bytes:
    """A part in the middle is missing."""
    first = chance.randrange(len(content))
    return content[:first] + content[first + chance.choice((1, 8, 100)) :]


def doubled(content: bytes, chance: Random) -> bytes:
    """A part stands there twice."""
    first = chance.randrange(len(content))
    return content[: first + chance.choice((4, 50, 1000))] + content[first:]


def lengthened(content: bytes, chance: Random) -> bytes:
    """More stands after the end."""
    return content + chance.randbytes(chance.choice((1, 1000)))


DAMAGES: tuple[Damage, ...] = (flipped, overwritten, cut, lacking, doubled, lengthened)
