"""A training as a task: from the options to runs, and from runs to run folders."""

import dataclasses
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.config.configuration import Config
from aectl.config.recipes import read as read_recipe
from aectl.config.written_options import read_toml
from aectl.data.sources import STDIN
from aectl.errors import ConfigError
from aectl.models import model_file
from aectl.outputs import run_folder
from aectl.progress import SILENT, Progress, silent
from aectl.training.capacity import faster_where_roomy
from aectl.training.reading import Reading
from aectl.verbs import machine, resuming
from aectl.verbs.checkpoints import beginning
from aectl.verbs.plan import Plan, PlannedRun, planned, planned_again
from aectl.verbs.planning import new_run
from aectl.verbs.turns import RunInTurns, filled, train

if TYPE_CHECKING:
    from aectl.training.run import Run
    from aectl.training.state import TrainingCommand, TrainingState
    from aectl.verbs.training_run import Turn, Watcher

MUCH_BUSY = 0.5
"""Cores that other programs keep busy before a notice says so."""


@dataclass(frozen=True)
class Task:
    """The training that a user asks for; the fields have the names of the options of `aectl train`.

    `options` are those of the config, and `file` those of a TOML file; there is a run with each
    combination of the values of those that are `swept`. `notice` and `warning` take
    messages, and `progress` shows that of work before and after training. Without `data_dir`, a
    training that is resumed has that of before.
    """

    options: Mapping[str, object]
    file: Mapping[str, object] = field(default_factory=dict)
    recipe: str | None = None
    out: Path | None = None
    overwrite: bool = False
    resume: Path | None = None
    seeds: int = 1
    tensorboard: bool = False
    data_dir: Path | None = None
    device: str = "auto"
    threads: int | None = None
    notice: Callable[[str], None] = silent
    warning: Callable[[str], None] = silent
    progress: Progress = SILENT
    swept: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Training:
    """A training whose data are read; `results` trains.

    `data` is the training set, which `words` name, and `folder` the run folder, or that of the
    folders of several runs, once it is made; `pattern` matches the names of these, and is empty for
    a run that is alone.
    """

    folder: Path

    def __init__(self, task: Task, reading: Reading) -> None:
        """Reads the training data; raises as `prepare`, and `resuming.load` do."""
        self._task, self._others = task, machine.OtherPrograms()
        self._resumed: TrainingState | None = None
        with beginning(task.resume):
            self._read(task, reading)

    def _read(self, task: Task, reading: Reading) -> None:
        """Reads the state of a run that is resumed, and the training data."""
        data_dir = machine.data_dir(task.data_dir)
        if task.resume:
            given = task.file, task.recipe, task.out, task.overwrite, task.swept, task.seeds > 1
            self._resumed = resuming.load(task.resume, task.options, any(given))
            if task.data_dir is None:
                data_dir = Path(self._resumed.session.data_dir)
        file = read_recipe(task.recipe) if task.recipe else task.file
        self._asked = {**({"recipe": task.recipe} if task.recipe else file), **task.options}
        run_folder.refuse_filled(task.out, task.overwrite)
        self.data_dir = data_dir.absolute() if task.resume else data_dir
        reading = dataclasses.replace(reading, data_dir=self.data_dir, device=task.device)
        if self._resumed:
            self._plan = planned_again(self._resumed, task.options, reading)
        else:
            self._plan = planned(task.options, file, reading, task.swept, task.seeds)
        self.data, self.pattern = self._plan.data, self._plan.pattern
        self.words = self._plan.config.data.dataset
        task.progress.awaited(lambda: self.data.checksum, "computing the checksum of the data")

    def results(
        self, watch: "Callable[[Mapping[str, Run]], AbstractContextManager[Mapping[str, Watcher]]]"
    ) -> "Iterator[tuple[Run, Path]]":
        """Trains all runs, and gives each with the path of its model.

        `watch` makes whoever watches runs that are trained side by side, by their names. Raises
        DataError if the data are not those of the training that is resumed, OutputError, and
        DivergedError, after the other runs.
        """
        task = self._task
        with beginning(task.resume):
            from aectl.verbs.training_run import removed_if_empty

            run, session = self._begun()
            self.folder = self._folder()
        parent = [] if task.out or task.resume else [self.folder.parent]
        with (
            faster_where_roomy(run.sketch, run.device),
            run_folder.locked(self.folder),
            removed_if_empty(self.folder, *parent),
        ):
            failed: list[RunInTurns] = []
            for members in self._side_by_side(run, session):
                with watch({one.name: one.run for one in members}) as watchers:
                    for one in members:
                        one.begin(watchers[one.name])
                    train(members, next(iter(watchers.values())))
                failed += [one for one in members if one.failure]
                for one in filled(members):
                    yield one.run, one.folder / model_file.FILE_NAME
            refuse_failed(failed)

    def _side_by_side(self, first: "Run", session: "TrainingCommand") -> Iterator[list[RunInTurns]]:
        """The runs that are trained at a time: all, if they share what they read, else one."""
        made = (self._member(place, run, session) for place, run in enumerate(self._runs(first)))
        if first.turn is None:
            yield from ([one] for one in made)
        else:
            with beginning(self._task.resume):
                together = list(made)
            yield together

    def _runs(self, first: "Run") -> "Iterator[Run]":
        """The first run, and the others, each with the threads of torch that it has alone."""
        import torch

        yield first
        for one in self._plan.runs[1:]:
            torch.set_num_threads(self._most_threads)
            run = new_run(one.config, self._plan.data, first.device, self._plan.start)
            self._use_threads(run)
            yield run

    def _member(self, place: int, run: "Run", session: "TrainingCommand") -> RunInTurns:
        """A run of the plan, to be trained side by side with others."""
        from aectl.verbs.training_run import trained_in_turns

        task, runs = self._task, self._plan.runs[place:]
        folder = self.folder / runs[0].name
        own = of_run(session if place == 0 else dataclasses.replace(session, continued=[]), runs)
        goes_on = task.resume is not None and place == 0

        def begun(watcher: "Watcher") -> "Generator[Turn]":
            how = task.tensorboard, goes_on, task.progress
            return trained_in_turns(run, folder, own, watcher, *how)

        return RunInTurns(runs[0].name, run, folder, begun)

    def _use_threads(self, run: "Run") -> None:
        """Sets the threads of torch to one, if none were asked for and the run is small."""
        import torch

        if self._threads is None and run.small:
            torch.set_num_threads(1)

    def _begun(self) -> "tuple[Run, TrainingCommand]":
        """The first run, restored if it is resumed, and the record of the command."""
        import torch

        task, plan, resumed = self._task, self._plan, self._resumed
        self._threads = threads = task.threads
        if resumed:
            resuming.compare(resumed.session, plan.data, task.warning)
            self._threads = threads = threads or resumed.session.threads
        device = resumed.session.device if resumed and task.device == "auto" else task.device
        on = machine.torch_device(device, threads)
        self._most_threads = torch.get_num_threads()
        torch.set_flush_denormal(True)  # else the optimiser crawls over units that died
        with task.progress.lasting("initialising the weights"):
            run = new_run(plan.config, plan.data, on, plan.start, resumed.run if resumed else None)
        self._use_threads(run)
        if threads is None and on.type == "cpu":
            self._tell_of_other_programs(torch.get_num_threads())
        continued: list[str] = []
        if resumed:
            continued = resuming.restore(run, resumed, task.options, task.notice)
        session = session_of(plan, resumed, self._asked, continued, on.type, self.data_dir)
        self._resumed = None  # with what memory it takes
        return run, session

    def _folder(self) -> Path:
        """The folder of before, or a new one."""
        task, plan = self._task, self._plan
        if task.resume:
            return _parent(task.resume, plan.runs[0].name) if plan.several else task.resume
        return make_run_folder(task.out, plan.config, task.overwrite)

    def _tell_of_other_programs(self, threads: int) -> None:
        """Threads wait for each other at every product, so for any that has no core to run on."""
        busy = self._others.busy_cores()
        if threads > 1 and threads + busy > machine.cores() + MUCH_BUSY:
            self._task.notice(
                f"other programs keep {busy:.1f} of {machine.cores()} cores busy: training on"
                " several threads may crawl; --threads 1 does not"
            )


def _parent(folder: Path, name: str) -> Path:
    """The folder in which a run's lies, also where that is but called `.`"""
    return folder.parent if folder.name == name else folder.resolve().parent


def from_file(recipe: str | None, config: Path | None) -> dict[str, object]:
    """The options of a TOML file, if one is given. Raises ConfigError for a recipe beside it."""
    if recipe is not None and config is not None:
        raise ConfigError("give either --recipe or --config, not both")
    return read_toml(config) if config is not None else {}


def session_of(
    plan: Plan,
    resumed: "TrainingState | None",
    asked: dict[str, object],
    continued: list[str],
    device: str,
    data_dir: Path,
) -> "TrainingCommand":
    """The record in a checkpoint of this command, or of the one that is `resumed`; options are set
    for each run.
    """
    import torch

    from aectl.training.run import versions
    from aectl.training.state import TrainingCommand

    return TrainingCommand(
        options={},
        asked=resumed.session.asked if resumed else asked,
        continued=continued,
        cwd=resumed.session.cwd if resumed else os.getcwd(),
        data_dir=str(data_dir.absolute()),
        data_sha256=plan.data.checksum,
        device=device,
        threads=torch.get_num_threads(),
        versions=versions(),
        name="",
        following={},
    )


def make_run_folder(out: Path | None, config: Config, overwrite: bool) -> Path:
    """Makes the run folder `out`, or a new one that is named after the data and the model.

    Raises OutputError.
    """
    from aectl.outputs import run_folder

    first, *others = config.data.dataset
    data = "stdin" if first == STDIN else Path(first.replace(":", "-")).resolve().name
    more = f"+{len(others)}" if others else ""
    return run_folder.make(out, f"{data}{more}-{config.model.model}", overwrite)


def refuse_failed(members: "Sequence[RunInTurns]") -> None:
    """Raises the DivergedError of the first of the runs that failed, if any did."""
    if not members:
        return
    failure = members[0].failure
    assert failure is not None
    if members[0].name:
        ended = ", ".join(str(one.folder) for one in members)
        failure.add_note(f"this ended the training of {ended}; the other runs are complete")
    raise failure


def of_run(session: "TrainingCommand", runs: "Sequence[PlannedRun]") -> "TrainingCommand":
    """The record of the command in a checkpoint of the first of some runs; the others follow it."""
    first, *others = runs
    following = {
        one.name: {"options": one.config.values(), "values": dict(one.values)} for one in others
    }
    import torch

    return dataclasses.replace(
        session,
        options=first.config.values(),
        asked={**session.asked, **first.values},
        threads=torch.get_num_threads(),
        name=first.name,
        following=following,
    )
