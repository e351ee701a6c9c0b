"""The plan of a training: the runs on one training set, and the folder of each."""

import contextlib
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aectl.config.configuration import Config
from aectl.config.declaration import flag
from aectl.config.sweep import combinations, run_name
from aectl.errors import ConfigError
from aectl.training import distributed
from aectl.training.reading import Reading
from aectl.verbs.planning import (
    architecture_of,
    config_again,
    prepare_again,
    prepare_several,
    start_of,
)

if TYPE_CHECKING:
    from aectl.training.initialisation import Start
    from aectl.training.state import TrainingState


@dataclass(frozen=True)
class PlannedRun:
    """A run that is yet to be made: its config, resolved for the data, the name of its folder in
    that of several runs, and the `values` that it alone has there; a run that is alone has none.
    `state`: that from which it goes on, if it is resumed."""

    config: Config
    name: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    state: "TrainingState | None" = None


@dataclass(frozen=True)
class Plan:
    """A training set, and the runs on it, in the order in which they begin; `several` if each has a
    folder of its own."""

    data: Any
    start: "Start | None"
    runs: list[PlannedRun]

    @property
    def config(self) -> Config:
        """That of the first run."""
        return self.runs[0].config

    @property
    def several(self) -> bool:
        """Whether each run has a folder of its own."""
        return self.runs[0].name != ""

    @property
    def pattern(self) -> str:
        """The pattern of the names of several runs, such as `k-*`; else empty."""
        return re.sub(r"-\d.*", "-*", self.runs[0].name)


def planned(
    given: Mapping[str, object],
    file: Mapping[str, object],
    reading: Reading,
    swept: Mapping[str, Sequence[float]],
    seeds: int,
) -> Plan:
    """The plan of the options: a run with each combination of the values that are `swept`, and of
    each as many seeds. Raises ConfigError, DataError or ModelFileError."""
    if seeds > 1 and "seed" in swept:
        raise ConfigError("give either --seeds or several values of --seed, not both")
    distributed.refuse_where({"--seeds": seeds > 1, **{flag(name): True for name in swept}})
    swept_values = combinations(swept)
    configs, data = prepare_several([{**given, **values} for values in swept_values], file, reading)
    runs = [
        PlannedRun(seeded(config, seed), run_name(own), own)
        for config, values in zip(configs, swept_values, strict=True)
        for seed in range(config.training.seed, config.training.seed + seeds)
        for own in [{**values, "seed": seed} if seeds > 1 else values]
    ]
    return Plan(data, start_of(configs[0]), runs)


def planned_again(
    states: "Sequence[TrainingState]", given: Mapping[str, object], reading: Reading
) -> Plan:
    """The rest of the plan of runs that are resumed. Raises as `prepare_again`."""
    first = states[0]
    later = any(state.session.following for state in states)
    distributed.refuse_where({"--resume of several runs": len(states) > 1 or later})
    following = {name: one for state in states for name, one in state.session.following.items()}
    with contextlib.chdir(first.session.cwd):
        config, data = prepare_again(given, first.session.options, reading, first.run)
        start = start_of(config) if following else None
    runs = []
    for state in states:
        described = architecture_of(state.run)
        own = config_again(given, state.session.options, described)
        runs.append(PlannedRun(own, state.session.name, state=state))
    for name, one in following.items():
        own = config_again(given, one["options"], described)
        runs.append(PlannedRun(own, name, one["values"]))
    return Plan(data, start, runs)


def seeded(config: Config, seed: int) -> Config:
    """The config with another seed."""
    return dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))
