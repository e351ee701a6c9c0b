"""Writes a part of a model to a file, and runs that beside the model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import aectl
from aectl.config.exports import DECODER, DETECTOR, GIVES
from aectl.config.scores import needed
from aectl.errors import OutputError
from aectl.inference.agreement import Agreement, agreement, rows_in_batches
from aectl.models import footprint
from aectl.outputs.exports import Exported, ExportWriter
from aectl.verbs.calibrated_models import calibration_of
from aectl.verbs.export_report import described
from aectl.verbs.use import Use

if TYPE_CHECKING:
    from torch import nn

    from aectl.inference.calibrating import Calibrated
    from aectl.models.graphs import Graph

BATCH_SIZES = 1, 7, 513
"""Numbers of inputs that an export is run on at once."""

ROOM = 1 << 30
"""Maximum bytes of activations of the last batch: of large images, it has fewer."""


class _Reference(NamedTuple):
    """Inputs as a file takes them, (n, ...), and the first output of each part for them."""

    inputs: NDArray[Any]
    outputs: list[NDArray[Any]]


class Written(NamedTuple):
    """A file that agrees with the model: what goes in and comes out, in words, the `results` by the
    names of the outputs, and the number of `inputs`."""

    takes: str
    gives: str
    results: Mapping[str, Agreement]
    inputs: int


@dataclass(frozen=True)
class Exporting:
    """An export of a part of a model, or of several, as one file or folder."""

    use: Use
    parts: tuple[str, ...]
    quantize: str | None
    tolerance: float
    writer: ExportWriter

    def write(self, path: Path, called: Path) -> Written:
        """Writes a file to a path, which messages call otherwise.

        Raises OutputError where it does not agree with the model.
        """
        network = self.use.network()
        graphs = [self.use.modality.graph(network, part) for part in self.parts]
        inputs, outputs = self._reference(graphs)
        rows = rows_in_batches(len(inputs), self.sizes)
        self.writer.write(self._exported(graphs[-1], inputs), path)
        run = self.writer.running(path)
        found = [
            np.concatenate(one) for one in zip(*(run(inputs[some]) for some in rows), strict=True)
        ]
        every = np.concatenate(rows)
        wanted = self._wanted([one[every] for one in outputs], found)
        results = {
            name: agreement(*both) for name, *both in zip(self._names, found, wanted, strict=True)
        }
        self._refuse_apart(called, results)
        return Written(
            described(graphs[-1].input_name, inputs),
            ", ".join(map(described, self._names, wanted)), results, len(inputs),
        )  # fmt: skip

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the batches."""
        *first, last = BATCH_SIZES
        return *first, footprint.fitting(self.use.card.architecture, last, ROOM)

    @property
    def _names(self) -> tuple[str, ...]:
        """The names of the outputs: all of a detector, or the one of each part."""
        if self.parts == (DETECTOR,):
            return GIVES[DETECTOR]
        return tuple(GIVES[part][0] for part in self.parts)

    @cached_property
    def _calibrated(self) -> "Calibrated":
        return calibration_of(self.use.path, self.use.card)

    @property
    def _needed(self) -> set[str]:
        """The evidence of a detector."""
        card = self.use.card
        assert card.calibration is not None
        return needed(card.calibration.score, self.use.modality.evidence(card))

    @property
    def _alarm_rate(self) -> float:
        assert self.use.card.calibration is not None
        return self.use.card.calibration.alarm_rate

    def _reference(self, graphs: "Sequence[Graph]") -> _Reference:
        """Real inputs, and the outputs for them as a command computes them.

        Raises DataError where there are none.
        """
        import torch

        from aectl.inference.apply import on_device

        use, most, network = self.use, sum(self.sizes), graphs[0].network
        found = []
        with torch.inference_mode(), use.stream.batches(None, most) as batches:
            of_network = partial(use.modality.tensor, network)
            to_tensor = on_device(network, torch.device("cpu"), of_network)
            for batch in batches:
                pairs = [self._of_batch(graph, batch, to_tensor) for graph in graphs]
                found.append([pairs[0][0], *(output for _, output in pairs)])
        use.refuse_empty(len(found))
        inputs, *outputs = (np.concatenate(one)[:most] for one in zip(*found, strict=True))
        return _Reference(inputs, outputs)

    def _of_batch(
        self, graph: "Graph", batch: Any, to_tensor: Any
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs as a file takes them, and the first output for them."""
        import torch

        modality = self.use.modality
        stored = modality.stored(batch)
        if graph.part == DETECTOR:
            (examined,) = modality.examine(graph.network, [batch], to_tensor, self._needed)
            return stored, self._calibrated.scores(examined.evidence)
        prepared, count = to_tensor(batch), len(stored)
        if graph.part == DECODER:
            code = graph.encoded(prepared)
            return code[:count].numpy(), graph.finished(graph.decoded(code), None)[:count].numpy()
        result = graph.finished(graph.of_prepared(prepared)[:count], torch.from_numpy(stored))
        return stored, result.numpy()

    def _wanted(
        self, outputs: list[NDArray[Any]], found: Sequence[NDArray[Any]]
    ) -> list[NDArray[Any]]:
        """The outputs that a file should give: of a detector, the p-values and the anomalies that
        follow from the scores which it found."""
        if self.parts != (DETECTOR,):
            return outputs
        p_values = self._calibrated.normal.p_values(found[0])
        return [*outputs, p_values, p_values <= self._alarm_rate]

    def _exported(self, graph: "Graph", inputs: NDArray[Any]) -> Exported:
        """The function to be written, with two inputs as an example."""
        import torch

        example = torch.from_numpy(np.concatenate([inputs, inputs])[:2])
        module = self._module(graph).eval().requires_grad_(False)
        return Exported(
            module, example, graph.input_name, GIVES[graph.part], self._told(), self.use.card,
            self.quantize,
        )  # fmt: skip

    def _module(self, graph: "Graph") -> "nn.Module":
        """The graph, or that of a detector."""
        if graph.part != DETECTOR:
            return graph
        from aectl.inference.detector_graph import DetectorGraph

        evidence_of = self.use.modality.evidence_of
        return DetectorGraph(graph, evidence_of, self._needed, self._calibrated, self._alarm_rate)

    def _told(self) -> dict[str, str]:
        """Texts by which the file says what it is."""
        card = self.use.card
        told = {
            "aectl_version": aectl.__version__,
            "what": " and ".join(self.parts),
            "classes": json.dumps(card.classes),
            "model": json.dumps(card.to_json()),
            "model_sha256": card.weights_sha256 or "",
        }
        return told | self.use.modality.told(card)

    def _refuse_apart(self, path: Path, results: Mapping[str, Agreement]) -> None:
        """Raises OutputError where an output is too far from that of the model."""
        for name, found in results.items():
            if self.quantize and found.relative_rms > self.tolerance:
                raise OutputError(
                    f"{path} is not written: the root mean square of the differences of its {name}"
                    f" from the model's is {found.relative_rms:.2g} of that of the model's, which"
                    f" is more than {self.tolerance:g} (--tolerance)"
                )
            if not self.quantize and found.relative > self.tolerance:
                raise OutputError(
                    f"{path} is not written: its {name} differs from the model's by up to"
                    f" {found.difference:.2g}, {found.relative:.2g} of the largest value, which is"
                    f" more than {self.tolerance:g} (--tolerance)"
                )
