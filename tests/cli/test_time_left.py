"""The time left of a work, and the lines that say how far it is, beside hand computations."""

import itertools
import re

import pytest

from aectl.cli import console, training_view
from aectl.cli.time_left import TimeLeft, clock
from aectl.training import loop


def followed(samples, total):
    """The estimates after each (seconds, done)."""
    left = TimeLeft()
    return [left.after(done, total, now) for now, done in samples]


def test_nothing_is_said_before_enough_is_measured():
    assert followed([(0, 0), (0.3, 1), (4.9, 90)], 100) == [None, None, None]
    assert followed([(0, 0), (6, 1), (19, 1.9)], 100) == [None, None, None]
    assert followed([(0, 0), (6, 0), (60, 0)], 100) == [None, None, None]


@pytest.mark.parametrize(
    ("samples", "total", "expected"),
    [
        ([(0, 0), (10, 10)], 100, 90.0),
        ([(0, 0), (10, 2)], 100, 490.0),
        ([(0, 0), (21, 1)], 1000, 21.0 * 999),
        ([(50, 30), (60, 40)], 100, 60.0),  # a run that goes on
        ([(0, 0), (10, 100)], 100, 0.0),
    ],
)
def test_the_time_left_follows_from_the_mean_speed(samples, total, expected):
    assert followed(samples, total)[-1] == pytest.approx(expected)


def test_a_work_that_grows_slower_is_followed_within_two_minutes():
    fast = [(now, 10.0 * now) for now in range(61)]
    slow = [(60 + now, 600.0 + now) for now in range(1, 181)]
    estimates = followed(fast + slow, 10_000)
    assert estimates[60] == pytest.approx(940)
    assert estimates[-1] == pytest.approx(10_000 - 780)


def test_single_steps_of_uneven_length_do_not_make_it_jump():
    steps = itertools.accumulate([0.05, 0.05, 0.05, 0.85] * 100)
    estimates = followed([(now, done) for done, now in enumerate(steps)], 400)
    known = [(done, left) for done, left in enumerate(estimates) if left is not None]
    assert len(known) > 350
    assert all(left == pytest.approx((399 - done) * 0.25, rel=0.2, abs=1) for done, left in known)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (7384, "2:03:04")]
)
def test_a_time_is_said_as_on_a_clock(seconds, said):
    assert clock(seconds) == said


def test_a_long_epoch_is_not_silent(aectl, monkeypatch):
    monkeypatch.setattr(training_view, "SILENCE_SECONDS", 0.02)
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", 0.005)
    words = ("train", "--dataset", "digits", "--hidden", 8, "--batch-size", 4, "--out", "run")
    done = aectl(*words, "--epochs", 4)
    assert done.status == 0
    lines = [line for line in done.err.splitlines() if "  step " in line]
    assert len(lines) > 2
    form = r"epoch [1-4]/4  step [0-9]+/360(  [0-9,]+ images/s)?(  [0-9:]+ left)?"
    assert all(re.fullmatch(form, line) for line in lines)
    assert max(map(len, lines)) <= 80
    assert aectl(*words, "--epochs", 1, "-q", "--overwrite").err == ""


def test_work_after_training_is_not_silent(aectl, monkeypatch):
    monkeypatch.setattr(console, "PLAIN_SECONDS", -1.0)
    monkeypatch.setattr(console, "TICK_SECONDS", 0.001)
    words = ("train", "--dataset", "digits", "--hidden", 2, "--epochs", 1, "--out")
    done = aectl(*words, "run")
    assert done.status == 0
    assert "filling the run folder: 0 s" in done.err.splitlines()
    assert aectl(*words, "quiet", "-q").err == ""


def test_a_folder_being_read_shows_how_many_there_are(aectl, scans, monkeypatch):
    monkeypatch.setattr(console, "PLAIN_SECONDS", -1.0)
    done = aectl("train", "--dataset", scans, "--epochs", 1, "--out", "run", "--workers", 1)
    assert done.status == 0
    read = [line for line in done.err.splitlines() if line.startswith("reading: ")]
    counts = [*range(32, 360, 32), 360]
    assert [line.partition(" images")[0] for line in read] == [
        f"reading: {count} of 360" for count in counts
    ]
