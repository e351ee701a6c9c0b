"""What aectl finds out about the machine, and says of it."""

import contextlib
import subprocess
import sys
import time

import pytest
import torch

from aectl.verbs import machine

BIG = ("--hidden", "1000", "--batch-size", "1024", "--epochs", "1")
on_linux = pytest.mark.skipif(not machine.STAT.exists(), reason="the system does not tell")


@contextlib.contextmanager
def busy_program():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as program:
        try:
            yield
        finally:
            program.kill()


@pytest.fixture
def all_threads(all_cores):
    """As many threads as cores, which is what training takes of itself."""
    if machine.cores() == 1:
        pytest.skip("there is but one core")
    torch.set_num_threads(machine.cores())
    yield
    torch.set_num_threads(1)


@on_linux
def test_a_busy_program_is_noticed(all_cores):
    with busy_program():
        others = machine.OtherPrograms()
        time.sleep(0.5)
        assert 0.3 < others.busy_cores() < machine.cores() + 1


def test_what_this_process_computes_is_not_others_work(monkeypatch, tmp_path):
    (tmp_path / "stat").write_text("cpu 9 9 9 9 9 9 9 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n")
    monkeypatch.setattr(machine, "STAT", tmp_path / "stat")
    others = machine.OtherPrograms()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert others.busy_cores() == 0


def test_a_system_that_does_not_tell_has_no_busy_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "STAT", tmp_path / "none")
    assert machine.OtherPrograms().busy_cores() == 0


@on_linux
def test_training_on_several_threads_beside_busy_programs_tells_of_it_once(aectl, all_threads):
    with busy_program():
        done = aectl("train", "--dataset", "digits", *BIG, "--seeds", 2, "--out", "r")
    assert done.status == 0
    assert done.err.count("cores busy") == 1
    assert "--threads 1" in done.err


@on_linux
@pytest.mark.parametrize("options", [(*BIG, "--threads", machine.cores()), ("--epochs", 1)])
def test_nothing_is_said_of_busy_cores_to_who_chose_or_needs_no_threads(
    aectl, all_threads, options
):
    with busy_program():
        done = aectl("train", "--dataset", "digits", *options, "--out", "r")
    assert done.status == 0
    assert "busy" not in done.err
