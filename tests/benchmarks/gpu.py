"""The time of an epoch of training on a GPU, beside hand-written loops.

    python -m tests.benchmarks gpu

MNIST (AECTL_DATA_DIR names the folder of the datasets), all images on the GPU, seconds of training
an epoch, median of 5 taken in turns. The eager loop is torch's, with fused Adam, and neither
metrics nor progress; the captured one replays a CUDA graph of the same step (whole batches alone).
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.configuration import Config
from aectl.data.images import datasets
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.training.image_run import ImageRun
from aectl.training.products import products_in
from aectl.training.run import Epoch

from .commands import in_turns
from .train import DATA, PIXELS, RUNS, UNITS, loss_of, network, timed
from .wide import Plain

WARM_UP, K, WIDE = 3, 25, 1000

NETWORKS: dict[str, dict[str, object]] = {
    "dense": {"hidden": (UNITS,)},
    "KL": {"hidden": (UNITS,), "sparsity": "kl"},
    "top-k": {"hidden": (WIDE,), "sparsity": "topk", "k": K},
    "conv-autoencoder": {"model": "conv-autoencoder"},
    "classifier": {"model": "classifier"},
}
BATCHES = {"conv-autoencoder": (128,), "classifier": (128,)}
"""Batch sizes of networks, if not those of the dense ones."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""That of images and their labels."""


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("there is no GPU on this machine: nothing was measured")
    mnist, device = datasets.load("mnist", DATA, split="train"), torch.device("cuda")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| network | batch | eager loop | captured | aectl | aectl / captured | aectl / eager |")
    print("|---|---|---|---|---|---|---|")
    for name in NETWORKS:
        for batch in BATCHES.get(name, (128, 256, 1024)):
            cases = {
                "eager": partial(timed, finished(eager(name, mnist, batch, device))),
                "captured": partial(timed, finished(captured(name, mnist, batch))),
                "ours": ours(name, mnist, batch, device),
            }
            of = in_turns(cases, RUNS)
            times = " | ".join(f"{seconds:.3f} s" for seconds in of.values())
            ratios = f"{of['ours'] / of['captured']:.2f} | {of['ours'] / of['eager']:.2f}"
            print(f"| {name} | {batch} | {times} | {ratios} |", flush=True)


def config_of(name: str, mnist: datasets.ImageSet, batch: int, epochs: int = 1) -> Config:
    given = {**NETWORKS[name], "epochs": epochs, "batch_size": batch, "validation": 0.0}
    return Config.from_options(given).resolved(mnist.shape, PIXELS, len(mnist))


def ours(
    name: str, mnist: datasets.ImageSet, batch: int, device: torch.device
) -> Callable[[], float]:
    """The seconds of the next epoch, as aectl reports them."""
    run = ImageRun(config_of(name, mnist, batch, RUNS + 2), mnist, device)
    run.tell = print

    def epochs() -> Iterator[float]:
        for event in run.epochs():
            if isinstance(event, Epoch):
                yield event.row["seconds"]

    found = epochs()
    next(found)  # the one in which steps are recorded; then one to warm up, and those that count
    return partial(next, found)


def by_hand(name: str, mnist: datasets.ImageSet) -> tuple[nn.Module, Loss]:
    """The same network, and its loss."""
    if name in ("dense", "KL"):
        net = network(name == "KL")
        return net, lambda x, _: loss_of(net, x.flatten(1), name == "KL")
    if name == "top-k":
        wide = Plain(WIDE, K)
        return wide, lambda x, _: half_square(wide(x.flatten(1)), x.flatten(1))
    config = config_of(name, mnist, 128)
    classes = len(mnist.classes) if name == "classifier" else 0
    built: nn.Module = build_network(Architecture(config.model, mnist.shape, classes))
    if classes:
        return built, lambda x, labels: F.cross_entropy(built(x), labels)
    return built, lambda x, _: half_square(built(x), x)


def half_square(made: Tensor, x: Tensor) -> Tensor:
    return 0.5 * (made - x).square().sum() / len(x)


def on(device: torch.device, mnist: datasets.ImageSet) -> tuple[Tensor, Tensor]:
    """The images and labels."""
    images, labels = torch.from_numpy(mnist.images), torch.from_numpy(mnist.labels)
    return images.to(device) / 255, labels.to(device)


def eager(
    name: str, mnist: datasets.ImageSet, batch: int, device: torch.device
) -> Callable[[], object]:
    """Runs an epoch, one operation after the other."""
    net, loss = by_hand(name, mnist)
    images, labels = on(device, mnist)
    optimizer = torch.optim.Adam(net.to(device).train().parameters(), 0.001, fused=True)

    @products_in("tf32" if device.type == "cuda" else "fp32")
    def epoch() -> None:
        order = torch.randperm(len(images), device=device)
        for rows in torch.split(order, batch):
            optimizer.zero_grad()
            loss(images[rows], labels[rows]).backward()
            optimizer.step()

    return epoch


def captured(name: str, mnist: datasets.ImageSet, batch: int) -> Callable[[], object]:
    """Runs an epoch by replaying one captured step; the rows of a batch are copied to the memory
    that it reads."""
    net, loss = by_hand(name, mnist)
    images, labels = on(torch.device("cuda"), mnist)
    parameters = net.cuda().train().parameters()
    optimizer = torch.optim.Adam(parameters, 0.001, fused=True, capturable=True)
    rows = torch.zeros(batch, dtype=torch.int64, device="cuda")

    @products_in("tf32")
    def step() -> None:
        optimizer.zero_grad()
        loss(images[rows], labels[rows]).backward()
        optimizer.step()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def epoch() -> None:
        order = torch.randperm(len(images), device="cuda")
        for first in range(0, len(images) - batch + 1, batch):
            rows.copy_(order[first : first + batch])
            graph.replay()

    return epoch


def finished(epoch: Callable[[], object]) -> Callable[[], object]:
    """An epoch up to the end of its work on the GPU."""

    def whole() -> None:
        epoch()
        torch.cuda.synchronize()

    return whole
