"""Models as files that other programs run, checked against the model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import aectl
from aectl.config.exports import (
    EXPORT_FORMATS,
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
from aectl.outputs.exports import writer_of
from aectl.verbs.export_report import Export, report_of
from aectl.verbs.exporting import Exporting
from aectl.verbs.input_options import InputOptions
from aectl.verbs.torch_settings import restored
from aectl.verbs.use import use_of

if TYPE_CHECKING:
    import os


@restored()
def export(
    model: "str | os.PathLike[str]",
    out: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    what: str | None = None,
    format: str | None = None,
    quantize: str | None = None,
    tolerance: float | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    **options: Unpack[InputOptions],
) -> Export:
    """Exports a model, or a part of it, to a file that other programs run.

    >>> found = aectl.export("model.safetensors", "encoder.pt2", "photos/")
    >>> found.takes, found.gives
    ('images: uint8 (batch, 1, 8, 8)', 'code: float32 (batch, 32)')

    `out` names the file, whose extension, .onnx or .pt2, is that of its `format`, or with the
    format "sae-lens" a folder, which holds encoder and decoder. `what` is "encoder", the default,
    "decoder", "autoencoder", "detector" of a model that is calibrated or, of a classifier,
    "classifier". With `quantize` "int8", the weights become whole numbers of 8 bits.

    The file is run on `inputs`, beside the model, in batches of 1, 7 and 513; without `inputs`, on
    the test split of what the model was trained on. It is kept where no output is further from that
    of the model than `tolerance`, as a fraction of the largest one, 1e-5; with `quantize`, where
    the root mean square of the differences is at most that fraction, 0.1, of that of the outputs.
    A report, in JSON, is written beside it. `threads`: those of torch.

    Raises ConfigError for options that do not go together, or where a package is missing;
    ModelFileError for a file that is no model; DataError for inputs that do not exist; and
    OutputError where the file cannot be written, or does not agree with the model.
    """
    path = Path(out)
    name = format_of(str(path), format)
    if path.name in ("", "-", ".."):
        raise OutputError(f"--out {path} is no name of a file or a folder to be made")
    _refuse_quantized(quantize, name)
    parts = _parts_of_folder(name, what)
    use = use_of(model, "export", tuple(KINDS), inputs, options, "cpu", threads)
    writer = writer_of(name)
    writer.check(use.card)
    parts = parts or (what or use.card.parts[0],)
    for part in parts:
        refuse_part(part, use.card.parts, str(model))
    _refuse_existing(path, use.path, EXPORT_FORMATS[name], overwrite)
    if tolerance is None:
        tolerance = QUANTIZED_TOLERANCE if quantize else TOLERANCE
    exporting = Exporting(use, parts, quantize, tolerance, writer)
    with replacing_in(path) if EXPORT_FORMATS[name].parts else replacing(path) as temporary:
        written = exporting.write(temporary, path)
    found = Export(
        path, use.path, parts, name, quantize, *written, exporting.sizes, tolerance,
        {"aectl": aectl.__version__, **writer.versions()},
    )  # fmt: skip
    found.report.unlink(missing_ok=True)  # the report of an earlier file
    with replacing(found.report) as temporary:
        temporary.write_text(json.dumps(found.to_json(), indent=2) + "\n")
    return found


def _refuse_quantized(quantize: str | None, name: str) -> None:
    """Raises ConfigError for numbers that do not exist, or that a format does not have."""
    if quantize is None:
        return
    if quantize not in QUANTIZED:
        raise ConfigError(f"--quantize is one of {', '.join(QUANTIZED)}; {quantize} given")
    if not EXPORT_FORMATS[name].quantized:
        raise ConfigError(f"--quantize needs --format onnx; {name} has no whole numbers")


def _parts_of_folder(name: str, what: str | None) -> tuple[str, ...]:
    """The parts that files of a format have; none of one that holds a single part, `what`.

    Raises ConfigError where a part is named that has no effect.
    """
    parts = EXPORT_FORMATS[name].parts
    if parts and what is not None:
        raise ConfigError(f"--what has no effect with --format {name}: it has {', '.join(parts)}")
    return parts


def _refuse_existing(path: Path, model: Path, kind: ExportFormat, overwrite: bool) -> None:
    """Raises OutputError if files would be overwritten, the model itself in any case, or their
    folder does not exist."""
    if path.exists() and path.samefile(model):
        raise OutputError(f"--out {path} is the model that is exported")
    refuse_existing(report_of(path), overwrite)
    if not kind.parts or not path.is_dir():
        refuse_existing(path, overwrite)
    elif not overwrite and any(path.iterdir()):
        raise OutputError(f"{path} holds files; --overwrite replaces those of the export")
