"""The memory that a network needs at inference, computed from its architecture alone.

The batch size may change the last bits of the output, so it must not depend on the machine: a
network that needs much memory for each input processes one at a time, on every machine.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from aectl.config.kinds import KINDS, TEXT, encoding
from aectl.config.shapes import TextShape
from aectl.models.architecture import Architecture

FLOAT = 4
ROWS = 32
"""The smallest batch at inference, unless inputs are processed one at a time."""

ROOM = 1 << 29
"""Maximum bytes of activations of such a batch."""


def one_at_a_time(architecture: Architecture) -> bool:
    """Whether a batch of `ROWS` inputs would need too much memory."""
    return ROWS * activation_bytes(architecture) > ROOM


def activation_bytes(architecture: Architecture) -> int:
    """Upper bound of the bytes for encoding and decoding one input: the input, and the input,
    pre-activations and output of the largest layer.
    """
    below = activation_bytes(architecture.encoder) if architecture.encoder else 0
    if isinstance(architecture.input, TextShape):
        return below + FLOAT * _values_of_text(architecture)
    pixels = math.prod(architecture.shape)
    layer = max((a + 2 * b for a, b in pairwise(_widths(architecture))), default=0)
    return below + FLOAT * (2 * pixels + layer)


def measuring_bytes(architecture: Architecture) -> int:
    """Bytes for measuring one input, in addition to the activations: for an image, the first image
    and the sum of all as 64-bit floats; for a text, three copies of its logits.
    """
    if architecture.kind in encoding(TEXT):
        return logits_bytes(architecture.text)
    return 0 if architecture.classes else 3 * FLOAT * math.prod(architecture.shape)


def logits_bytes(text: TextShape) -> int:
    """Bytes of the logits of a text, their softmax and its logarithm, at each position."""
    return 3 * FLOAT * text.tokens * (text.length + 1)


def _widths(architecture: Architecture) -> Iterator[int]:
    """Number of outputs of each layer, after that of the input; the decoder mirrors the encoder."""
    channels, height, width = architecture.shape
    hidden = architecture.hidden
    if architecture.encoder:
        yield architecture.encoder.code_size
    else:
        yield channels * height * width
    if KINDS[architecture.kind].convolutional:
        for count in hidden[:-1]:
            height, width = (height + 1) // 2, (width + 1) // 2
            yield count * height * width
        yield hidden[-1]
    else:
        yield from hidden
    if architecture.classes:
        yield architecture.classes


def _values_of_text(architecture: Architecture) -> int:
    """Floats for one text: for each token the gates and states of the recurrent layers, and for
    each position of a shorter text six times the size of the vocabulary.
    """
    config, (length, tokens) = architecture.config, architecture.text
    if architecture.classes:
        return sum(architecture.hidden) + architecture.classes
    states = length * (16 * architecture.hidden[0] + 8 * architecture.code_size)
    if config.bottleneck == TEXT:
        return states + 6 * tokens * max(1, math.ceil(length * config.ratio))
    return states + 3 * tokens
