"""Models as files that other programs run, checked against the model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

import aectl
from aectl.config.exports import (
    DECODER,
    EXPORT_FORMATS,
    GIVES,
    QUANTIZED,
    QUANTIZED_TOLERANCE,
    TOLERANCE,
    ExportFormat,
    format_of,
    refuse_part,
)
from aectl.config.kinds import KINDS
from aectl.errors import ConfigError, OutputError
from aectl.files import refuse_existing, replacing, replacing_in
from aectl.inference.agreement import Agreement, agreement, rows_in_batches
from aectl.models import footprint
from aectl.outputs.exports import Exported, ExportWriter, writer_of
from aectl.verbs.export_report import Export, described, report_of
from aectl.verbs.use import InputOptions, Use, use_of

if TYPE_CHECKING:
    import os

    from aectl.models.graphs import Graph

BATCH_SIZES = 1, 7, 513
"""Numbers of inputs that an export is run on at once."""

ROOM = 1 << 30
"""Maximum bytes of activations of the last batch: of large images, it has fewer."""


class _Reference(NamedTuple):
    """Inputs as a file takes them, (n, ...), and what the model gives for them, (n, ...)."""

    inputs: NDArray[Any]
    wanted: NDArray[Any]


def export(
    model: "str | os.PathLike[str]",
    out: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    what: str | None = None,
    format: str | None = None,
    quantize: str | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
    **options: Unpack[InputOptions],
) -> Export:
    """Exports a model, or a part of it, to a file that other programs run.

    >>> found = aectl.export("model.safetensors", "encoder.pt2", "photos/")
    >>> found.takes, found.gives
    ('images: uint8 (batch, 1, 8, 8)', 'code: float32 (batch, 32)')

    `out` names the file, whose extension, .onnx or .pt2, is that of its `format`, or with the
    format "sae-lens" a folder, which holds encoder and decoder. `what` is
    "encoder", the default, "decoder", "autoencoder" or, of a classifier, "classifier". With
    `quantize` "int8", the weights become whole numbers of 8 bits.

    The file is run on `inputs`, beside the model, in batches of 1, 7 and 513; without `inputs`, on
    the test split of what the model was trained on. It is kept where no output is further from that
    of the model than `tolerance`, as a fraction of the largest one, 1e-5; with `quantize`, where
    the root mean square of the differences is at most that fraction, 0.1, of that of the outputs.
    A report, in JSON, is written beside it.

    Raises ConfigError for options that do not go together, or where a package is missing;
    ModelFileError for a file that is no model; DataError for inputs that do not exist; and
    OutputError where the file cannot be written, or does not agree with the model.
    """
    path = Path(out)
    name = format_of(str(path), format)
    if quantize is not None and quantize not in QUANTIZED:
        raise ConfigError(f"--quantize is one of {', '.join(QUANTIZED)}; {quantize} given")
    if quantize is not None and not EXPORT_FORMATS[name].quantized:
        raise ConfigError(f"--quantize needs --format onnx; {name} has no whole numbers")
    parts = EXPORT_FORMATS[name].parts
    if parts and what is not None:
        raise ConfigError(f"--what has no effect with --format {name}: it has {', '.join(parts)}")
    use = use_of(model, "export", tuple(KINDS), inputs, options, "cpu", None)
    writer = writer_of(name)
    writer.check(use.card)
    parts = parts or (what or use.card.parts[0],)
    for part in parts:
        refuse_part(part, use.card.parts, str(model))
    _refuse_existing(path, EXPORT_FORMATS[name], overwrite)
    if tolerance is None:
        tolerance = QUANTIZED_TOLERANCE if quantize else TOLERANCE
    return _Exporting(use, parts, name, quantize, tolerance, writer).write(path)


def _refuse_existing(path: Path, kind: ExportFormat, overwrite: bool) -> None:
    """Raises OutputError if files would be overwritten, or their folder does not exist."""
    refuse_existing(report_of(path), overwrite)
    if not kind.parts or not path.is_dir():
        refuse_existing(path, overwrite)
    elif not overwrite and any(path.iterdir()):
        raise OutputError(f"{path} holds files; --overwrite replaces those of the export")


@dataclass(frozen=True)
class _Exporting:
    """An export of a part of a model, or of several, as one file or folder."""

    use: Use
    parts: tuple[str, ...]
    format: str
    quantize: str | None
    tolerance: float
    writer: ExportWriter

    def write(self, path: Path) -> Export:
        """Writes the file and its report, if it agrees with the model."""
        network = self.use.network()
        graphs = [self.use.modality.graph(network, part) for part in self.parts]
        graph, sizes = graphs[-1], self._sizes()
        references = [self._reference(one) for one in graphs]
        inputs = references[-1].inputs
        rows = rows_in_batches(len(inputs), sizes)
        outputs = {
            GIVES[part][0]: one.wanted for part, one in zip(self.parts, references, strict=True)
        }
        with replacing_in(path) if EXPORT_FORMATS[self.format].parts else replacing(path) as made:
            self.writer.write(self._exported(graph, inputs), made)
            run = self.writer.running(made)
            batches = [run(inputs[some]) for some in rows]
            results = {
                name: agreement(np.concatenate(found), wanted[np.concatenate(rows)])
                for (name, wanted), *found in zip(outputs.items(), *batches, strict=True)
            }
            self._refuse_apart(path, results)
        found = Export(
            path, self.use.path, self.parts, self.format, self.quantize,
            described(graph.input_name, inputs),
            ", ".join(described(*one) for one in outputs.items()), results, len(inputs), sizes,
            self.tolerance, {"aectl": aectl.__version__, **self.writer.versions()},
        )  # fmt: skip
        with replacing(found.report) as temporary:
            temporary.write_text(json.dumps(found.to_json(), indent=2) + "\n")
        return found

    def _sizes(self) -> tuple[int, ...]:
        """The sizes of the batches."""
        *first, last = BATCH_SIZES
        return *first, footprint.fitting(self.use.card.architecture, last, ROOM)

    def _reference(self, graph: "Graph") -> _Reference:
        """Real inputs, and what the model gives for them, as a command computes it.

        Raises DataError where there are none.
        """
        import torch

        from aectl.inference.apply import on_device

        use, most = self.use, sum(self._sizes())
        stored, wanted = [], []
        with torch.inference_mode(), use.stream.batches(None, most) as batches:
            of_network = partial(use.modality.tensor, graph.network)
            to_tensor = on_device(graph.network, torch.device("cpu"), of_network)
            for batch in batches:
                inputs = torch.from_numpy(use.modality.stored(batch))
                prepared, count = to_tensor(batch), len(inputs)
                if graph.part == DECODER:
                    inputs, result = (
                        graph.encoded(prepared)[:count],
                        graph.decoded(graph.encoded(prepared))[:count],
                    )
                    result = graph.finished(result, None)
                else:
                    result = graph.finished(graph.of_prepared(prepared)[:count], inputs)
                stored.append(inputs.numpy())
                wanted.append(result.numpy())
        use.refuse_empty(len(stored))
        return _Reference(np.concatenate(stored)[:most], np.concatenate(wanted)[:most])

    def _exported(self, graph: "Graph", inputs: NDArray[Any]) -> Exported:
        """The function to be written, with two inputs as an example."""
        import torch

        example = torch.from_numpy(np.concatenate([inputs, inputs])[:2])
        return Exported(
            graph.eval().requires_grad_(False),
            example,
            graph.input_name,
            GIVES[graph.part],
            self._told(),
            self.use.card,
            self.quantize,
        )

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
            if not self.quantize and min(found.difference, found.relative) > self.tolerance:
                raise OutputError(
                    f"{path} is not written: its {name} differs from the model's by up to"
                    f" {found.difference:.2g}, {found.relative:.2g} of the largest value, which is"
                    f" more than {self.tolerance:g} (--tolerance)"
                )
