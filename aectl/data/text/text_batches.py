"""Lines of text as batches of tokens, from a position on."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.config.shapes import PAD
from aectl.data.named_inputs import Passing, Position
from aectl.data.storage.folders import OnBad
from aectl.data.text.text_inputs import Line, LineCounts, TextInputs
from aectl.models.vocabulary import Vocabulary

LARGEST_BATCH, BATCH_VALUES = 256, 1 << 24

Tokens = NDArray[np.int64]


class TextBatch(NamedTuple):
    """A batch of text with paths, labels and references, n each; tokens: (n, length), padded with
    PAD.

    `size`: the number of lines in a full batch; `position`: the position after the last line.
    """

    paths: list[str]
    texts: list[str]
    labels: list[str | None]
    references: list[str | None]
    tokens: Tokens
    size: int
    position: Position


def token_batches(
    inputs: TextInputs,
    vocabulary: Vocabulary,
    length: int,
    size: int,
    on_bad: OnBad,
    after: Position | None = None,
    most: int | None = None,
) -> Iterator[TextBatch]:
    """The first `most` lines, or all, as tokens in batches of `size`; longer lines are cut to
    `length` tokens.

    With `after`, the lines up to that position are skipped. Raises DataError for a dataset that
    is not available, and if the skipped lines differ from those of the first run.
    """
    reading, waiting = Passing(after, on_bad, inputs.share), list[Line]()
    left, passed = math.inf if most is None else most, False
    for line in inputs.lines(reading.on_bad):
        if reading.is_past:
            break
        if line is not None:
            if not reading.within():
                passed = True
                continue
            if passed:
                inputs.counts.empty, passed = 0, False
            if not reading.is_behind(f"{line.path}\0{line.text}"):
                continue
            waiting.append(line)
            left -= 1
        if waiting and (line is None or len(waiting) == size or not left):
            yield _batch(waiting, vocabulary, length, size, reading.position, inputs.counts)
            waiting = []
        if not left:
            return
    reading.refuse_fewer()
    if waiting:
        yield _batch(waiting, vocabulary, length, size, reading.position, inputs.counts)


def batch_size(length: int, vocabulary: int) -> int:
    """The number of lines per batch: 256, or fewer if `length` * `vocabulary`, the number of logits
    of a line, is large.
    """
    return max(1, min(LARGEST_BATCH, BATCH_VALUES // (length * vocabulary)))


def in_memory(lines: Sequence[Line], vocabulary: Vocabulary, length: int) -> Iterator[TextBatch]:
    """Lines that are in memory, as one batch."""
    yield _batch(lines, vocabulary, length, len(lines), Position(len(lines), ""), LineCounts())


def _batch(
    lines: Sequence[Line],
    vocabulary: Vocabulary,
    length: int,
    size: int,
    position: Position,
    counts: LineCounts,
) -> TextBatch:
    found = list(vocabulary.encode([line.text for line in lines]))
    counts.cut += sum(len(one) > length for one in found)
    tokens = np.full((len(found), length), PAD, np.int64)
    for row, one in zip(tokens, found, strict=True):
        row[: len(one)] = one[:length]
    return TextBatch(
        [line.path for line in lines],
        [line.text for line in lines],
        [line.label for line in lines],
        [line.reference for line in lines],
        tokens,
        size,
        position,
    )
