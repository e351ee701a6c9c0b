"""The README's commands, run as they stand."""

import re
from pathlib import Path

import pytest
from conftest import shell

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


def test_every_command_of_the_readme_runs(folder):
    done = shell("set -e\n" + "\n".join(blocks("sh")), folder, warmed=True)
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    python = blocks("python")[0]
    done = shell(f"python <<'END'\n{python}END", folder)
    assert done.out == "torch.Size([1, 1, 8, 8]) torch.Size([1, 1, 8, 8])\n"


def test_the_readme_names_every_command_option_and_dataset_that_exists():
    from aectl.cli.app import COMMANDS
    from aectl.config.configuration import OPTIONS, SHORTHAND
    from aectl.data.images.datasets import DATASETS

    for name in COMMANDS:
        assert f"aectl {name}" in README
    for name in DATASETS:
        assert name in README or f"-{name.removeprefix('emnist-')}" in README
    known = {"--" + name.replace("_", "-") for name in (*OPTIONS, *SHORTHAND)}
    for source in (Path(__file__).parents[1] / "aectl" / "cli").glob("*.py"):
        known |= set(re.findall(r'"(--[a-z][a-z-]+)"', source.read_text()))
    known |= {"--help", "--count", "--pca", "--probe", "--top-k", "--seeds", "--install-completion"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known


def test_the_set_up_commands_are_those_of_ci():
    ci = (Path(__file__).parents[1] / ".ci" / "run").read_text()
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'" in ci
    assert README.count("    python3 -m venv .venv && ") == 2
