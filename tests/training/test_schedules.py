"""Schedules: factors of the learning rate in closed form, and numbers of active units."""

import math

import pytest
import torch
from torch import nn

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.models.codes import BatchTopK, TopK
from aectl.training.optimizers import build_optimizer
from aectl.training.schedules import SCHEDULES, Schedule, build_schedule, factor, lower_k


def configured(**options):
    return Config.from_options(options).training


def rates(steps, **options):
    """The learning rate of every step."""
    config = configured(lr=0.2, **options)
    optimizer = build_optimizer(nn.Linear(2, 2), config)
    schedule = build_schedule(optimizer, config, steps)
    seen = []
    for _ in range(steps):
        (rate,) = {group["lr"] for group in optimizer.param_groups}
        seen.append(rate)
        optimizer.step()
        schedule.step()
    return seen


def test_the_table_has_the_choices_of_the_option():
    assert set(SCHEDULES) == set(OPTIONS["schedule"].metadata["option"].choices)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("done", [0, 3, 11, 39])
def test_a_schedule_of_a_resumed_run_goes_on_where_it_stopped(schedule, done):
    config = configured(lr=0.2, warmup=0.2, schedule=schedule)
    optimizer = build_optimizer(nn.Linear(2, 2), config)
    again = build_schedule(optimizer, config, 40, done)
    seen = []
    for _ in range(40 - done):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        again.step()
    assert seen == rates(40, warmup=0.2, schedule=schedule)[done:]


def test_the_rate_of_lbfgs_stays():
    config = configured(optimizer="lbfgs")
    assert {factor(config, 10, step) for step in range(10)} == {1.0}


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [("cosine", 0, 1), ("cosine", 25, (2 + math.sqrt(2)) / 4), ("cosine", 50, 0.5),
     ("cosine", 100, 0), ("constant", 0, 1), ("constant", 100, 1)],
)  # fmt: skip
def test_factors_without_a_warm_up_are_those_of_the_unit_circle(schedule, step, expected):
    found = factor(configured(schedule=schedule, warmup=0.0), 100, step)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("code", [TopK("relu", 5), BatchTopK("relu", 5)])
def test_k_of_a_resumed_run_falls_on_from_where_it_was(code):
    schedule = Schedule(
        torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1), lambda step: 1.0,
        [lower_k(code, 20, 10)], done=3,
    )  # fmt: skip
    seen = [code.kept]
    for _ in range(3):
        schedule.step()
        seen.append(code.kept)
    assert seen == [11, 8, 5, 5]


@pytest.mark.parametrize(("steps", "warmup"), [(200, 0.05), (50, 0.5), (40, 0.0), (7, 0.3)])
def test_the_rate_rises_linearly_and_falls_as_half_a_cosine(steps, warmup):
    warm = warmup * steps
    expected = [
        0.2 * (step + 1) / math.ceil(warm)
        if step < warm
        else 0.1 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        for step in range(steps)
    ]
    assert rates(steps, warmup=warmup) == pytest.approx(expected, rel=1e-9)


def test_a_constant_schedule_stays_at_its_highest_after_the_warm_up():
    expected = [0.2 * min(1, (step + 1) / 10) for step in range(100)]
    assert rates(100, warmup=0.1, schedule="constant") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_is_always_above_zero_and_never_above_lr(steps, warmup, schedule):
    seen = rates(steps, warmup=warmup, schedule=schedule)
    assert all(0 < rate <= 0.2 * (1 + 1e-12) for rate in seen)


@pytest.mark.parametrize(("steps", "expected"), [
    (10, [20, 17, 14, 11, 8, 5, 5, 5, 5, 5, 5]),
    (4, [20, 12, 5, 5, 5]),
])  # fmt: skip
def test_k_falls_linearly_over_the_first_half_of_training_and_stays(steps, expected):
    code = TopK("relu", 5)
    schedule = Schedule(
        torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1), lambda step: 1.0,
        [lower_k(code, 20, steps)],
    )  # fmt: skip
    seen = [code.kept]
    for _ in range(steps):
        schedule.step()
        seen.append(code.kept)
    assert seen == expected
