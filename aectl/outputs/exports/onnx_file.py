"""ONNX files, which onnxruntime and many other programs run."""

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from aectl.config.exports import BATCH, OPSET
from aectl.errors import ConfigError, OutputError
from aectl.models.model_card import ModelCard

if TYPE_CHECKING:
    from aectl.outputs.exports import Exported, Runner

LARGEST = 2_000_000_000
"""Maximum bytes of weights: a file of the format is one message, which has fewer than 2^31."""

PROVIDERS = ["CPUExecutionProvider"]


def check(card: ModelCard) -> None:
    """Raises ConfigError where onnxruntime or onnxscript is not installed."""
    for package in ("onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError("ONNX files need packages: pip install 'aectl[export]'")


def write(exported: "Exported", path: Path) -> None:
    """Writes the file. Raises OutputError for weights of more than 2 GB."""
    import torch

    from aectl.outputs.exports.tracing import program_of, told_in_a_line

    traced = program_of(exported)
    count = sum(one.numel() * one.element_size() for one in traced.state_dict.values())
    if count > LARGEST:
        raise OutputError(f"an ONNX file holds less than 2 GB, and this has {count:,}: use .pt2")
    with warnings.catch_warnings(), _quiet("onnx_ir"), told_in_a_line("torch.onnx"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            traced, dynamo=True, opset_version=OPSET, verbose=False, external_data=False,
            input_names=[exported.takes], output_names=[*exported.gives],
            dynamic_shapes=({0: BATCH},),
        )  # fmt: skip
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # the classes that each operation comes from
    program.model.metadata_props.update(exported.told)
    program.save(path)
    if exported.quantized is not None:
        _quantize(path)


def _quantize(path: Path) -> None:
    """Rewrites a file with weights of whole numbers of 8 bits, a scale for each unit; activations
    are rounded as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(path, path, weight_type=QuantType.QInt8, per_channel=True)


@contextlib.contextmanager
def _quiet(name: str | None = None) -> Iterator[None]:
    """Silences a library that logs what it guesses, or advises, by the name of its logger."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def running(path: Path) -> "Runner":
    """Loads the file, to run it with onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(path, options, providers=PROVIDERS)
    (takes,) = session.get_inputs()

    def run(inputs: NDArray[Any]) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = session.run(None, {takes.name: inputs})
        return found

    return run


def versions() -> dict[str, str]:
    """Of the operators, onnxruntime and onnxscript."""
    return {"opset": str(OPSET)} | {name: version(name) for name in ("onnxruntime", "onnxscript")}
