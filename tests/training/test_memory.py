"""The memory that there is, with limits that the system sets."""

import platform
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest
import warm

from aectl.training import memory

CPU = SimpleNamespace(type="cpu")


def test_it_is_that_of_the_machine():
    if not memory.MEMINFO.is_file():
        pytest.skip("this system has no /proc/meminfo")
    total = int(memory.MEMINFO.read_text().split()[1]) * 1024
    assert memory.of_machine() <= total
    assert 0 < memory.free(CPU) < memory.of_machine()


GROUPS = {
    "version 2": ("0::/job/step\n", {"job/memory.max": "5000", "job/step/memory.max": "max"}),
    "version 1": ("5:cpu:/a\n4:memory:/job\n", {"v1/job/memory.limit_in_bytes": "5000"}),
    "both": ("4:memory:/a\n0::/b\n", {"v1/memory.limit_in_bytes": "5000", "b/memory.max": "7000"}),
}


@pytest.mark.parametrize(("groups", "files"), GROUPS.values(), ids=GROUPS)
def test_a_limit_of_a_job_or_of_a_container_counts(groups, files, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.write_text(groups)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    names = list(memory.LIMITS.values())
    monkeypatch.setattr(memory, "GROUPS", own)
    mounts = (tmp_path / "v1", tmp_path)
    monkeypatch.setattr(memory, "LIMITS", dict(zip(mounts, names, strict=True)))
    assert memory.of_machine() == 5000


def test_a_limit_on_address_space_counts():
    limit = 1 << 30
    code = f"""
import resource
from types import SimpleNamespace
from aectl.training import memory
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
print(memory.free(SimpleNamespace(type="cpu")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < limit


def test_the_unused_memory_is_what_the_system_tells(tmp_path, monkeypatch):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 100 kB\nMemAvailable:   40 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", told)
    assert memory.unused() == 40 * 1024
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "absent")
    assert memory.unused() == float("inf")


FAULTS = """
import resource, torch
from aectl.training import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(2 ** 24).add_(1)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
with memory.keeping_freed():
    faults()
    kept = faults()
print(usual, kept, faults())
"""


def test_kept_memory_is_not_taken_from_the_system_again():
    """The system counts a fault for each page that it hands out."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library of this system is not glibc")
    usual, kept, again = map(int, warm.python(FAULTS).split())
    pages = 8 * 2**26 // resource.getpagesize()
    assert kept < pages / 100
    assert min(usual, again) > 10 * max(kept, 20)
