"""Output to stderr: notices, progress, and the record of inputs that could not be read."""

import contextlib
import csv
import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.cli.time_left import TimeLeft, clock
from aectl.config.decoding import Remark
from aectl.config.spelling import cell, guarded, spelt, spelt_out
from aectl.errors import Alike, DataError
from aectl.files import refuse_existing, replacing
from aectl.progress import TICK_SECONDS, Counted, Made, Progress

if TYPE_CHECKING:
    from aectl.data.selection import Skipped

MOST_NAMED = 100
"""Inputs that could not be read and are named on stderr; all are in the --errors file."""

PLAIN_SECONDS = 10.0
RATE_SECONDS = 1.0
"""Seconds of work before its speed is shown."""


class _SpeltOut(logging.Formatter):
    """Escapes what names in a message may do to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, line by line."""
        return "\n".join(map(spelt_out, record.getMessage().split("\n")))


class Console(Progress):
    """Messages and progress on stderr."""

    def __init__(self, quiet: bool, plain: bool = False) -> None:
        self.quiet, self.plain = quiet, plain
        self._said = set[str]()
        log = logging.getLogger("aectl")
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_SpeltOut())
        log.handlers = [handler]
        log.setLevel(logging.WARNING if quiet else logging.INFO)

    def notice(self, message: str) -> None:
        """Prints progress or a hint, unless --quiet is given."""
        if not self.quiet:
            complain(message)

    def once(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        """Passes on messages that were not passed on before: of several models on the same inputs,
        each has the same ones."""

        def told(message: str) -> None:
            if message not in self._said:
                self._said.add(message)
                tell(message)

        return told

    def warning(self, message: str) -> None:
        """Prints, also with --quiet, that the result is probably wrong."""
        complain(f"warning: {message}")

    @property
    def interactive(self) -> bool:
        """Whether stderr is a terminal that supports live progress, and progress is wanted."""
        dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown")
        return not (self.quiet or self.plain or dumb) and sys.stderr.isatty()

    def counted(
        self, results: Iterable[Counted], what: str, noun: str = "images", total: int | None = None
    ) -> Iterator[Counted]:
        """Yields the results, and shows a live count on a terminal, elsewhere occasional lines."""
        left, count, started = TimeLeft(), 0, time.monotonic()
        said = f"{{:,}} of {total:,} {noun}" if total else f"{{:,}} {noun}"
        with self._shown(what) as show:
            for result in results:
                yield result
                count += len(result.paths)
                now = time.monotonic()
                seconds = left.after(count, total, now) if total else None
                rate = f", {count / (now - started):,.0f}/s" if now - started > RATE_SECONDS else ""
                show(said.format(count) + rate + (f", {clock(seconds)} left" if seconds else ""))

    @contextlib.contextmanager
    def _shown(self, what: str) -> Iterator[Callable[[str], None]]:
        """Gives a function that shows progress: live on a terminal, elsewhere as occasional
        lines.
        """
        if not self.interactive:
            last = time.monotonic()

            def tell(said: str) -> None:
                nonlocal last
                if time.monotonic() - last > PLAIN_SECONDS:
                    last = time.monotonic()
                    self.notice(f"{what}: {said}")

            yield tell
            return
        from rich.console import Console as RichConsole
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Bar(*columns, console=RichConsole(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None, said="")
            yield lambda said: bar.update(task, said=said)

    @contextlib.contextmanager
    def lasting(self, what: str) -> Iterator[None]:
        """Shows how long the work of the block takes, also while native code runs."""
        over = threading.Event()
        with self._shown(what) as show:
            telling = threading.Thread(target=self._tell_time, args=(show, over), daemon=True)
            telling.start()
            try:
                yield
            finally:
                over.set()
                telling.join()

    def _tell_time(self, show: Callable[[str], None], over: threading.Event) -> None:
        started = time.monotonic()
        while not over.wait(TICK_SECONDS):
            if not self.interactive:  # a terminal shows it itself
                show(f"{time.monotonic() - started:.0f} s")

    def awaited(self, work: Callable[[], Made], what: str) -> Made:
        """The result of `work`; shows the elapsed time meanwhile."""
        with self._shown(what) as self._show:
            return super().awaited(work, what)

    def _waiting(self, what: str, seconds: float) -> None:
        if not self.interactive:
            self._show(f"{seconds:.0f} s")


@dataclass
class Outcome:
    """Records the inputs that were left out; decides between exit status 0 and 1."""

    console: Console
    errors: Path | None = None
    overwrite: bool = False
    strict: bool = False
    bad: list[tuple[str, str]] = field(default_factory=list)
    remarks: dict[Remark, tuple[str, int]] = field(default_factory=dict)
    alike: Counter[str] = field(default_factory=Counter)
    named: int = 0

    def __post_init__(self) -> None:
        if self.errors is not None:
            refuse_existing(self.errors, self.overwrite)

    @cached_property
    def skipped(self) -> "Skipped":
        """Files and folders that searches of folders and archives skipped."""
        from aectl.data.selection import Skipped

        return Skipped()

    def tell_skipped(self) -> None:
        """Prints which files and folders were skipped since the last call."""
        for line in self.skipped.notices():
            self.console.notice(spelt_out(line))

    def on_bad(self, path: str, reason: str) -> None:
        """Records an input that could not be read, and names it on stderr.

        Raises DataError with --strict.
        """
        if self.strict:
            raise DataError(f"{spelt_out(path)}: {reason} (--strict stops here)")
        self.bad.append((path, reason))
        if isinstance(reason, Alike):
            self.alike[reason] += 1
            return
        self.named += 1
        if self.named <= MOST_NAMED:
            complain(f"aectl: left out {spelt_out(path)}: {reason}")
        elif self.named == MOST_NAMED + 1:
            where = (
                f"listed in {self.errors}" if self.errors else "counted; --errors FILE lists all"
            )
            complain(f"aectl: {MOST_NAMED} inputs were left out; further ones are {where}")

    def on_remark(self, path: str, remark: Remark) -> None:
        """Records a remark on an image that was read."""
        first, count = self.remarks.get(remark, (path, 0))
        self.remarks[remark] = first, count + 1

    def tell_remarks(self) -> None:
        """Prints each remark once, with the number of its images and the first of them."""
        for remark, (first, count) in sorted(self.remarks.items()):
            images = "1 image," if count == 1 else f"{count:,} images, such as"
            self.console.notice(f"aectl: {remark}: {images} {spelt_out(first)}")
        self.remarks.clear()

    def status(self, good: int, nothing: str | None = "there are no images in the input") -> int:
        """The exit status after `good` inputs; writes the --errors file. `nothing`: the message
        where there are none; None if there need not be any.

        Raises DataError if no input could be read.
        """
        if self.errors is not None:
            self._write_errors(self.errors)
        self._tell_alike()
        self.tell_remarks()
        if good == 0 and nothing is not None:
            if self.bad:
                nothing = f"none of the {len(self.bad)} inputs could be read"
            raise DataError("\n".join([nothing, *map(spelt_out, self.skipped.notices())]))
        self.tell_skipped()
        if self.bad:
            self.console.notice(f"{len(self.bad)} of {good + len(self.bad)} inputs were left out")
        return 1 if self.bad else 0

    def _tell_alike(self) -> None:
        """Prints how many inputs were left out like others, for the same reason."""
        for reason, count in self.alike.items():
            complain(f"aectl: left out {count:,} more: {spelt_out(reason)}")
        self.alike.clear()

    def _write_errors(self, path: Path) -> None:
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["path", "reason"])
            writer.writerows((spelt(guarded(path)), cell(spelt(why))) for path, why in self.bad)


def complain(message: str) -> None:
    """Writes lines to stderr; a closed stderr does not stop the run.

    Control characters, which the name of a file may contain, are escaped.
    """
    with contextlib.suppress(OSError):
        print(*map(spelt_out, message.split("\n")), sep="\n", file=sys.stderr, flush=True)
