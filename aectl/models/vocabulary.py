"""The vocabulary of a model of text: pieces of words."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aectl.config.shapes import SPECIAL
from aectl.config.spelling import is_utf_8
from aectl.errors import ModelFileError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LARGEST = 65_536
"""Maximum number of pieces of a vocabulary."""

LEAST_SEEN = 2
"""Minimum number of occurrences of a pair of pieces that becomes a piece."""


ENCODED_AT_A_TIME = 1000
"""Number of texts that are encoded at a time, on all cores; limits the memory needed."""


@dataclass(frozen=True)
class Vocabulary:
    """Pieces of words, learnt by byte-pair encoding of UTF-8 (Sennrich et al. 2016; Radford et al.
    2019, section 2.2). It contains all bytes, so that any text can be encoded.

    Piece number n is token n + 3, after three special tokens. Each of the `merges` joins two
    earlier pieces to a new one.
    """

    pieces: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        """The number of tokens, including special ones."""
        return len(self.pieces) + SPECIAL

    @classmethod
    def learnt(cls, texts: Iterable[str], size: int) -> "Vocabulary":
        """Learns a vocabulary of `size` tokens, or fewer for short texts."""
        from tokenizers import models, trainers

        tokenizer = _pipeline(models.BPE())
        tokenizer.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=size - SPECIAL,
                min_frequency=LEAST_SEEN,
                show_progress=False,
                initial_alphabet=_alphabet(),
            ),
        )
        numbers = tokenizer.get_vocab()
        merges = _state(tokenizer)["merges"]
        return cls(
            tuple(sorted(numbers, key=numbers.__getitem__)),
            tuple((first, second) for first, second in merges),
        )

    def encode(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """The tokens of each text."""
        for first in range(0, len(texts), ENCODED_AT_A_TIME):
            some = list(texts[first : first + ENCODED_AT_A_TIME])
            for one in self._tokenizer.encode_batch_fast(some):
                yield [number + SPECIAL for number in one.ids]

    def begins_word(self) -> list[bool]:
        """Of each token, whether it begins with a space: a word is what stands between spaces."""
        space = self._tokenizer.pre_tokenizer.pre_tokenize_str(" ")[0][0]
        return [False] * SPECIAL + [piece.startswith(space) for piece in self.pieces]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens; special tokens are skipped.

        Bytes that are not UTF-8 become the replacement character.
        """
        return self._tokenizer.decode(
            [token - SPECIAL for token in tokens if token >= SPECIAL]
        ).removeprefix(" ")

    def as_tokenizer(self) -> str:
        """The same in the JSON of the package tokenizers, which gives the numbers of pieces: tokens
        less SPECIAL."""
        return self._tokenizer.to_str()

    def to_json(self) -> dict[str, Any]:
        """The description of the vocabulary in a model file."""
        return {"pieces": self.pieces, "merges": [" ".join(pair) for pair in self.merges]}

    @classmethod
    def from_json(cls, described: object) -> "Vocabulary":
        """The inverse of `to_json`. Raises ModelFileError for anything else."""
        match described:
            case {"pieces": list(pieces), "merges": list(merges), **others} if not others:
                pass
            case _:
                raise ModelFileError("its vocabulary is not described")
        if not all(isinstance(one, str) and is_utf_8(one) for one in (*pieces, *merges)):
            raise ModelFileError("its vocabulary is not a list of strings")
        if not len(_alphabet()) <= len(pieces) <= LARGEST or len(set(pieces)) < len(pieces):
            raise ModelFileError(f"its vocabulary has {len(pieces)} pieces, or has one twice")
        pairs = [tuple(merge.split(" ")) for merge in merges]
        known = set(pieces)
        if not known.issuperset(_alphabet()) or not all(
            len(pair) == 2 and {*pair, "".join(pair)} <= known for pair in pairs
        ):
            raise ModelFileError("its vocabulary has merges of pieces that it does not have")
        return cls(tuple(pieces), tuple((pair[0], pair[1]) for pair in pairs))

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import models

        numbers = {piece: number for number, piece in enumerate(self.pieces)}
        return _pipeline(models.BPE(numbers, list(self.merges)))


def _pipeline(model: Any) -> "Tokenizer":
    """A tokenizer that splits UTF-8 into words, and words into pieces by the model."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _alphabet() -> list[str]:
    """The pieces that represent single bytes."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel.alphabet()


def _state(tokenizer: "Tokenizer") -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model
