"""Collects the contents of a report while a text autoencoder is measured: texts, units, codes."""

import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.config.shapes import PAD
from aectl.data.text.text_batches import TextBatch, batch_size
from aectl.inference.apply import refuse_overflow
from aectl.inference.findings import (
    CodeStatistics,
    ShownTexts,
    TextExample,
    TextFindings,
    TextUnits,
)
from aectl.inference.maps import maps_of
from aectl.inference.metrics import CodeMetrics, TextMetrics, is_active
from aectl.inference.results import Floats, MeasuredTexts
from aectl.inference.sampling import Extremes, Spread
from aectl.inference.unit_values import values_of
from aectl.models.networks import TextNetwork, ThroughVector
from aectl.models.shorter_text import ShorterText
from aectl.models.vocabulary import Vocabulary
from aectl.models.words_autoencoder import KeptWords

MOST_SAMPLED = 1000
SAMPLED_VALUES = 1 << 26
"""Maximum values of the sample's codes."""

EXAMPLES, REPEATED = 20, 5
"""The texts that stand beside their reconstructions and, of each, how many equal ones are skipped
when the worst are looked for."""

MOST_UNITS = 100
STRONGEST = 8

LONGEST_SAMPLED, LONGEST_EXAMPLE = 300, 2000
"""Maximum characters of a text of the sample, and of one that stands beside its reconstruction."""

CUT = "\u2026"


class _Text(NamedTuple):
    """A text with its path and label; tokens: (length,), padded with PAD."""

    path: str
    label: str | None
    tokens: NDArray[np.int64]


def _text(batch: TextBatch, row: int) -> _Text:
    return _Text(batch.paths[row], batch.labels[row], batch.tokens[row].copy())


class TextInspection:
    """Receives all measured texts, keeps some of them, and computes the contents of a report."""

    def __init__(self, network: TextNetwork, vocabulary: Vocabulary) -> None:
        self._network, self._words = network, WordSplitter(vocabulary)
        wide = network.code_size if isinstance(network, ThroughVector) else 1
        self._sample = Spread(min(MOST_SAMPLED, SAMPLED_VALUES // wide or 1), _text)
        self._worst = Extremes(EXAMPLES * REPEATED, _text)
        self._texts = 0

    def add(self, measured: MeasuredTexts) -> None:
        """Adds a measured batch."""
        self._texts += len(measured.paths)
        self._sample.add(measured.batch)
        self._worst.add(measured.batch, measured.token_accuracy)

    def findings(self, metrics: TextMetrics, methods: Sequence[str] = ()) -> TextFindings:
        """Computes the contents of a report, with the metrics of all texts.

        Maps are computed by PCA, and by each of the other `methods`, names of `maps.MAPS`. Raises
        ConfigError if a method needs a missing package, ModelFileError for codes that are not
        finite.
        """
        self._network.cpu().eval()
        sample = self._sample.kept
        shown = ShownTexts(
            [shortened(self._words.of(text.tokens), LONGEST_SAMPLED) for text in sample],
            [text.path for text in sample],
            [text.label for text in sample],
        )
        evenly = sample[:: -(-len(sample) // EXAMPLES)]
        examples = {"evenly spaced": self._examples(evenly)}
        if self._texts > EXAMPLES:
            worst = [self._worst.kept[n] for n in self._different(self._worst.kept)]
            examples["worst"] = self._examples(worst[:EXAMPLES])
        if not isinstance(self._network, ThroughVector):
            return TextFindings(self._texts, shown, examples)
        assert metrics.codes is not None
        codes = self._codes(self._network)
        refuse_overflow(codes)
        active = is_active(torch.from_numpy(codes), metrics.codes.active_above).sum(1).numpy()
        statistics = CodeStatistics(
            metrics.codes.rho_hat.numpy(), metrics.codes.active.numpy(), active
        )
        units = self._units(self._network, codes, metrics.codes)
        return TextFindings(
            self._texts, shown, examples, units, statistics, maps_of(codes, methods)
        )

    def _blocks(self, texts: Sequence[_Text]) -> Iterator[Tensor]:
        """The tokens of texts, as many at a time as a network processes: (batch, length)."""
        network = self._network
        usual = batch_size(network.length, len(network.embedding.weight))
        size = 1 if network.one_at_a_time else usual
        for first in range(0, len(texts), size):
            rows = [text.tokens for text in texts[first : first + size]]
            yield torch.from_numpy(np.stack(rows))

    @torch.inference_mode()
    def _codes(self, network: ThroughVector) -> Floats:
        """The codes of the sample: (n, code_size)."""
        made = [network.encode(tokens) for tokens in self._blocks(self._sample.kept)]
        codes: Floats = torch.cat(made).numpy()
        return codes

    def _units(self, network: ThroughVector, codes: Floats, metrics: CodeMetrics) -> TextUnits:
        """The units that are active for most texts and, of those, most active in the sample."""
        order = np.lexsort((-np.abs(codes).mean(0), -metrics.active.numpy()))[:MOST_UNITS]
        different = self._different(self._sample.kept)
        values = values_of(codes[different][:, order], STRONGEST)
        found = values.strongest
        strongest = np.where(found < 0, found, np.array(different)[found])
        words = self._peaks(network, order)
        peaks = np.take_along_axis(words.T, strongest.clip(0), axis=1)
        return TextUnits(
            **{**vars(values), "strongest": strongest},
            total=codes.shape[1], numbers=order, peaks=peaks,
        )  # fmt: skip

    def _different(self, texts: Sequence[_Text]) -> list[int]:
        """The indices of the texts that no earlier one is equal to."""
        first = {text.tokens.tobytes(): place for place, text in reversed([*enumerate(texts)])}
        return sorted(first.values())

    @torch.inference_mode()
    def _peaks(self, network: ThroughVector, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of the word of each text of the sample that adds most to each unit: (n,
        units).
        """
        found = []
        for tokens in self._blocks(self._sample.kept):
            added = network.encoder.bound(tokens)[:, :, units]
            word = torch.from_numpy(self._words.numbers(tokens.numpy()))
            of_words, pieces = torch.zeros_like(added), torch.zeros_like(added[..., 0])
            of_words.scatter_add_(1, word[..., None].expand_as(added), added)
            pieces.scatter_add_(1, word, (tokens != PAD).to(pieces.dtype))
            found.append(of_words.masked_fill(pieces[..., None] == 0, -math.inf).argmax(1))
        peaks: NDArray[np.int64] = torch.cat(found).numpy()
        return peaks

    @torch.inference_mode()
    def _examples(self, texts: Sequence[_Text]) -> list[TextExample]:
        """Texts with their reconstructions."""
        found: list[TextExample] = []
        for tokens in self._blocks(texts):
            code: Any = self._network.encode(tokens)
            written = self._network.decode(code).numpy()
            for row, text in enumerate(texts[len(found) :][: len(tokens)]):
                found.append(self._example(text, written[row], *self._shorter(code, row)))
        return found

    def _example(
        self,
        text: _Text,
        written: NDArray[np.int64],
        kept: NDArray[np.bool_] | None,
        shorter: NDArray[np.int64] | None,
    ) -> TextExample:
        there = text.tokens != PAD
        original, made = (
            shortened(self._words.of(tokens), LONGEST_EXAMPLE) for tokens in (text.tokens, written)
        )
        lost, wrong = differences(original, made)
        numbers = self._words.numbers(text.tokens[None])[0]
        return TextExample(
            text.path,
            float((written == text.tokens)[there].mean()),
            original,
            made,
            lost,
            wrong,
            [] if kept is None else np.unique(numbers[kept]).tolist(),
            None if shorter is None else shortened(self._words.of(shorter), LONGEST_EXAMPLE),
        )

    def _shorter(
        self, code: Any, row: int
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.int64] | None]:
        """Which tokens of a text its code has kept, and the tokens of the code; None if there are
        none.
        """
        if isinstance(code, KeptWords):
            return code.kept[row].numpy(), None
        return None, code.text[row].numpy() if isinstance(code, ShorterText) else None


class WordSplitter:
    """The words of texts: what stands between two spaces."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._decode = vocabulary.decode
        self._begins = np.array(vocabulary.begins_word())

    def numbers(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """tokens (n, length) -> the index of the word that each belongs to: (n, length)."""
        starts = self._begins[tokens] & (tokens != PAD)
        starts[:, 0] = True
        numbers: NDArray[np.int64] = starts.cumsum(1) - 1
        return numbers

    def of(self, tokens: NDArray[np.int64]) -> list[str]:
        """The words of a text, (length,)."""
        there = tokens[tokens != PAD]
        if not len(there):
            return []
        begins = np.flatnonzero(np.diff(self.numbers(there[None])[0])) + 1
        return [self._decode(word.tolist()) for word in np.split(there, begins)]


def shortened(words: Sequence[str], most: int) -> list[str]:
    """The first words, at most so many characters in all; an ellipsis stands for the others."""
    found: list[str] = []
    for word in words:
        if most < len(word):
            return [*found, word[:most] + CUT]
        found.append(word)
        most -= len(word) + 1
    return found


def differences(original: Sequence[str], made: Sequence[str]) -> tuple[list[int], list[int]]:
    """The indices of the words of both that are not among the longest runs that they share."""
    shared = SequenceMatcher(None, original, made, autojunk=False).get_matching_blocks()
    left, right = set(range(len(original))), set(range(len(made)))
    for one, other, size in shared:
        left -= set(range(one, one + size))
        right -= set(range(other, other + size))
    return sorted(left), sorted(right)
