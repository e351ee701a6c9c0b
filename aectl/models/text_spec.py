"""Text, as networks take it."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from aectl.config.kinds import WORDS
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import SPECIAL, TextShape
from aectl.errors import ModelFileError
from aectl.models.image_spec import image_shape
from aectl.models.input_spec import InputSpec
from aectl.models.metadata import shown
from aectl.models.vocabulary import Vocabulary

LONGEST = 4096
"""Maximum number of tokens of a text."""

LARGEST_VOCABULARY = 1 << 17

PREPROCESSING = {"text": "UTF-8, a text a line", "tokens": "byte-pair encoding of bytes"}
"""How a file is converted to tokens."""


class TextSpec(InputSpec[TextShape]):
    """Text as rows of tokens."""

    def shape(self, sizes: Mapping[str, object]) -> TextShape:
        """Reads the fields `length` and `tokens`."""
        shape, length, tokens = (sizes[name] for name in ("shape", "length", "tokens"))
        if length is None:  # in versions 1 and 2 of the format
            *ones, length = image_shape(shape)
            if ones != [1, 1]:
                raise ModelFileError(f"{shape!r} is not a shape of text (1, 1, length)")
        elif shape is not None:
            raise ModelFileError("its input is text, which has no shape of images")
        if sizes["width"] is not None:
            raise ModelFileError("its input is text, which has no width")
        if type(length) is not int or not 1 <= length <= LONGEST:
            raise ModelFileError(f"{length!r} is not a length of text")
        if type(tokens) is not int or not SPECIAL < tokens <= LARGEST_VOCABULARY:
            raise ModelFileError(f"a text model cannot have {tokens!r} tokens")
        return TextShape(length, tokens)

    def sizes(self, shape: TextShape) -> dict[str, Any]:
        """The fields `length` and `tokens`."""
        return shape._asdict()

    def preprocessing(
        self, shape: TextShape, value_range: tuple[float, float] | None, columns: Sequence[str]
    ) -> dict[str, Any]:
        """The length, and the kind of tokens."""
        return {"length": shape.length, **PREPROCESSING}

    def vocabulary(self, described: object, shape: TextShape) -> Vocabulary:
        """The vocabulary, whose size is that of the shape."""
        vocabulary = Vocabulary.from_json(described)
        if len(vocabulary) != shape.tokens:
            raise ModelFileError(
                f"its vocabulary has {len(vocabulary)} tokens, its network {shape.tokens}"
            )
        return vocabulary

    def described_vocabulary(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        """The field `vocabulary`."""
        assert vocabulary is not None
        return {"vocabulary": vocabulary.to_json()}

    def check_baselines(self, baselines: Mapping[str, Sequence[int]], shape: TextShape) -> None:
        """Refuses rows of tokens that are not texts of this shape."""
        for name, row in baselines.items():
            if len(row) != shape.length or max(row, default=0) >= shape.tokens:
                raise ModelFileError(f"training.baselines.{shown(name)} is not a text of it")

    def activation_floats(
        self, config: ModelConfig, shape: TextShape, encoded: int | None, classes: int
    ) -> int:
        """Gates and states of the recurrent layers for each token and, for each position of a
        shorter text, six times the size of the vocabulary; of chosen words, the links between them.
        """
        hidden = config.hidden or ()
        if classes:
            widths = (encoded or 0, *hidden, classes)
            return max(below + 2 * above for below, above in pairwise(widths))
        states = shape.length * (16 * hidden[0] + 8 * hidden[-1])
        if config.code_is_vector:
            return states + 3 * shape.tokens
        slots = max(1, math.ceil(shape.length * config.ratio))
        if config.bottleneck == WORDS:
            links = shape.length * (6 * shape.length + 2 * slots)
            return states + links + shape.length * (4 * hidden[0] + 3 * shape.tokens)
        return states + 6 * shape.tokens * slots

    def measuring_floats(self, shape: TextShape) -> int:
        """The logits of a text, their softmax and its logarithm, at each position."""
        return 3 * shape.tokens * (shape.length + 1)
