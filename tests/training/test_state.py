"""The state of a training: to mappings and back, and fields that are refused by name."""

import copy
import dataclasses
from dataclasses import fields

import pytest
import torch

from aectl.training import state
from aectl.training.state import LoopState, RunState, TrainingCommand, TrainingState

SESSION = TrainingCommand(
    options={"dataset": "digits"}, asked={"epochs": 2, "hidden": [3]}, continued=["caf\u00e9"],
    cwd="/tmp/\udcff", data_dir="/data", data_sha256="0" * 64, device="cpu", threads=1,
    versions={"torch": "2"}, name="k-2",
    following={"k-4": {"options": {"k": 4}, "values": {"k": 4}}},
)  # fmt: skip
RUN = RunState(
    architecture={"model": "autoencoder"}, vocabulary=None, fresh=True,
    rows=[{"epoch": 1, "loss": 0.5}], seconds=1.5, weights={"w": torch.tensor([[1.0, 2.0]])},
    best=float("inf"), kept={}, stage=1, stage_weights={"v": torch.tensor([3], dtype=torch.half)},
    optimizer=[{0: {"step": torch.tensor(2.0), "t": 4, "old": [torch.ones(1), None], "d": None}}],
    remembered={"steps": torch.tensor(3.0)},
    loop=LoopState(1, 2, 0.25, 0.003, {"loss": torch.tensor(7.0)}, 30),
    order=torch.arange(3, dtype=torch.uint8), random=torch.zeros(2, dtype=torch.uint8),
    device_random=None,
)  # fmt: skip
STATE = TrainingState(SESSION, RUN)

FIELDS = [
    (kind, field.name) for kind in (TrainingCommand, RunState, LoopState) for field in fields(kind)
]


def record_of(content, kind):
    """The mapping of the fields of a dataclass in the content of a state."""
    run = content["run"]
    return {TrainingCommand: content["session"], RunState: run, LoopState: run["loop"]}[kind]


def test_a_state_comes_back_from_mappings_with_the_tensors_themselves():
    content = state.flat(STATE)
    back = state.built(content)
    assert back == STATE
    assert back.run.weights["w"] is RUN.weights["w"]
    assert set(content) == {"session", "run"}
    assert content["run"]["loop"]["step"] == 2


def test_a_number_may_be_a_whole_one_where_a_fraction_is_wanted_and_not_the_reverse():
    content = state.flat(STATE)
    content["run"]["seconds"] = 2
    assert state.built(content).run.seconds == 2
    content["run"]["stage"] = 2.0
    with pytest.raises(ValueError, match="its run has a wrong stage"):
        state.built(content)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (RunState, "fresh", 1),
        (RunState, "stage", True),
        (RunState, "stage", 2**63),
        (RunState, "rows", [{"loss": "0.5"}]),
        (RunState, "rows", {"loss": 0.5}),
        (RunState, "weights", {"w": [1.0]}),
        (RunState, "weights", {1: torch.ones(1)}),
        (RunState, "optimizer", [{"0": {}}]),
        (RunState, "optimizer", [{0: {"step": "2"}}]),
        (RunState, "optimizer", [{0: {"old": [1.0]}}]),
        (RunState, "device_random", [1]),
        (RunState, "loop", None),
        (LoopState, "inputs", 1.5),
        (LoopState, "sums", {"loss": 7.0}),
        (TrainingCommand, "name", None),
        (TrainingCommand, "following", {"k-4": {"options": 4, "values": {}}}),
        (TrainingCommand, "versions", {"torch": 2}),
        (TrainingCommand, "continued", "after 1 epoch"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(kind, name, value):
    content = copy.deepcopy(state.flat(STATE))
    record_of(content, kind)[name] = value
    with pytest.raises(ValueError, match=rf"its \w+ (has a wrong {name}|is not an object)"):
        state.built(content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "../k-2"}, "whose name is that of no folder"),
        ({"following": {"..": {"options": {}, "values": {}}}}, "whose name is that of no folder"),
        ({"following": {"k-4": {"options": {}}}}, "a run without options"),
        ({"threads": 0}, "no threads or no device"),
        ({"threads": 1025}, "no threads or no device"),
        ({"device": "tpu"}, "no threads or no device"),
        ({"cwd": "/a\0b"}, "paths with a zero byte"),
        ({"options": {"dataset": "a\0b"}}, "paths with a zero byte"),
    ],
)
def test_a_command_that_no_machine_could_run_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(SESSION, **change)


def test_the_bounds_themselves_are_allowed():
    dataclasses.replace(SESSION, name="", following={}, threads=1024, device="mps")
    content = state.flat(STATE)
    content["run"]["stage"] = 2**63 - 1
    assert state.built(content).run.stage == 2**63 - 1
