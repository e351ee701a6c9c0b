"""The memory that a network needs at inference, computed from its architecture alone.

The batch size may change the last bits of the output, so it must not depend on the machine: a
network that needs much memory for each input processes one at a time, on every machine.
"""

from aectl.models.architecture import Architecture

FLOAT = 4
ROWS = 32
"""The smallest batch at inference, unless inputs are processed one at a time."""

ROOM = 1 << 29
"""Maximum bytes of activations of such a batch."""


def one_at_a_time(architecture: Architecture) -> bool:
    """Whether inputs must be processed one by one."""
    return too_much(activation_bytes(architecture))


def too_much(bytes_of_input: int) -> bool:
    """Whether a batch of `ROWS` inputs, which need so many bytes each, needs more than `ROOM`."""
    return ROWS * bytes_of_input > ROOM


def fitting(architecture: Architecture, most: int, room: int = ROOM) -> int:
    """The number of inputs of a batch: `most`, or as many as need no more than `room` bytes."""
    return max(1, min(most, room // activation_bytes(architecture)))


def activation_bytes(architecture: Architecture) -> int:
    """Upper bound of the bytes of the tensors while one input is encoded and decoded, without the
    buffers that convolutions hold meanwhile.
    """
    encoder = architecture.encoder
    below = activation_bytes(encoder) if encoder else 0
    encoded = encoder.code_size if encoder else None
    return below + FLOAT * architecture.input_spec.activation_floats(
        architecture.config, architecture.layer_input, encoded, architecture.classes
    )


def measuring_bytes(architecture: Architecture) -> int:
    """Bytes for measuring one input, in addition to the activations; none for a classifier."""
    if architecture.classes:
        return 0
    return FLOAT * architecture.input_spec.measuring_floats(architecture.layer_input)
