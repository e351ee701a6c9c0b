"""How long an epoch of training takes, beside other ways to train the same network.

    python -m tests.benchmarks train [--threads N]

784-392-784 on MNIST (AECTL_DATA_DIR names the folder of the datasets), seconds of training an
epoch, median of 5 taken in turns; the tutorial's way and scikit-learn's, which take long, once.
The bare loop has the whole set in memory as float32, torch.nn.Sequential and fused Adam, and
neither figures nor progress. The products are the five of a step, in memory that is kept.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from aectl.config.configuration import Config
from aectl.data.images import datasets
from aectl.training.image_run import ImageRun
from aectl.training.run import Epoch

from .commands import CORES, in_turns, seconds

DATA = Path(os.environ["AECTL_DATA_DIR"])
RUNS = 5
PIXELS, UNITS = 784, 392
RHO, BETA = 0.05, 3.0


def timed(epoch: Callable[[], object]) -> float:
    begun = time.perf_counter()
    epoch()
    return time.perf_counter() - begun


def network(kl: bool) -> nn.Sequential:
    torch.manual_seed(0)
    code = nn.Sigmoid() if kl else nn.ReLU()
    return nn.Sequential(nn.Linear(PIXELS, UNITS), code, nn.Linear(UNITS, PIXELS))


def loss_of(net: nn.Sequential, x: torch.Tensor, kl: bool) -> torch.Tensor:
    if not kl:
        return (net(x) - x).square().sum() / (2 * len(x))
    code = net[1](net[0](x))
    rho_hat = code.mean(0)
    on, off = torch.log(RHO / rho_hat), torch.log((1 - RHO) / (1 - rho_hat))
    penalty = (RHO * on + (1 - RHO) * off).sum()
    return (net[2](code) - x).square().sum() / (2 * len(x)) + BETA * penalty


def bare(images: torch.Tensor, batch: int, kl: bool) -> Callable[[], object]:
    net = network(kl)
    optimizer = torch.optim.Adam(net.parameters(), 0.001, fused=True)

    def epoch() -> None:
        order = torch.randperm(len(images))
        for first in range(0, len(images), batch):
            optimizer.zero_grad()
            loss_of(net, images[order[first : first + batch]], kl).backward()
            optimizer.step()

    return epoch


def products(images: torch.Tensor, batch: int) -> Callable[[], object]:
    x, code, out = images[:batch], torch.rand(batch, UNITS), torch.rand(batch, PIXELS)
    down, up = torch.rand(UNITS, PIXELS), torch.rand(PIXELS, UNITS)
    code_gradient, down_gradient, up_gradient = map(torch.empty_like, (code, down, up))

    def epoch() -> None:
        for _ in range(math.ceil(len(images) / batch)):
            torch.mm(x, down.t(), out=code)
            torch.mm(code, up.t(), out=out)
            torch.mm(out.t(), code, out=up_gradient)
            torch.mm(out, up, out=code_gradient)
            torch.mm(code_gradient.t(), x, out=down_gradient)

    return epoch


def our_run(images: datasets.ImageSet, batch: int, kl: bool, epochs: int) -> ImageRun:
    """The same training by aectl."""
    given = {"epochs": epochs, "batch_size": batch, **({"sparsity": "kl"} if kl else {})}
    config = Config.from_options(given).resolved(images.shape, PIXELS, len(images))
    return ImageRun(config, images, torch.device("cpu"))


def ours(images: datasets.ImageSet, batch: int, kl: bool) -> Callable[[], float]:
    """The seconds of the next epoch, as aectl reports them."""
    run = our_run(images, batch, kl, RUNS + 1)

    def epochs() -> Iterator[float]:
        for event in run.epochs():
            if isinstance(event, Epoch):
                yield event.row["seconds"]

    return partial(next, epochs())


def tutorial(batch: int) -> Callable[[], object]:
    """torchvision's MNIST, ToTensor and a DataLoader, as the tutorials have it."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import MNIST
    from torchvision.transforms import ToTensor

    loader = DataLoader(MNIST(str(DATA), transform=ToTensor()), batch, shuffle=True)
    net = network(False)
    optimizer = torch.optim.Adam(net.parameters(), 0.001)

    def epoch() -> None:
        for images, _ in loader:
            optimizer.zero_grad()
            loss_of(net, images.flatten(1), False).backward()
            optimizer.step()

    return epoch


def scikit_learn(images: torch.Tensor, batch: int) -> Callable[[], object]:
    from sklearn.neural_network import MLPRegressor

    net = MLPRegressor(hidden_layer_sizes=(UNITS,), batch_size=batch)
    return lambda: net.partial_fit(images.numpy(), images.numpy())


def whole_process() -> float:
    """Seconds of `aectl train` of one epoch, from start to exit, pictures included."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "aectl", "train", "-q", "--dataset", "mnist", "--epochs", 1]
        return seconds([sys.executable, *words, "--out", folder, "--overwrite"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=CORES)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    mnist = datasets.load("mnist", DATA, split="train")
    images = torch.from_numpy(mnist.images).flatten(1) / 255
    print(f"{given.threads} threads of {CORES} cores, torch {torch.__version__}\n")
    print("| batch | loss | aectl | bare loop | aectl / bare | five products / aectl |")
    print("|---|---|---|---|---|---|")
    found: dict[tuple[int, bool], float] = {}
    for batch in (32, 128, 256):
        for kl in (False, True):
            cases = {
                "ours": ours(mnist, batch, kl),
                "bare": partial(timed, bare(images, batch, kl)),
                "products": partial(timed, products(images, batch)),
            }
            time_of = in_turns(cases, RUNS)
            mine = found[batch, kl] = time_of["ours"]
            figures = (mine / time_of["bare"], time_of["products"] / mine)
            print(
                f"| {batch} | {'KL' if kl else 'dense'} | {mine:.2f} s | {time_of['bare']:.2f} s |"
                f" {figures[0]:.2f} | {figures[1]:.0%} |",
                flush=True,
            )
    print("\n| another way, batch | seconds | times as long as aectl |\n|---|---|---|")
    for name, batch, way in (
        ("tutorial (DataLoader)", 128, tutorial(128)),
        ("tutorial (DataLoader)", 32, tutorial(32)),
        ("scikit-learn's MLPRegressor", 128, scikit_learn(images, 128)),
    ):
        taken = timed(way)
        times = taken / found[batch, False]
        print(f"| {name}, {batch} | {taken:.1f} s | {times:.1f} |", flush=True)
    importing = partial(seconds, [sys.executable, "-c", "import torch"])
    whole = in_turns({"train": whole_process, "torch": importing}, 3)
    rest = whole["train"] - whole["torch"] - found[128, False]
    print(
        f"\n`aectl train --dataset mnist --epochs 1`, the whole process: {whole['train']:.2f} s ="
        f" import torch {whole['torch']:.2f} + epoch {found[128, False]:.2f} + {rest:.2f} s"
    )
