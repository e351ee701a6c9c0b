"""The operations of a network, as torch.export finds them."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aectl.config.exports import BATCH
from aectl.errors import OutputError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from aectl.outputs.exports import Exported

TRACE = "stack_trace"
"""The place of an operation in source code, which is left out: it has paths of this machine."""


def program_of(exported: "Exported") -> "ExportedProgram":
    """The program for any number of inputs, with the weights that it needs."""
    from torch.export import Dim, export
    from torch.fx import GraphModule

    shapes = ({0: Dim(BATCH)},)

    with warnings.catch_warnings(), told_in_a_line("torch.export"):
        warnings.simplefilter("ignore")  # of weights that recurrent layers hold twice
        program = export(exported.module, (exported.inputs,), dynamic_shapes=shapes, strict=False)
    _forget_unused(program)
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


def _forget_unused(program: "ExportedProgram") -> None:
    """Removes the weights and constants of a module that no operation reads."""
    from torch.export.graph_signature import InputKind

    specs = program.graph_signature.input_specs
    placed = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for spec in list(specs):
        node = placed[spec.arg.name]
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and not node.users:
            specs.remove(spec)
            program.graph.erase_node(node)
            held = program.state_dict if spec.target in program.state_dict else program.constants
            held.pop(spec.target, None)
    program.graph_module.recompile()
