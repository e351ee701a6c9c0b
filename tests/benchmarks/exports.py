"""How fast an exported encoder of images is in onnxruntime, beside aectl's own network.

    python -m tests.benchmarks exports MODEL INPUT [MODEL INPUT...]

Random images in the size of the model, 1 and 256 at once, on one thread; medians of several runs,
in turns. And whole processes, from start to exit, that encode an image. INPUT is for the check.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image

import aectl

from .commands import AECTL, in_turns, seconds

RUNS, IMAGES = 7, 512
BARE = """
import sys
import numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
pixels = np.array(Image.open(sys.argv[2]))
shape = session.get_inputs()[0].shape[1:]
print(session.run(None, {"images": np.moveaxis(pixels.reshape(*shape[1:], shape[0]), 2, 0)[None]}))
"""


def main() -> None:
    torch.set_num_threads(1)
    print("| model | at once | torch | onnxruntime |\n|---|---|---|---|")
    started = {}
    with tempfile.TemporaryDirectory() as folder:
        for model, inputs in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
            file = Path(folder) / f"{Path(model).name}.onnx"
            aectl.export(model, file, inputs)
            network = aectl.load(model)
            pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, *network.shape), np.uint8)
            for size in (1, 256):
                ways = {
                    "torch": partial(paced, of_torch(network), pixels, size),
                    "onnxruntime": partial(paced, of_onnx(file), pixels, size),
                }
                found = in_turns(ways, RUNS)
                paces = " | ".join(f"{IMAGES / value:,.0f}" for value in found.values())
                print(f"| {Path(model).name} | {size} | {paces} |")
            name = Path(model).name
            picture, script = Path(folder) / f"{name}.png", Path(folder) / "bare.py"
            Image.fromarray(np.moveaxis(pixels[0], 0, 2).squeeze()).save(picture)
            script.write_text(BARE)
            started[f"onnxruntime, {name}"] = [sys.executable, script, file, picture]
            started[f"aectl encode, {name}"] = [*AECTL, "encode", "-q", model, picture]
        print("\n| process | seconds |\n|---|---|")
        commands = {name: partial(seconds, words) for name, words in started.items()}
        for name, value in in_turns(commands, RUNS).items():
            print(f"| {name} | {value:.2f} |")


def paced(run: Callable[[np.ndarray], object], pixels: np.ndarray, size: int) -> float:
    """Seconds for all images, so many at once."""
    start = time.perf_counter()
    for batch in np.split(pixels, len(pixels) // size):
        run(batch)
    return time.perf_counter() - start


def of_torch(network: torch.nn.Module) -> Callable[[np.ndarray], object]:
    """aectl's network."""

    @torch.inference_mode()
    def run(batch: np.ndarray) -> object:
        return network.encode(torch.from_numpy(batch).float().div_(255)).numpy()

    return run


def of_onnx(file: Path) -> Callable[[np.ndarray], object]:
    """The exported one, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    return lambda batch: session.run(None, {"images": batch})
