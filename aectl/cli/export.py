"""`aectl export`: a model as a file that other programs run."""

from pathlib import Path
from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.session import Session
from aectl.cli.stdout import show_path
from aectl.config.exports import (
    ENDINGS,
    EXPORT_FORMATS,
    GIVES,
    QUANTIZED,
    QUANTIZED_TOLERANCE,
    TOLERANCE,
)
from aectl.errors import ConfigError, OutputError

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FILE",
        help=f"Write to this file; its extension ({' '.join(ENDINGS)}) sets the format. With "
        "--format sae-lens, a folder.",
        show_default=False,
    ),
]  # fmt: skip
What = Annotated[
    str | None,
    typer.Option(
        "--what", metavar="|".join(GIVES), help="Part of the model to export.",
        show_default="encoder, or classifier",
    ),
]  # fmt: skip
Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="|".join(EXPORT_FORMATS), help="Format of the file.",
        show_default="by the extension",
    ),
]  # fmt: skip
Quantize = Annotated[
    str | None,
    typer.Option(
        "--quantize", metavar="|".join(QUANTIZED),
        help="Round the weights of an ONNX file to whole numbers of 8 bits.",
    ),
]  # fmt: skip
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance", metavar="X", min=0,
        help="Largest difference from the model with which the file is kept, as a fraction of the "
        "largest output; with --quantize, root mean square of the differences, as a fraction of "
        "that of the outputs.",
        show_default=f"{TOLERANCE:g}, with --quantize {QUANTIZED_TOLERANCE:g}",
    ),
]  # fmt: skip


@options.with_common_options
def export(
    common: options.Common,
    model: options.Model,
    out: Out,
    inputs: options.Input = None,
    what: What = None,
    format: Format = None,
    quantize: Quantize = None,
    tolerance: Tolerance = None,
) -> int:
    """Export a model to ONNX, torch.export or SAELens, with its preprocessing, and check the file.

    The file is run on the inputs, beside the model; if an output differs by more than --tolerance,
    it is not kept. FILE.json tells how far they are apart.

    Example: aectl export runs/mnist-autoencoder-1 --out encoder.onnx
    """
    from aectl.verbs.export import export as export_model
    from aectl.verbs.export_report import report_of

    if common.device not in ("auto", "cpu"):
        raise ConfigError(f"--device {common.device} has no effect: files are checked on the CPU")
    if common.errors == report_of(out):
        raise OutputError(f"--errors {common.errors} is the name of the report of the export")
    session = Session(common, out)
    with session.console.lasting("exporting"):
        found = export_model(
            model, out, inputs, what=what, format=format, quantize=quantize, tolerance=tolerance,
            threads=common.threads, overwrite=common.overwrite, **session.input_options(),
        )  # fmt: skip
    for line in found.told():
        session.console.notice(line)
    show_path(out)
    return session.outcome.status(found.inputs, None)
