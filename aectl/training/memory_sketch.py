"""The size of a training on a set of images or vectors in memory."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aectl.inference.metrics import ReconstructionMetrics
from aectl.models import footprint
from aectl.objectives.step import Batch
from aectl.training.initialisation import Start, begin, standardize
from aectl.training.scale import Sketch

MOST_SAMPLED, ROOM_OF_SAMPLE = 10_000, 1 << 30
"""Maximum number of inputs that are looked at before training and measured after each epoch, and
bytes of their values in the network."""

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class MemorySketch(Sketch):
    """A training on a set in memory, all of which is of one shape."""

    def begin(self, network: Any) -> Tensor | None:
        """Looks at some of the inputs, which stay where each layer is trained alone."""
        if self.architecture.encoder:
            network.fine_tune_encoder(self.config.training.fine_tune)
        sample = self.batch(self.sampled).inputs
        begin(network, self.config, Start(), sample)
        if self.architecture.classes:
            standardize(network, self.config, [sample])
        return sample if self.config.training.stack else None

    def measure(self, network: Any, batch: Batch) -> None:
        """The metrics of reconstructions; a classifier's predictions."""
        network.eval()
        if self.architecture.classes:
            network(batch.inputs)
            return
        add_metrics(ReconstructionMetrics(network.active_above), network, batch.inputs)

    @property
    def evaluation_batch(self) -> int:
        """1,000, or fewer of large inputs."""
        return footprint.fitting(self.architecture, EVALUATION_BATCH)

    @property
    def measured(self) -> int:
        """Those held out, or a sample of the others."""
        return self.held_out or self.sampled

    @property
    def sampled(self) -> int:
        """The number of inputs of which the weights at the start depend: all, or a sample."""
        most = footprint.fitting(self.architecture, MOST_SAMPLED, ROOM_OF_SAMPLE)
        return min(self.learnt, most)


def add_metrics(metrics: ReconstructionMetrics, network: Any, inputs: Tensor) -> None:
    """Adds the reconstructions and codes of a batch to the metrics of a network."""
    targets = network.targets(inputs)
    code, output = network.traced(targets)
    metrics.update(targets, network.output_activation(output), code)
