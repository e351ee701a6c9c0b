"""The parts of a model that can be exported, and the formats of files: a new one is a new row."""

from collections.abc import Collection
from typing import NamedTuple

from aectl.config.declaration import near_miss
from aectl.errors import ConfigError

ENCODER, DECODER, AUTOENCODER, CLASSIFIER = "encoder", "decoder", "autoencoder", "classifier"
DETECTOR = "detector"

GIVES = {
    ENCODER: ("code",),
    DECODER: ("reconstruction",),
    AUTOENCODER: ("reconstruction",),
    CLASSIFIER: ("probabilities",),
    DETECTOR: ("score", "p_value", "anomaly"),
}
"""The parts of a model that are exported, with the names of what each gives."""

CODE = "code"
"""The name of what a decoder takes."""

BATCH = "batch"
"""The name of the dimension that is the number of inputs."""

OPSET = 20
"""The version of ONNX's operators that files are written for."""


class ExportFormat(NamedTuple):
    """A kind of file: its extension, and the module of `outputs.exports` that writes and runs it;
    `quantized`: whether its weights can be whole numbers; `parts`: those that a folder holds, "" in
    place of an extension, in the order of the outputs when it is run."""

    ending: str
    written_by: str
    quantized: bool = False
    parts: tuple[str, ...] = ()


EXPORT_FORMATS = {
    "onnx": ExportFormat(".onnx", "onnx_file", quantized=True),
    "pt2": ExportFormat(".pt2", "program_file"),
    "sae-lens": ExportFormat("", "sae_lens", parts=(ENCODER, AUTOENCODER)),
}
"""The formats that `--format` names."""

ENDINGS = {one.ending: name for name, one in EXPORT_FORMATS.items() if one.ending}
"""The formats that an extension names."""

TOLERANCE, QUANTIZED_TOLERANCE = 1e-5, 0.1
"""The largest difference from the model, as a fraction of its largest output, with which an export
is kept; and where weights are whole numbers of 8 bits, the root mean square of the differences, as
a fraction of that of the outputs: of two units about as strong, another may be among the k."""

QUANTIZED = ("int8",)
"""The numbers that `--quantize` names."""


def format_of(path: str, named: str | None) -> str:
    """The name of the format of a file: `named`, or that of its extension.

    Raises ConfigError for another one, and where the two contradict each other.
    """
    by_ending = next((name for end, name in ENDINGS.items() if path.lower().endswith(end)), None)
    if named is not None and by_ending not in (None, named):
        raise ConfigError(f"--out {path}: its extension is that of {by_ending}, not of {named}")
    if named is not None:
        if named not in EXPORT_FORMATS:
            known = ", ".join(EXPORT_FORMATS)
            raise ConfigError(
                f"no format '{named}'{near_miss(named, EXPORT_FORMATS)}; --format is one of {known}"
            )
        return named
    if by_ending is not None:
        return by_ending
    raise ConfigError(
        f"--out {path}: its extension must be {' or '.join(ENDINGS)}, or --format must say what"
    )


def refuse_part(part: str, parts: Collection[str], model: str) -> None:
    """Raises ConfigError for a part that does not exist, or that a model does not have."""
    if part not in GIVES:
        known = ", ".join(GIVES)
        raise ConfigError(f"no part '{part}'{near_miss(part, GIVES)}; --what is one of {known}")
    if part not in parts:
        more = "; aectl detect --calibrate adds a detector" if part == DETECTOR else ""
        raise ConfigError(f"{model} has no {part} to export; it has: {', '.join(parts)}{more}")
