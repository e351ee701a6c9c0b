"""The speed of training a code of many units, few of them active, beside a plain torch loop.

    python -m tests.benchmarks wide [--units N] [--batch N] [--k N] [--steps N] [--threads N]

784 inputs, random images, top-k with relu, half the squared error, fused Adam: inputs a second,
median of 3 rounds taken in turns, in each precision that the device has. The plain loop decodes a
dense code. On a GPU if there is one.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from aectl.config.configuration import Config
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.precision import in_bfloat16
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch
from aectl.training.means import Means
from aectl.training.memory import keeping_freed
from aectl.training.optimizers import build_optimizer
from aectl.training.products import products_in
from aectl.training.replayed import WARM_UP, Replayed, recorder_on
from aectl.training.steps import Eager

from .commands import CORES, in_turns

SHAPE, PIXELS, ROUNDS = (1, 28, 28), 784, 3


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def config_of(given: argparse.Namespace, precision: str) -> Config:
    options = {"sparsity": "topk", "k": given.k, "hidden": (given.units,)}
    options |= {"batch_size": given.batch, "precision": precision}
    return Config.from_options(options).resolved(SHAPE, PIXELS, 60_000)


def ours(given: argparse.Namespace, precision: str) -> Callable[[torch.Tensor], object]:
    config = config_of(given, precision)
    torch.manual_seed(0)
    network = build_network(Architecture(config.model, SHAPE)).train().to(device())
    remembered: dict[str, torch.Tensor] = {}
    whole, clip = objective(config, network, remembered=remembered), config.training.clip_grad
    eager = Eager(whole, build_optimizer(network, config.training), clip, precision)
    recorder, sums = recorder_on(device(), config, lambda: True, print), Means()
    take = eager if recorder is None else Replayed(eager, remembered, recorder, print)
    return lambda x: take(Batch(x, None), sums)


class Plain(nn.Module):
    """A top-k autoencoder as in the code of papers."""

    def __init__(self, units: int, k: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(PIXELS, units), nn.Linear(units, PIXELS)
        self.k = k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.encoder(x - self.decoder.bias).topk(self.k, 1, sorted=False)
        empty = x.new_zeros(len(x), self.encoder.out_features, dtype=found.values.dtype)
        made: torch.Tensor = self.decoder(empty.scatter(1, found.indices, F.relu(found.values)))
        return made


def plain(given: argparse.Namespace, precision: str) -> Callable[[torch.Tensor], object]:
    torch.manual_seed(0)
    network = Plain(given.units, given.k).to(device())
    optimizer = torch.optim.Adam(network.parameters(), 0.001, fused=True)

    def one(x: torch.Tensor) -> None:
        optimizer.zero_grad()
        flat = x.flatten(1)
        with in_bfloat16(x, precision == "bf16"):
            made = network(flat)
        (0.5 * (made.float() - flat).square().sum() / len(x)).backward()
        optimizer.step()

    return one


def timed(
    one: Callable[[torch.Tensor], object], batches: list[torch.Tensor], precision: str
) -> Callable[[], float]:
    """Seconds of a step."""

    def run() -> float:
        begun = time.perf_counter()
        with products_in(precision):
            for x in batches:
                one(x)
        if device().type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - begun) / len(batches)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = 4 if device().type == "cpu" else 2 * WARM_UP  # the first ones of which are recorded
    for name, usual in {"units": 32_768, "batch": 512, "k": 32, "steps": steps}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--threads", type=int, default=CORES)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    kind = torch.cuda.get_device_name() if device().type == "cuda" else f"{given.threads} threads"
    print(f"{given.units:,} units, {given.k} active, batch {given.batch:,}; {kind}\n")
    print("| precision | aectl, inputs/s | plain loop, inputs/s | aectl / plain |")
    print("|---|---|---|---|")
    batches = [torch.rand(given.batch, *SHAPE, device=device()) for _ in range(given.steps)]
    for precision in ("fp32", "bf16") if device().type == "cpu" else ("tf32", "bf16"):
        ways = {"ours": ours(given, precision), "plain": plain(given, precision)}
        with keeping_freed():
            taken = in_turns(
                {name: timed(one, batches, precision) for name, one in ways.items()}, ROUNDS
            )
        mine, other = (given.batch / taken[name] for name in ways)
        print(f"| {precision} | {mine:,.0f} | {other:,.0f} | {mine / other:.2f} |", flush=True)
