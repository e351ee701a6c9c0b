"""A run of a classifier on the codes of an encoder that is not trained: they are computed once."""

import dataclasses
import time
from collections.abc import Generator, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.models import footprint
from aectl.models.architecture import Architecture
from aectl.models.classifier import Classifier
from aectl.objectives.step import Batch
from aectl.training import memory
from aectl.training.code_set import FEW, CodeSet, fill
from aectl.training.image_run import ImageRun
from aectl.training.image_sketch import ImageSketch
from aectl.training.initialisation import Start, begin
from aectl.training.loop import MemorySet, TrainingProgress
from aectl.training.measured import mean_error
from aectl.training.memory_sketch import EVALUATION_BATCH, MOST_SAMPLED
from aectl.training.run import Epoch

LARGEST_FRACTION = 0.5
"""Of this machine's memory that the codes may take; if they need more, each batch is encoded."""


def codes_fit(config: Config, encoder: Architecture | None, images: int) -> bool:
    """Whether a classifier stands on codes that do not change, and memory has room for them."""
    if encoder is None or config.training.fine_tune or config.data.shift or config.data.flip:
        return False
    return 4 * images * encoder.code_size < LARGEST_FRACTION * memory.of_machine()


class OfCodes(nn.Module):
    """A classifier as a function of the codes of images: (batch, features) -> logits."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    @property
    def classes_count(self) -> int:
        """The number of classes."""
        return self.network.classes_count

    def forward(self, codes: Tensor) -> Tensor:
        """codes: (batch, features) -> logits: (batch, classes)."""
        return self.network.classify(codes)


class CodeSketch(ImageSketch):
    """A training on codes that are computed once."""

    def trained(self, network: Classifier) -> OfCodes:
        """The classifier, as a function of codes."""
        return OfCodes(network)

    def batch(self, count: int) -> Batch:
        """Codes and labels."""
        assert self.architecture.encoder is not None
        codes = torch.empty(count, self.architecture.encoder.code_size)
        return Batch(codes, torch.empty(count, dtype=torch.int64))

    def begin(self, network: Classifier) -> Tensor:
        """Computes all codes, which stay."""
        network.fine_tune_encoder(False)
        codes = self.batch(self.inputs).inputs
        if self.config.model.standardize:
            network.fit_standard(codes)
        return codes

    def measure(self, network: Classifier, batch: Batch) -> None:
        """Predicts classes."""
        network.eval().classify(batch.inputs)


class CodeRun(ImageRun):
    """A run of a classifier on the codes of a frozen encoder."""

    sketch_class = CodeSketch
    network: Classifier
    _training: CodeSet  # type: ignore[assignment]
    _held_out: CodeSet  # type: ignore[assignment]
    _sample: CodeSet  # type: ignore[assignment]

    def _begin(self, start: Start) -> None:
        self.network.fine_tune_encoder(False)
        begin(self.network, self.config, start, torch.empty(0))

    def epochs(self) -> Iterator[TrainingProgress | Epoch]:
        """Computes the codes, with the encoder of the start or of a restored state; trains."""
        images, held_out = cast(MemorySet, self._training), cast(MemorySet, self._held_out)
        at = TrainingProgress(1, 0, len(images) + len(held_out), doing="encoding")
        self._training, at = yield from self._encoded(images, at)
        self._held_out, _ = yield from self._encoded(held_out, at)
        if self.config.model.standardize:
            if self._fresh and self._left is None:
                self.network.fit_standard(self._training.codes)
            for codes in (self._training.codes, self._held_out.codes):
                self.network.standardize_(codes)
        self._sample = self._training.spaced(MOST_SAMPLED)
        yield from super().epochs()

    def _metrics(self) -> dict[str, float]:
        measured = self._held_out if len(self._held_out) else self._sample
        classifier = OfCodes(self.network).eval()
        return mean_error(classifier, measured.in_order(EVALUATION_BATCH))

    def _encoded(
        self, images: MemorySet, at: TrainingProgress
    ) -> Generator[TrainingProgress, None, tuple[CodeSet, TrainingProgress]]:
        """The codes of a set of images, and how far it is after them; before them, it is `at`."""
        encoder, labels = self.network.encoder, images.labels
        of_encoder = self.architecture.encoder
        assert encoder is not None and labels is not None and of_encoder is not None
        codes = torch.empty(len(images), encoder.code_size, device=self.device)
        encoder.eval()
        pooled = KINDS[of_encoder.kind].pooled
        size = FEW if pooled else footprint.fitting(of_encoder, EVALUATION_BATCH)
        started = time.monotonic()
        for count in fill(codes, images, encoder, size):
            seconds = at.seconds + time.monotonic() - started
            at = dataclasses.replace(at, step=at.step + count, seconds=seconds)
            yield at
            started = time.monotonic()
        return CodeSet(codes, labels[images.rows].to(self.device)), at
