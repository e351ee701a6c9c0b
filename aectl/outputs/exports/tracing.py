"""The operations of a network, as torch.export finds them."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aectl.config.exports import BATCH
from aectl.errors import OutputError

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    from aectl.outputs.exports import Exported

TRACE = "stack_trace"
"""The place of an operation in source code, which is left out: it has paths of this machine."""


def program_of(exported: "Exported") -> "ExportedProgram":
    """The program for any number of inputs, with the weights that it needs; the module loses all
    others."""
    from torch.fx import GraphModule

    with warnings.catch_warnings(), told_in_a_line("torch.export"):
        warnings.simplefilter("ignore")  # of weights that recurrent layers hold twice
        program = _traced(exported)
        if unused := _unused(program):
            for name in unused:
                _forget(exported.module, name)
            program = _traced(exported)
    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            for node in module.graph.nodes:
                node.meta.pop(TRACE, None)
    return program


@contextlib.contextmanager
def told_in_a_line(program: str) -> Iterator[None]:
    """Raises OutputError for what torch cannot convert: its errors are RuntimeErrors."""
    try:
        yield
    except RuntimeError as error:
        why = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        raise OutputError(f"{program} cannot convert this model: {why}") from error


def _traced(exported: "Exported") -> "ExportedProgram":
    from torch.export import Dim, export

    shapes = ({0: Dim(BATCH)},)
    return export(exported.module, (exported.inputs,), dynamic_shapes=shapes, strict=False)


def _unused(program: "ExportedProgram") -> list[str]:
    """The names of the weights and constants of a module that no operation reads."""
    from torch.export.graph_signature import InputKind

    placed = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    return [
        str(spec.target)
        for spec in program.graph_signature.input_specs
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and not placed[spec.arg.name].users
    ]


def _forget(module: "nn.Module", name: str) -> None:
    """Removes a weight or a constant from a module."""
    owner, _, leaf = name.rpartition(".")
    held = module.get_submodule(owner)
    for kept in (held._parameters, held._buffers):
        if leaf in kept:
            kept[leaf] = None
