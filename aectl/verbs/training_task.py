"""A training as a task: from the options to runs, and from runs to run folders."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
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
from aectl.training import distributed
from aectl.training.capacity import faster_where_roomy
from aectl.training.reading import Reading
from aectl.verbs import machine, resuming
from aectl.verbs.checkpoints import beginning
from aectl.verbs.plan import PlannedRun, planned, planned_again
from aectl.verbs.planning import new_run
from aectl.verbs.turns import RunInTurns, filled, train

if TYPE_CHECKING:
    import torch

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
    a run that is alone. `runs` is the number of runs.
    """

    folder: Path

    def __init__(self, task: Task, reading: Reading) -> None:
        """Reads the training data; raises as `prepare`, and `resuming.load` do."""
        self._task, self._others, self._busy = task, machine.OtherPrograms(), 0.0
        self._before: TrainingCommand | None = None
        with beginning(task.resume):
            self._read(task, reading)

    def _read(self, task: Task, reading: Reading) -> None:
        """Reads the states of runs that are resumed, and the training data."""
        states: list[TrainingState] = []
        data_dir = machine.data_dir(task.data_dir)
        if task.resume:
            given = task.file, task.recipe, task.out, task.overwrite, task.swept, task.seeds > 1
            states = resuming.load_all(task.resume, task.options, any(given))
            self._before = states[0].session
            if task.data_dir is None:
                data_dir = Path(states[0].session.data_dir)
        file = read_recipe(task.recipe) if task.recipe else task.file
        self._asked = {**({"recipe": task.recipe} if task.recipe else file), **task.options}
        run_folder.refuse_filled(task.out, task.overwrite)
        self.data_dir = data_dir.absolute() if task.resume else data_dir
        reading = dataclasses.replace(reading, data_dir=self.data_dir, device=task.device)
        if states:
            self._plan = planned_again(states, task.options, reading)
        else:
            self._plan = planned(task.options, file, reading, task.swept, task.seeds)
        self.data, self.pattern = self._plan.data, self._plan.pattern
        self.runs = len(self._plan.runs)
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

            device = distributed.joined(self._device())
            distributed.refuse_unlike([self.data.checksum, self._plan.config.values()])
            made = self._made(0, device)
            self.folder = Path(distributed.told(lambda: str(self._folder())))
            first = self._in_turns(0, *made)
        parent = [] if task.out or task.resume else [self.folder.parent]
        writing = distributed.is_first()
        with (
            faster_where_roomy(first.run.sketch, device),
            run_folder.locked(self.folder) if writing else nullcontext(),
            removed_if_empty(self.folder, *parent) if writing else nullcontext(),
        ):
            failed: list[RunInTurns] = []
            for members in self._side_by_side(first):
                with watch({one.name: one.run for one in members}) as watchers:
                    together = {of: distributed.watched(one) for of, one in watchers.items()}
                    for one in members:
                        one.begin(together[one.name])
                    train(members, next(iter(together.values())))
                failed += [one for one in members if one.failure]
                for one in filled(members):
                    yield one.run, one.folder / model_file.FILE_NAME
            refuse_failed(failed)

    def _side_by_side(self, first: RunInTurns) -> Iterator[list[RunInTurns]]:
        """The runs that are trained at a time: all, if they share what they read, else one."""
        device, places = first.run.device, range(1, len(self._plan.runs))
        others = (self._in_turns(place, *self._made(place, device)) for place in places)
        if first.run.turn is None:
            yield from ([one] for one in itertools.chain([first], others))
        else:
            with beginning(self._task.resume):
                together = [first, *others]
            yield together

    def _device(self) -> "torch.device":
        """The device, and the settings of torch for all runs."""
        import torch

        task, before = self._task, self._before
        self._threads = task.threads or (before.threads if before else None)
        on = before.device if before and task.device == "auto" else task.device
        device = machine.torch_device(on, self._threads)
        self._most_threads = torch.get_num_threads()
        torch.set_flush_denormal(True)  # else the optimiser crawls over units that died
        return device

    def _made(self, place: int, device: "torch.device") -> "tuple[Run, TrainingCommand]":
        """The run at a place of the plan, restored if it is resumed, with the threads of torch that
        it has alone, and the record of the command."""
        import torch

        from aectl.training.products import remark

        task, plan, runs = self._task, self._plan, self._plan.runs[place:]
        first, state = runs[0], runs[0].state
        before = state.session if state else self._before
        threads = task.threads or (before.threads if before else None)
        torch.set_num_threads(threads or self._most_threads)
        if state:
            resuming.compare(state.session, plan.data, silent if place else task.warning)
        with task.progress.lasting("initialising the weights"):
            of_run = state.run if state else None
            run = new_run(first.config, plan.data, device, plan.start, of_run)
        distributed.refuse_where({"a data set that is read from disk": run.turn is not None})
        if threads is None and run.small:
            torch.set_num_threads(1)
        if threads is None and device.type == "cpu":
            self._choose_threads(run, torch.get_num_threads(), place == 0)
        if place == 0:
            run.tell = cache(task.notice)  # what several stages have to tell, once
        asked, precision = first.config.training.precision, run.config.training.precision
        if place == 0 and (said := remark(precision or "", device, asked is not None)):
            task.notice(said)
        continued: list[str] = []
        if state:
            notice = partial(_notice_of, task.notice, first.name)
            continued = resuming.restore(run, state, task.options, notice)
        return run, session_of(runs, before, self._asked, continued, run, self.data_dir)

    def _in_turns(self, place: int, run: "Run", session: "TrainingCommand") -> RunInTurns:
        """A run to be trained in its folder, between others."""
        from aectl.verbs.training_run import followed_in_turns, trained_in_turns

        task, runs = self._task, self._plan.runs
        folder, goes_on = self.folder / runs[place].name, runs[place].state is not None
        runs[place] = dataclasses.replace(runs[place], state=None)  # with what memory it takes

        def begun(watcher: "Watcher") -> "Generator[Turn]":
            if not distributed.is_first():
                return followed_in_turns(run)
            how = task.tensorboard, goes_on, task.progress
            return trained_in_turns(run, folder, session, watcher, *how)

        return RunInTurns(session.name, run, folder, begun)

    def _folder(self) -> Path:
        """The folder of before, or a new one."""
        from aectl.training import checkpoint

        resume, plan = self._task.resume, self._plan
        if resume is None:
            return make_run_folder(self._task.out, plan.config, self._task.overwrite)
        of_one = plan.several and checkpoint.is_kept(resume)
        return _parent(resume, plan.runs[0].name) if of_one else resume

    def _choose_threads(self, run: "Run", most: int, first: bool) -> None:
        """Makes a run try several numbers of threads, if as many as there are cores may not be the
        fastest.

        Threads wait for each other at every product, and so for one that has no core to run on.
        """
        from aectl.training.thread_trial import MANY, ThreadTrial

        if first:
            self._busy = self._others.busy_cores()
        crowded = most > 1 and most + self._busy > machine.cores() + MUCH_BUSY
        if most > MANY or crowded:
            beside = f", beside other programs on {self._busy:.1f} cores" if crowded else ""
            run.trial = ThreadTrial(most, partial(self._tell_of_threads, first, most, beside))

    def _tell_of_threads(self, first: bool, most: int, beside: str, chosen: int) -> None:
        if first:
            self._task.notice(
                f"CPU threads: {chosen} of {most}, fastest in the first steps{beside}; --threads"
                " sets another number"
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
    runs: "Sequence[PlannedRun]",
    before: "TrainingCommand | None",
    asked: dict[str, object],
    continued: list[str],
    run: "Run",
    data_dir: Path,
) -> "TrainingCommand":
    """The record of this command, or of the one `before` that is resumed, in a checkpoint of the
    first of some planned runs; the others follow it."""
    import torch

    from aectl.training.state import TrainingCommand
    from aectl.training.versions import versions

    first, *others = runs
    return TrainingCommand(
        options=run.config.values(),
        asked={**(before.asked if before else asked), **first.values},
        continued=continued,
        cwd=before.cwd if before else os.getcwd(),
        data_dir=str(data_dir.absolute()),
        data_sha256=run.data.checksum,
        device=run.device.type,
        threads=torch.get_num_threads(),
        versions=versions(),
        name=first.name,
        following={
            one.name: {"options": one.config.values(), "values": dict(one.values)} for one in others
        },
    )


def _notice_of(notice: Callable[[str], None], name: str, said: str) -> None:
    """A notice about one of several runs, or about one that is alone."""
    notice(f"{name}: {said}" if name else said)


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
