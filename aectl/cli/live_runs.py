"""A live table of trainings side by side on a terminal, with a row for each."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aectl.cli.live_table import LiveView, bar, cells, fitting, measured
from aectl.cli.training_progress import Course, called

if TYPE_CHECKING:
    from rich.console import RenderableType

    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run


class LiveRuns(LiveView):
    """The last epoch of each run, and how far all are. It is there while any of them is shown, and
    goes when all are over, since they are compared then."""

    def __init__(self, runs: "Mapping[str, Run]", names: tuple[str, ...]) -> None:
        super().__init__()
        self._runs, self._names, self._left = runs, names, set(runs)
        self.courses = {name: Course(run) for name, run in runs.items()}

    def start(self) -> None:
        """Shows the table, if it is not there yet."""
        self._live.start()

    def stop(self, name: str) -> None:
        """Ends the table after the last of the runs."""
        self._left.discard(name)
        if not self._left:
            self._live.transient = all(run.over for run in self._runs.values())
            self._draw()
            self._live.stop()

    def _parts(self) -> "Iterator[RenderableType]":
        runs = list(self._runs.values())
        names = measured(self._names, [run.rows[-1] for run in runs if run.rows])
        head = ["", "epoch", *map(called, names), f"{runs[0].noun}/s", "s"]
        yield fitting(self._rich, head, [self._row(name, names) for name in self._runs])
        courses = list(self.courses.values())
        if self._left:
            behind = min(courses, key=lambda course: course.done)
            fraction = sum(course.fraction for course in courses) / len(courses)
            yield bar(behind.place, fraction, behind.time_left)

    def _row(self, name: str, names: list[str]) -> list[str]:
        run = self._runs[name]
        head = [name, f"{len(run.rows):,}"]
        return [*head, *(cells(run.rows[-1], names, run.noun) if run.rows else [])]


class LiveRun:
    """One of the runs of a table."""

    def __init__(self, table: LiveRuns, name: str) -> None:
        self._table, self._name = table, name

    def start(self) -> None:
        self._table.start()

    def stop(self) -> None:
        self._table.stop(self._name)

    def progress(self, at: "TrainingProgress") -> None:
        self._table.courses[self._name].progress(at)
        self._table.refresh()

    def epoch(self, row: Mapping[str, Any]) -> None:
        self._table.refresh()
