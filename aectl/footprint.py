"""The memory that a network needs at inference, told from its architecture alone.

How many inputs a network sees at a time may change the last bits of what it gives, so it must not
depend on the machine: a network that needs much for each input sees one at a time, everywhere.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from aectl.architecture import Architecture
from aectl.sections import TEXT_AUTOENCODER

FLOAT = 4
ROWS = 32
"""Inputs that any network sees together at least, unless it sees one at a time."""

ROOM = 1 << 29
"""Bytes of activations that they may take."""


def one_at_a_time(architecture: Architecture) -> bool:
    """Whether `ROWS` inputs would need too much memory together."""
    return ROWS * activation_bytes(architecture) > ROOM


def activation_bytes(architecture: Architecture) -> int:
    """Bytes that encoding and decoding takes for each input, at most: the input, what a layer sees,
    what it gives before and after its activation.
    """
    below = activation_bytes(architecture.encoder) if architecture.encoder else 0
    if architecture.tokens:
        return below + FLOAT * _values_of_text(architecture)
    pixels = math.prod(architecture.shape)
    layer = max((a + 2 * b for a, b in pairwise(_widths(architecture))), default=0)
    return below + FLOAT * (2 * pixels + layer)


def measuring_bytes(architecture: Architecture) -> int:
    """Bytes that measuring one input takes, beside those of the activations: of an image, the
    first one, and the sum of all as 64-bit floats; of a text, three copies of the logits of its
    tokens.
    """
    if architecture.kind == TEXT_AUTOENCODER:
        return logits_bytes(architecture.tokens, architecture.shape[2])
    return 0 if architecture.classes else 3 * FLOAT * math.prod(architecture.shape)


def logits_bytes(tokens: int, length: int) -> int:
    """Bytes of a text's logits, their softmax and its logarithm: one a token and place."""
    return 3 * FLOAT * tokens * (length + 1)


def _widths(architecture: Architecture) -> Iterator[int]:
    """Numbers that each layer gives, the input's first; the decoder has those of the encoder."""
    channels, height, width = architecture.shape
    hidden = architecture.hidden
    if architecture.encoder:
        yield architecture.encoder.code_size
    else:
        yield channels * height * width
    if architecture.kind == "conv-autoencoder":
        for count in hidden[:-1]:
            height, width = (height + 1) // 2, (width + 1) // 2
            yield count * height * width
        yield hidden[-1]
    else:
        yield from hidden
    if architecture.classes:
        yield architecture.classes


def _values_of_text(architecture: Architecture) -> int:
    """Numbers that a text takes: of each token the gates and states of the recurrent layers, and of
    each slot of a shorter text, the tokens that it could be, six times.
    """
    config, length, tokens = architecture.config, architecture.shape[2], architecture.tokens
    if architecture.kind == "classifier":
        return sum(architecture.hidden) + architecture.classes
    states = length * (16 * architecture.hidden[0] + 8 * architecture.code_size)
    if config.bottleneck == "text":
        return states + 6 * tokens * max(1, math.ceil(length * config.ratio))
    return states + 3 * tokens
