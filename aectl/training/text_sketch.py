"""The size of a training on text."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch

from aectl.config.kinds import WORDS
from aectl.config.shapes import TextShape
from aectl.data.text.text_batches import batch_size
from aectl.inference.apply_text import measure_tokens
from aectl.inference.metrics import TextMetrics
from aectl.models.networks import Classifier, ThroughVector
from aectl.objectives.step import Batch
from aectl.training.initialisation import begin_code
from aectl.training.scale import Change, Scale, Sketch

MEASURED_TEXTS, LEAST_BEGUN_WITH = 2000, 32

SAMPLED_TEXTS = 10_000
"""Maximum number of texts that are looked at after each epoch, which takes a fraction of the
time in which they are learnt."""

COUNTED = 2, 6
"""Lengths of texts for which a step is counted; that of others follows, as each token needs the
same."""

COUNTED_WORDS = 20, 40, 60, 80
"""The same for a bottleneck of words, each of which has links to all others for each kept one."""


@dataclass(frozen=True)
class TextSketch(Sketch):
    """A training on text."""

    measured_at_once: int | None = None

    def scale(self) -> Scale:
        """The count for short texts, carried on to the length by a polynomial."""
        length = self.architecture.text.length
        words = self.architecture.config.bottleneck == WORDS
        lengths = COUNTED_WORDS if words else COUNTED
        if length <= lengths[-1]:
            return super().scale()
        counts = [self._of_length(one)._counted() for one in lengths]
        memory = sum(
            count.memory * math.prod((length - b) / (a - b) for b in lengths if b != a)
            for a, count in zip(lengths, counts, strict=True)
        )
        return Scale(counts[-1].weights, round(memory))

    def _counted(self) -> Scale:
        return super().scale()

    def batch(self, count: int) -> Batch:
        """Tokens, and labels for a classifier."""
        tokens = torch.empty((count, self.architecture.text.length), dtype=torch.int64)
        classes = self.architecture.classes
        return Batch(tokens, torch.empty(count, dtype=torch.int64) if classes else None)

    def begin(self, network: Any) -> None:
        """Looks at some of the texts."""
        if isinstance(network, Classifier):
            network.fine_tune_encoder(self.config.training.fine_tune)
        elif isinstance(network, ThroughVector):
            few = max(self.config.training.batch_size, LEAST_BEGUN_WITH)
            begin_code(network.encoder, self.config, self.batch(few).inputs)

    def measure(self, network: Any, batch: Batch) -> None:
        """The metrics of texts; a classifier's predictions."""
        network.eval()
        if self.architecture.classes:
            network(batch.inputs)
        else:
            measure_tokens(network, batch.inputs, TextMetrics())

    @property
    def evaluation_batch(self) -> int:
        """As many as at inference."""
        return self.measured_at_once or batch_size(*self.architecture.text)

    @property
    def measured(self) -> int:
        """Some of those held out, or of the others."""
        return min(self.held_out or self.learnt, MEASURED_TEXTS)

    def resized(self) -> Change:
        """The change of the length."""
        return Change(
            self.architecture.text.length,
            lambda length: (self._of_length(length), f"--length {length}"),
        )

    def _of_length(self, length: int) -> "TextSketch":
        shape = TextShape(length, self.architecture.text.tokens)
        return dataclasses.replace(
            self,
            architecture=dataclasses.replace(self.architecture, input=shape),
            measured_at_once=self.evaluation_batch,
        )
