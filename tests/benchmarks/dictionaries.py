"""Speed of training sparse codes of vectors on a CPU, beside the library dictionary_learning.

    python -m tests.benchmarks dictionaries FOLDER [--threads N]

FOLDER is where `pip install --no-deps --target FOLDER dictionary_learning einops` has put it. Top-k
and batch-topk with 16,384 units, of which 32 are active, for random vectors of 768 features; whole
steps of training, decoder columns of length 1 in both, in turns; medians of 7 rounds. aectl has its
defaults, which watch for dead units, as the other does. Both begin with the same weights.
"""

import argparse
import importlib
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.shapes import VectorShape
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch
from aectl.training import memory
from aectl.training.optimizers import build_optimizer, constrain
from aectl.training.steps import Eager

WIDTH, UNITS, ACTIVE = 768, 16_384, 32
BATCHES = (256, 4096)
ROUNDS = 7

Step = Callable[[int, Tensor], object]


def of_aectl(rule: str, size: int, decoder: Tensor) -> Step:
    options = {"modality": "vectors", "hidden": (UNITS,), "sparsity": rule, "k": ACTIVE}
    chosen = {"batch_size": size, "decoder_columns": "unit-norm"}
    config = Config.from_options(options | chosen).resolved(None, WIDTH, size * ROUNDS)
    network = build_network(Architecture(config.model, VectorShape(WIDTH))).train()
    with torch.no_grad():
        network.decoder.directions.copy_(decoder)
        network.encoder.to_code.weight.copy_(decoder.t())
        network.encoder.to_code.bias.zero_()
    trained, optimizer = objective(config, network), build_optimizer(network, config.training)
    constrain(network, config.training, optimizer)
    take = Eager(trained, optimizer)
    return lambda _, x: take.step(Batch(x, None))


def of_peer(rule: str, decoder: Tensor) -> Step:
    """A step of its trainer, imported without what it reads activations of language models with."""
    name, trainer = {
        "topk": ("top_k", "TopKTrainer"),
        "batch-topk": ("batch_top_k", "BatchTopKTrainer"),
    }[rule]
    module = importlib.import_module(f"dictionary_learning.trainers.{name}")
    made = getattr(module, trainer)(
        steps=10_000, activation_dim=WIDTH, dict_size=UNITS, k=ACTIVE, layer=0, lm_name="",
        device="cpu",
    )  # fmt: skip
    with torch.no_grad():
        made.ae.decoder.weight.copy_(decoder)
        made.ae.encoder.weight.copy_(decoder.t())
    return made.update  # type: ignore[no-any-return]


def stand_in(name: str, folder: Path) -> None:
    """A package whose modules are imported without its own first lines."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    sys.path.append(str(given.folder))
    stand_in("dictionary_learning", given.folder / "dictionary_learning")
    stand_in("dictionary_learning.trainers", given.folder / "dictionary_learning" / "trainers")
    print("| `--sparsity` | batch | aectl, vectors a second | dictionary_learning | ratio |")
    print("|---|---|---|---|---|")
    decoder = torch.nn.functional.normalize(torch.randn(WIDTH, UNITS), dim=0)
    with memory.keeping_freed():
        for rule in ("topk", "batch-topk"):
            for size in BATCHES:
                compare(rule, size, decoder)


def compare(rule: str, size: int, decoder: Tensor) -> None:
    ways = {"aectl": of_aectl(rule, size, decoder), "peer": of_peer(rule, decoder)}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS + 1):
        x = torch.randn(size, WIDTH)
        for way, run in ways.items():
            begun = time.perf_counter()
            run(number, x)
            taken[way].append(time.perf_counter() - begun)
    ours, theirs = (size / statistics.median(taken[way][1:]) for way in ways)
    ratio = statistics.median(b / a for a, b in zip(*taken.values(), strict=True))
    print(f"| `{rule}` | {size:,} | {ours:,.0f} | {theirs:,.0f} | {ratio:.2f} |", flush=True)
