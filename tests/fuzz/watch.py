"""What became of one file, and of all."""

import contextlib
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aectl.errors import AectlError

SECONDS, MEBIBYTES = 3.0, 500


@dataclass(frozen=True)
class Outcome:
    """`wrong` says what must not be; `seconds` and `memory` (MiB) are what the file cost."""

    read: bool
    wrong: str
    seconds: float
    memory: float


def peak() -> float:
    """The most memory that this process has had, in MiB, since `forget_peak`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def forget_peak() -> None:
    """Lets `peak` begin anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def waited() -> float:
    """Seconds that this thread has waited while other programs had the cores (Linux)."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def watched(use: Callable[[Path], object], path: Path, within: float = SECONDS) -> Outcome:
    """Reads a file as `use` does, `within` so many seconds."""
    forget_peak()
    before, begun, read, wrong = peak(), time.perf_counter() - waited(), False, ""
    try:
        use(path)
        read = True
    except AectlError as error:
        if len(str(error).splitlines()) != 1:
            wrong = f"the message is not one line: {error}"
    except BaseException as error:
        wrong = repr(error)[:300]
    seconds, memory = time.perf_counter() - waited() - begun, peak() - before
    if seconds > within:
        wrong = f"it took {seconds:.1f} s"
    if memory > MEBIBYTES:
        wrong = f"it took {memory:.0f} MiB"
    return Outcome(read, wrong, seconds, memory)


@dataclass
class Tally:
    """All files together."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: float = 0.0

    def add(self, number: int, outcome: Outcome) -> None:
        """Counts a file; tells at once of one with which something is wrong."""
        self.counts["read" if outcome.read else "refused"] += 1
        self.seconds = max(self.seconds, outcome.seconds)
        self.memory = max(self.memory, outcome.memory)
        if outcome.wrong:
            self.wrong.append(f"file {number}: {outcome.wrong}")
            print(self.wrong[-1], flush=True)

    def __str__(self) -> str:
        return (
            f"{self.counts['read']:,} read, {self.counts['refused']:,} refused,"
            f" {len(self.wrong)} wrong; at most {self.seconds:.2f} s and {self.memory:.0f} MiB more"
        )
