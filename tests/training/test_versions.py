"""The versions of what decides the weights of a training."""

from importlib import metadata

import pytest

from aectl.training.distributed import LAUNCHED
from aectl.training.versions import PROCESSES, versions


def test_versions_are_those_of_the_installed_packages():
    found = versions()
    assert found.keys() == {"aectl", "torch", "numpy", "python"}
    assert found["numpy"] == metadata.version("numpy")
    assert found["torch"].split("+")[0] == metadata.version("torch").split("+")[0]


@pytest.mark.parametrize(("count", "told"), [("1", None), ("4", "4")])
def test_the_number_of_processes_is_told_if_there_are_several(monkeypatch, count, told):
    for name in LAUNCHED:
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", count)
    assert versions().get(PROCESSES) == told
