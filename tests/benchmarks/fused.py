"""How much time the hand-written gradient saves in a training step, beside autograd's.

    python -m tests.benchmarks fused [--threads N]

784-392-784, random images of the size of MNIST's, batches of 256, whole steps with Adam; medians of
40 rounds of 20 steps, taken in turns. Processor time counts less what else the machine does.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from aectl.config.configuration import Config
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch
from aectl.training.optimizers import build_optimizer
from aectl.training.steps import Eager

SHAPE, PIXELS, BATCH = (1, 28, 28), 784, 256
ROUNDS, STEPS = 40, 20


def steps(options: dict[str, object], batches: list[Batch]) -> Callable[[], object]:
    config = Config.from_options(options).resolved(SHAPE, PIXELS, BATCH * STEPS)
    torch.manual_seed(0)
    network = build_network(Architecture(config.model, SHAPE)).train()
    trained = objective(config, network)
    optimizer = build_optimizer(network, config.training)
    take = Eager(trained, optimizer)
    return lambda: [take.step(batch) for batch in batches]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    torch.set_flush_denormal(True)
    batches = [Batch(torch.rand(BATCH, *SHAPE), None) for _ in range(STEPS)]
    print("| loss | hand-written | autograd | saved, processor time | saved, wall clock |")
    print("|---|---|---|---|---|")
    for name, rule in (("squared error", "none"), ("with the KL penalty", "kl")):
        ways = {
            "hand": steps({"sparsity": rule}, batches),
            # what is to be compiled leaves the gradient to autograd; here it is not compiled
            "auto": steps({"sparsity": rule, "compile": True}, batches),
        }
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(ROUNDS + 1):
            for way, run in ways.items():
                processor, wall = time.process_time(), time.perf_counter()
                run()
                taken[way].append((time.process_time() - processor, time.perf_counter() - wall))
        pairs = list(zip(taken["hand"], taken["auto"], strict=True))[1:]
        saved = [1 - statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1)]
        hand, auto = (
            statistics.median(one[0] for one in taken[way][1:]) / STEPS * 1000 for way in ways
        )
        print(f"| {name} | {hand:.2f} ms | {auto:.2f} ms | {saved[0]:.0%} | {saved[1]:.0%} |")
