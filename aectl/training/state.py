"""The state of a training: all that is needed to continue it, as one typed value."""

import os
import re
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import Tensor

Tensors: TypeAlias = dict[str, Tensor]
OptimizerState: TypeAlias = dict[int, dict[str, Tensor | float | list[Tensor | None] | None]]
"""The state of an optimiser for each parameter, by the number of the parameter."""

DEVICES, MOST_THREADS = ("cpu", "cuda", "mps"), 1024

NAME = r"[a-z][\w.+-]*"
"""The names of the folders of several runs, such as `k-16-seed-1`."""

LARGEST = 2**63 - 1
"""Of whole numbers."""

Json: TypeAlias = dict[str, Any]
"""An object of JSON that whoever takes it checks itself."""


@dataclass(frozen=True)
class LoopState:
    """The place in training: completed epochs, and completed steps of the current epoch.

    `sums` are of the losses of `inputs` inputs in this epoch, `seconds` the time that its steps
    took, `lr` the learning rate of its first.
    """

    epochs: int
    step: int
    seconds: float
    lr: float
    sums: Tensors
    inputs: int


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    `weights` are those of the whole network; while stage `stage` (from 1) is trained alone,
    `stage_weights` are those of its network. `kept` are the best weights so far, where the best
    are kept, and `best` is their loss. `fresh` is whether no other model's weights came first.
    `order` is the random state that gives the current epoch its order; `random` and
    `device_random` are those of torch on the CPU and on another device.
    """

    architecture: Json
    vocabulary: Json | None
    fresh: bool
    rows: list[dict[str, float]]
    seconds: float
    weights: Tensors
    best: float
    kept: Tensors
    stage: int
    stage_weights: Tensors
    optimizer: list[OptimizerState]
    remembered: Tensors
    loop: LoopState
    order: Tensor
    random: Tensor
    device_random: Tensor | None


@dataclass(frozen=True)
class TrainingCommand:
    """The command that a run belongs to.

    `options` are those of the config, all resolved, and `asked` those that were given; paths hold
    from the folder `cwd`. `name` is that of the folder of this run, if several runs have folders of
    their own, and empty otherwise; `following` has the runs that begin after it, by their names,
    each with its resolved options and the values that it alone was asked for. `continued` says, for
    each time that training went on with other options, after how many epochs and with which.
    """

    options: Json
    asked: Json
    continued: list[str]
    cwd: str
    data_dir: str
    data_sha256: str
    device: str
    threads: int
    versions: dict[str, str]
    name: str
    following: dict[str, dict[str, Json]]

    def __post_init__(self) -> None:
        if not all(re.fullmatch(NAME, name) for name in [self.name or "a", *self.following]):
            raise ValueError("its session has a run whose name is that of no folder")
        if any(run.keys() != {"options", "values"} for run in self.following.values()):
            raise ValueError("its session has a run without options")
        if not 1 <= self.threads <= MOST_THREADS or self.device not in DEVICES:
            raise ValueError("its session has no threads or no device")
        words = [value for value in self.options.values() if isinstance(value, str)]
        if b"\0" in os.fsencode("".join([self.cwd, self.data_dir, *words])):
            raise ValueError("its session has paths with a zero byte")


@dataclass(frozen=True)
class TrainingState:
    """The whole content of a checkpoint."""

    session: TrainingCommand
    run: RunState


def flat(state: TrainingState) -> Json:
    """The state as mappings, lists and values, without a copy of a tensor."""
    return {"session": asdict(state.session), "run": _shallow(state.run)}


def built(content: object) -> TrainingState:
    """The inverse of `flat`. Raises ValueError where a field is missing, unknown or of another
    type.
    """
    return _checked(content, TrainingState, "content")


Record = TypeVar("Record")


def _shallow(record: Any) -> Json:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {k: _shallow(v) if is_dataclass(v) else v for k, v in values.items()}


def _checked(value: Any, kind: type[Record], name: str) -> Record:
    """The fields of a dataclass of this kind, which `value` names, as one."""
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is not an object")
    hints = get_type_hints(kind)
    for missing in hints.keys() ^ value.keys():
        raise ValueError(f"its {name} has no {missing}" if missing in hints else
                         f"its {name} has an unknown {missing!r}")  # fmt: skip
    found = {}
    for field, hint in hints.items():
        if is_dataclass(hint):
            found[field] = _checked(value[field], hint, field)  # type: ignore[arg-type]
        elif _is(value[field], hint):
            found[field] = value[field]
        else:
            raise ValueError(f"its {name} has a wrong {field}")
    return kind(**found)


def _is(value: object, hint: Any) -> bool:
    """Whether a value is of a type; a whole number is a number, too."""
    kind, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind in (Union, types.UnionType):
        return any(_is(value, one) for one in inner)
    if kind is dict:
        return isinstance(value, Mapping) and all(
            _is(key, inner[0]) and _is(one, inner[1]) for key, one in value.items()
        )
    if kind is list:
        return isinstance(value, list) and all(_is(one, inner[0]) for one in value)
    if hint is Tensor:
        return isinstance(value, Tensor)
    if type(value) is int and abs(value) > LARGEST:
        return False
    return type(value) in (int, float) if hint is float else type(value) is hint
