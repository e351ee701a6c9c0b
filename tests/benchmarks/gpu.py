"""The time of an epoch of training on a GPU, beside hand-written loops.

    python -m tests.benchmarks gpu

784-392-784 on MNIST (AECTL_DATA_DIR names the folder of the datasets), all images on the GPU,
seconds of training an epoch, median of 5 taken in turns. The eager loop is torch's, with fused
Adam; the captured one replays a CUDA graph of the same step (whole batches alone).
"""

import sys
from collections.abc import Callable
from functools import partial

import torch

from aectl.data.images import datasets

from .commands import in_turns
from .train import DATA, RUNS, bare, loss_of, network, ours, timed

BATCHES = (128, 256, 1024)
WARM_UP = 3


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("there is no GPU on this machine: nothing was measured")
    torch.set_float32_matmul_precision("high")  # tf32 for the loops, as aectl has by default
    mnist = datasets.load("mnist", DATA, split="train")
    images = torch.from_numpy(mnist.images).flatten(1).cuda() / 255
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| batch | loss | eager loop | captured | aectl | aectl / captured |")
    print("|---|---|---|---|---|---|")
    for batch in BATCHES:
        for kl in (False, True):
            cases = {
                "eager": partial(timed, finished(bare(images, batch, kl, "cuda"))),
                "captured": partial(timed, finished(captured(images, batch, kl))),
                "ours": ours(mnist, batch, kl, "cuda"),
            }
            of = in_turns(cases, RUNS)
            times = " | ".join(f"{seconds:.3f} s" for seconds in of.values())
            ratio = of["ours"] / of["captured"]
            print(f"| {batch} | {'KL' if kl else 'dense'} | {times} | {ratio:.2f} |", flush=True)


def finished(epoch: Callable[[], object]) -> Callable[[], object]:
    """An epoch up to the end of its work on the GPU."""

    def whole() -> None:
        epoch()
        torch.cuda.synchronize()

    return whole


def captured(images: torch.Tensor, batch: int, kl: bool) -> Callable[[], object]:
    """Runs an epoch by replaying one captured step; each batch is copied to the memory that it
    reads."""
    net = network(kl).cuda()
    optimizer = torch.optim.Adam(net.parameters(), 0.001, fused=True, capturable=True)
    rows = torch.zeros(batch, dtype=torch.int64, device="cuda")

    def step() -> None:
        optimizer.zero_grad()
        loss_of(net, images[rows], kl).backward()
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
