"""Programs of torch.export, which torch runs in Python, and AOTInductor without."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from aectl.models.model_card import ModelCard

if TYPE_CHECKING:
    from aectl.outputs.exports import Exported, Runner


def check(card: ModelCard) -> None:
    """torch is all that is needed."""


def write(exported: "Exported", path: Path) -> None:
    """Writes the file."""
    import torch

    from aectl.outputs.exports.tracing import program_of, told_in_a_line

    program = program_of(exported)
    program.example_inputs = None  # which would be kept in the file, as a pickle
    content = BytesIO()  # where a disk is full, what torch writes to it ends the process
    with told_in_a_line("torch"):
        torch.export.save(program, content, extra_files=dict(exported.told))
    path.write_bytes(content.getbuffer())


def running(path: Path) -> "Runner":
    """Loads the file, to run it with torch on the CPU."""
    import torch

    with path.open("rb") as file:
        module = torch.export.load(file).module()

    @torch.inference_mode()
    def run(inputs: NDArray[Any]) -> list[NDArray[Any]]:
        found = module(torch.from_numpy(inputs))
        return [one.numpy() for one in ((found,) if isinstance(found, torch.Tensor) else found)]

    return run


def versions() -> dict[str, str]:
    """Of torch."""
    import torch

    return {"torch": torch.__version__}
