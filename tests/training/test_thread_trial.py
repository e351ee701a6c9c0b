"""The number of threads is the one with which steps are fastest."""

from types import SimpleNamespace

import pytest
import torch

from aectl.training import thread_trial
from aectl.training.thread_trial import ThreadTrial


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("milliseconds", "fastest"),
    [
        ({16: 8, 8: 4, 4: 2, 2: 4, 1: 8}, 4),
        ({16: 1, 8: 2, 4: 4, 2: 8, 1: 16}, 16),
        ({16: 9, 8: 8, 4: 6, 2: 4, 1: 2}, 1),
        ({12: 2, 6: 2, 3: 2, 1: 8}, 3),
    ],
)
def test_the_fewest_of_the_fastest_threads_are_kept(threads, milliseconds, fastest, monkeypatch):
    now = 0.0
    monkeypatch.setattr(thread_trial, "time", SimpleNamespace(perf_counter=lambda: now / 1000))
    said = []
    trial = ThreadTrial(max(milliseconds), said.append)
    torch.set_num_threads(max(milliseconds))
    used = []
    trial.begin()
    for step in range(500):
        used.append(torch.get_num_threads())
        assert trial.threads == max(milliseconds), "an interrupted trial has found none"
        if step % 10 == 9:  # somebody looks at the progress meanwhile
            now += 20
            trial.begin()
        now += milliseconds[used[-1]]
        trial.stepped()
        if said:
            break
    assert said == [fastest] == [torch.get_num_threads()] == [trial.threads]
    assert sorted(set(used), reverse=True) == list(dict.fromkeys(used)) == list(milliseconds)
