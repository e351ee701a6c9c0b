"""The recipes for photographs on CIFAR-10 as a folder of files, and how fast features are found.

    python -m tests.benchmarks photos CIFAR OUT [RECIPE...]

CIFAR holds `train` and `test`, a folder a class in each. OUT keeps the models; what is there
already is not trained again. Prints the error of each recipe on the test files, mean and standard
deviation of three seeds, with all labels and with 4,000, and how much of the time of its features
is that of the matrix products that they cannot avoid.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from aectl.config.recipes import RECIPES
from aectl.models import model_file
from aectl.models.patch_autoencoder import PatchEncoder

from .commands import reports, said, say
from .recipes import models

FEW, DECAY_OF_FEW = 4000, 0.3
PICTURES, RUNS = 20, 5


def errors(cifar: Path, folders: list[Path]) -> str:
    """The errors of classifiers on the test files."""
    return said([report["error"] for report in reports(*folders, dataset=cifar / "test")])


def best(work: Callable[[], Tensor]) -> float:
    """Milliseconds of processor time, the least of several runs."""
    taken = []
    for _ in range(RUNS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return 1000 * min(taken)


@torch.inference_mode()
def speed(folder: Path) -> None:
    """Prints the time of the features of an image, and of its matrix products alone."""
    torch.set_num_threads(1)
    encoder = model_file.load(folder)[0].encoder
    assert isinstance(encoder, PatchEncoder)
    images = torch.rand(PICTURES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    columns = F.normalize(encoder.of_patches.decoder.directions, dim=0)
    patches = encoder.whitened(images[:1]).values[0]
    both = 2 if encoder.patching.mirror else 1
    say("features of an image", best(lambda: encoder(images)) / PICTURES, "ms")
    say("its matrix products with the columns", both * best(lambda: patches @ columns), "ms")


def main() -> None:
    cifar, out = Path(sys.argv[1]), Path(sys.argv[2])
    names = sys.argv[3:] or [
        name for name in RECIPES if name.startswith("patches") and RECIPES[name].encoder
    ]
    print(f"{len(os.sched_getaffinity(0))} cores")
    for name in names:
        data = ("--dataset", cifar / "train")
        folders = models(out, name, data=data)
        few = models(out, name, "--labels", FEW, "--weight-decay", DECAY_OF_FEW, data=data)
        print(f"{name}: error {errors(cifar, folders)} %, of {FEW:,} labels {errors(cifar, few)} %")
        speed(models(out, RECIPES[name].encoder, data=data)[0])


if __name__ == "__main__":
    main()
