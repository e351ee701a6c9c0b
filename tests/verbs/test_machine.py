"""What aectl finds out about the machine, and says of it."""

import contextlib
import subprocess
import sys
import time

import pytest
import torch

from aectl.models.model_file import read_card
from aectl.verbs import machine

BIG = ("--hidden", "1000", "--batch-size", "1024")
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
def test_training_beside_busy_programs_finds_its_number_of_threads_and_keeps_it(
    aectl, all_threads, tmp_path
):
    words = ("train", "--dataset", "digits", *BIG, "--epochs", 20, "--out", "r")
    with busy_program():
        done = aectl(*words, "--seeds", 2)
    assert done.status == 0
    told = [line for line in done.err.splitlines() if "CPU threads" in line]
    assert len(told) == 1
    assert "beside other programs on" in told[0]
    assert "--threads sets another" in told[0]
    found = int(told[0].split("CPU threads: ")[1].split()[0])
    assert 1 <= found <= machine.cores()
    first = tmp_path / "r" / "seed-0"
    assert read_card(first / "model.safetensors").training["threads"] == found
    torch.set_num_threads(machine.cores())
    again = aectl("train", "--resume", first, "--epochs", 21)
    assert (again.status, "CPU threads" in again.err) == (0, False)
    assert read_card(first / "model.safetensors").training["threads"] == found


@on_linux
@pytest.mark.parametrize("options", [(*BIG, "--threads", machine.cores()), ()])
def test_nothing_is_said_of_busy_cores_to_who_chose_or_needs_no_threads(
    aectl, all_threads, options
):
    with busy_program():
        done = aectl("train", "--dataset", "digits", "--epochs", 2, *options, "--out", "r")
    assert done.status == 0
    assert "CPU threads" not in done.err


def test_a_driver_of_a_gpu_is_found_without_torch(monkeypatch):
    monkeypatch.setattr(machine, "GPU_DEVICES", ("nvidiactl", "null"))
    assert not machine.is_cpu("auto")
    assert machine.is_cpu("cpu")
    assert not machine.is_cpu("cuda")


@pytest.mark.skipif(not machine.is_cpu("auto"), reason="there is a GPU, or torch must be asked")
def test_torch_finds_no_gpu_where_there_is_no_driver_of_one():
    assert machine.torch_device("auto", None).type == "cpu"
