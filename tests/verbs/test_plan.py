"""The runs of a training: those of several seeds and values, and those that are left to resume."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from aectl.data.storage.folders import ignore
from aectl.errors import ConfigError, DataError
from aectl.training import checkpoint
from aectl.training.reading import Reading
from aectl.verbs.plan import planned, planned_again

READING = Reading(Path("none"), ignore)


def test_several_seeds_follow_the_first():
    plan = planned({"dataset": "digits", "seed": 5}, {}, READING, {}, 3)
    assert [run.config.training.seed for run in plan.runs] == [5, 6, 7]
    assert [run.name for run in plan.runs] == ["seed-5", "seed-6", "seed-7"]
    assert (plan.several, plan.pattern) == (True, "seed-*")
    alone = planned({"dataset": "digits", "seed": 5}, {}, READING, {}, 1)
    assert [(run.name, run.config.training.seed) for run in alone.runs] == [("", 5)]
    assert (alone.several, alone.pattern) == (False, "")


@pytest.fixture
def rows(tmp_path):
    """A file of vectors."""
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((300, 8), "f4"))
    return str(tmp_path / "rows.npy")


def test_each_value_is_resolved_as_it_would_be_alone(rows):
    given = {"dataset": rows, "sparsity": "topk", "validation": 0.1}
    swept = {"bottleneck_factor": (0.5, 4.0), "batch_size": (10, 100)}
    plan = planned(given, {}, READING, swept, 2)
    assert [run.name for run in plan.runs][:3] == [
        "bottleneck-factor-0.5-batch-size-10-seed-0",
        "bottleneck-factor-0.5-batch-size-10-seed-1",
        "bottleneck-factor-0.5-batch-size-100-seed-0",
    ]
    assert plan.pattern == "bottleneck-factor-*"
    assert len(plan.runs) == 8
    for run in plan.runs:
        (alone,) = planned({**given, **run.values}, {}, READING, {}, 1).runs
        assert run.config == alone.config
    assert len({run.config.training.epochs for run in plan.runs}) == 2
    assert {run.config.model.hidden for run in plan.runs} == {(16,), (2,)}


def test_several_values_are_for_vectors_and_seeds_are_not_said_twice(rows):
    with pytest.raises(ConfigError, match="are for runs on vectors; on images, give one value"):
        planned({"dataset": "digits"}, {}, READING, {"lr": (0.1, 0.2)}, 1)
    with pytest.raises(ConfigError, match="either --seeds or several values of --seed"):
        planned({"dataset": rows}, {}, READING, {"seed": (1, 5)}, 2)
    plan = planned({"dataset": rows}, {}, READING, {"seed": (1, 5)}, 1)
    assert [run.name for run in plan.runs] == ["seed-1", "seed-5"]


def test_a_resumed_training_has_its_own_runs_and_options_in_its_own_folder(dense, tmp_path):
    state = checkpoint.load(dense)
    options = state.session.options
    session = dataclasses.replace(
        state.session, name="seed-3", cwd=str(tmp_path),
        options={**options, "dataset": ["pictures"]},
        following={"seed-9": {"options": {**options, "seed": 9}, "values": {"seed": 9}}},
    )  # fmt: skip
    with pytest.raises(DataError, match="pictures"):
        planned_again([dataclasses.replace(state, session=session)], {}, READING)
    session = dataclasses.replace(session, options=options)
    plan = planned_again([dataclasses.replace(state, session=session)], {"epochs": 99}, READING)
    assert [run.name for run in plan.runs] == ["seed-3", "seed-9"]
    assert [run.config.training.seed for run in plan.runs] == [options["seed"], 9]
    assert {run.config.training.epochs for run in plan.runs} == {99}
    left = {name: options[name] for name in ("hidden", "lr", "seed", "size")}
    found = json.loads(json.dumps(plan.config.values()))
    assert {name: found[name] for name in left} == left
