"""A live table of a training on a terminal, with its progress and small reconstructions."""

import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from aectl.cli.training_progress import Course, called

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

    from aectl.data.images.pixels import Pixels
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run

REFRESH_SECONDS = 0.1
PREVIEW_SECONDS = 0.5
ROWS = 8
BARS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH, UNBOUNDED = 48, 10_000
PREVIEW_SIDE, MOST_PREVIEWED = 16, 8
PREVIEW_HEIGHT = 34
"""Lines that a terminal needs to show reconstructions below the table."""


class LiveView(ABC):
    """A view on a terminal that is drawn again and again."""

    def __init__(self) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._rich = RichConsole(file=sys.stderr, highlight=False)
        self._live = Live(console=self._rich, auto_refresh=False, redirect_stdout=False)
        self._refreshed = 0.0

    @abstractmethod
    def _parts(self) -> "Iterator[RenderableType]":
        """The parts that are drawn, from top to bottom."""

    def refresh(self) -> None:
        """Draws it, unless it has been drawn just now."""
        now = time.monotonic()
        if now - self._refreshed > REFRESH_SECONDS:
            self._refreshed = now
            self._draw()

    def _draw(self) -> None:
        from rich.console import Group

        self._live.update(Group(*self._parts()), refresh=True)


class LiveTable(LiveView):
    """The last epochs as a table, how far training is, a sparkline of the loss, and, where the
    terminal can show it, a few images above their reconstructions."""

    def __init__(self, run: "Run", names: tuple[str, ...]) -> None:
        super().__init__()
        self._run, self._names, self._previewed = run, names, 0.0
        self._course, self._shows_bar = Course(run), False
        self._previews = _previewed(run, self._rich)
        self._preview: RenderableType | None = None

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        """Leaves what is there to be read, without what was only of use meanwhile."""
        self._shows_bar = False
        self._draw()
        self._live.stop()

    def progress(self, progress: "TrainingProgress") -> None:
        self._shows_bar = True
        self._course.progress(progress)
        self.refresh()

    def epoch(self, row: Mapping[str, Any]) -> None:
        last = row["epoch"] == self._run.planned_epochs
        now = time.monotonic()
        if self._previews is not None and (last or now - self._previewed > PREVIEW_SECONDS):
            self._previewed = now
            made = self._run.reconstructions(self._previews)  # type: ignore[attr-defined]
            self._preview = _half_blocks(self._previews, made)
        self.refresh()

    def _parts(self) -> "Iterator[RenderableType]":
        rows = self._run.rows
        if rows:
            yield self._table(rows[-ROWS:])
            if len(rows) > 1 and _can_show_blocks(self._rich):
                yield _sparkline([row["loss"] for row in rows], self._rich.width - 6)
        if self._shows_bar:
            course = self._course
            yield bar(course.place, course.fraction, course.speed, course.time_left)
        if self._preview is not None:
            yield self._preview

    def _table(self, rows: "list[dict[str, float]]") -> "RenderableType":
        names, noun = measured(self._names, rows), self._run.noun
        head = ["epoch", *map(called, names), f"{noun}/s", "s"]
        lines = [[f"{row['epoch']:,}", *cells(row, names, noun)] for row in rows]
        return fitting(self._rich, head, lines)


def measured(names: Sequence[str], rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Those of the named metrics that any of the rows has."""
    found = set().union(*rows)
    return [name for name in names if name in found]


def cells(row: Mapping[str, float], names: list[str], noun: str) -> list[str]:
    """The cells of an epoch: the named metrics, the speed and the seconds."""
    metrics = [f"{row[name]:.4g}" if name in row else "" for name in names]
    return [*metrics, f"{row[f'{noun}_per_second']:,.0f}", f"{row['seconds']:.2g}"]


def fitting(rich: "RichConsole", head: list[str], rows: list[list[str]]) -> "RichTable":
    """A table with as many columns as the terminal has room for, the first ones first; names of
    rows have no head, and stand at the left."""
    from rich.table import Table

    for columns in range(len(head), 1, -1):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in head[:columns]:
            table.add_column(name, justify="right" if name else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row[:columns])
        unbounded = rich.options.update(max_width=UNBOUNDED)
        if rich.measure(table, options=unbounded).maximum <= rich.width:
            break
    return table


def bar(place: str, fraction: float, *others: str) -> "RichTable":
    """A line with how far training is."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    line = Table.grid(padding=(0, 2))
    line.add_row(place, ProgressBar(total=1.0, completed=fraction, width=24), *others)
    return line


def _sparkline(values: list[float], room: int) -> "Text":
    """A sparkline of positive values on a logarithmic scale, the last one at its right."""
    from rich.text import Text

    width = max(1, min(len(values), SPARK_WIDTH, room))
    ends = [round(len(values) * (place + 1) / width) for place in range(width)]
    heights = [math.log(max(values[end - 1], 1e-30)) for end in ends]
    low, high = min(heights), max(heights)
    steps = [round((height - low) / (high - low or 1) * (len(BARS) - 1)) for height in heights]
    return Text("loss ", "dim") + Text("".join(BARS[step] for step in steps), "cyan")


def _can_show_blocks(rich: "RichConsole") -> bool:
    return rich.encoding.lower().startswith("utf")


def _previewed(run: "Run", rich: "RichConsole") -> "Pixels | None":
    """The images of which a preview shows the reconstructions; None where the terminal cannot."""
    if (
        not _can_show_blocks(rich)
        or rich.color_system not in ("truecolor", "256")
        or rich.no_color
        or rich.height < PREVIEW_HEIGHT
    ):
        return None
    from aectl.modalities import modality_named

    modality = modality_named(run.architecture.modality)
    found = modality.preview(run, MOST_PREVIEWED)
    if found is None:
        return None
    room = rich.width // (min(PREVIEW_SIDE, found.shape[2]) + 1)
    return cast("Pixels", found if len(found) <= room else modality.preview(run, room))


def _half_blocks(originals: "Pixels", reconstructions: "Pixels") -> "Text":
    """A row of originals and a row of reconstructions, two pixels a character."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    from aectl.data.images.pixels import shrunk

    text = Text("\n")
    for images in (shrunk(originals, PREVIEW_SIDE), shrunk(reconstructions, PREVIEW_SIDE)):
        height = images.shape[2] // 2 * 2
        colours = images[:, [0, 0, 0] if images.shape[1] == 1 else [0, 1, 2], :height]
        for top in range(0, height, 2):
            for image in colours.transpose(0, 2, 3, 1).tolist():
                for upper, lower in zip(image[top], image[top + 1], strict=True):
                    style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
                    text.append("▀", style)
                text.append(" ")
            text.append("\n")
        text.append("\n")
    text.rstrip()
    return text
