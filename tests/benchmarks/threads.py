"""The time of an epoch with each number of CPU threads, and the number that the trial chooses.

    python -m tests.benchmarks threads

784-392-784 on MNIST (AECTL_DATA_DIR names the folder of the datasets), seconds of training an
epoch, median of 3 taken in turns, and the number of threads that a trial in the first steps of a
training finds, without the rule that machines of few cores need none.
"""

from collections.abc import Callable
from functools import partial

import torch

from aectl.data.images import datasets
from aectl.training.thread_trial import ThreadTrial

from .commands import CORES, in_turns
from .train import DATA, our_run, ours

RUNS = 3
BATCHES = (128, 256, 1024)


def main() -> None:
    mnist = datasets.load("mnist", DATA, split="train")
    numbers = [CORES >> halvings for halvings in range(CORES.bit_length())]
    print(f"{CORES} cores, torch {torch.__version__}\n")
    print("| batch | loss |", " | ".join(f"{n} threads" for n in numbers), "| found |")
    print("|---|---|", "---|" * (len(numbers) + 1), sep="")
    for batch in BATCHES:
        for kl in (False, True):
            cases = {str(n): partial(with_threads, n, ours(mnist, batch, kl)) for n in numbers}
            taken = " | ".join(f"{seconds:.2f} s" for seconds in in_turns(cases, RUNS).values())
            chosen = found(mnist, batch, kl)
            print(f"| {batch} | {'KL' if kl else 'dense'} | {taken} | {chosen} |", flush=True)


def with_threads(threads: int, epoch: Callable[[], float]) -> float:
    """The seconds of the next epoch, with so many threads."""
    torch.set_num_threads(threads)
    return epoch()


def found(images: datasets.ImageSet, batch: int, kl: bool) -> int:
    """The number of threads that a trial chooses, with at most as many as there are cores."""
    torch.set_num_threads(CORES)
    run, numbers = our_run(images, batch, kl, 1), list[int]()
    run.trial = ThreadTrial(CORES, numbers.append)
    for _ in run.epochs():
        pass
    return numbers[0]
