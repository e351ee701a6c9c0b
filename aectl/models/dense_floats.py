"""The floats in memory while a network of dense layers, or of halving ones, processes one input."""

from collections.abc import Iterator, Sequence
from itertools import pairwise


def floats_of_layers(
    widths: Sequence[int], input_floats: int, code_floats: int, convolutional: bool, code: bool
) -> int:
    """An upper bound, besides the weights, from the number of outputs of each layer after that of
    the input: the input with its reconstruction and the largest layer; or, if there is a `code` and
    that is more, with the code as it is computed, for which each unit needs `code_floats`, or with
    the code and the largest layer of the decoder, which mirrors the encoder.
    """
    found = [2 * input_floats + max(below + 2 * above for below, above in pairwise(widths))]
    if code:
        found.append(input_floats + widths[-2] + code_floats * widths[-1])
        found.append(input_floats + widths[-1] + max(_decoder_floats(widths, convolutional)))
    return max(found)


def _decoder_floats(widths: Sequence[int], convolutional: bool) -> Iterator[int]:
    """Floats for the input and the output of each layer of the decoder, and for the values after
    the activation: dense layers activate their output, convolutional ones their input.
    """
    pixels, *inner, _ = widths
    yield 2 * pixels
    if inner:
        yield 2 * inner[-1]
    for above, below in pairwise([pixels, *inner] if convolutional else inner):
        yield above + below + (below if convolutional else above)
