"""The commands of the README and of the manual's pages, run as they stand.

Blocks marked `sh` and `python` are run, those of the pages after the README's, in one folder.
Blocks marked `console` show commands that need a network or minutes; they are not run.
"""

import re
from pathlib import Path

import pytest
from conftest import shell

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "aectl" / "help").glob("*.md"))}
FIRST = ("data",)
"""Pages that make what other pages use."""


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


def test_every_command_of_the_readme_and_the_manual_runs(folder):
    topics = [*FIRST, *(topic for topic in PAGES if topic not in FIRST)]
    texts = [README, *(PAGES[topic] for topic in topics)]
    script = "\n".join(block for text in texts for block in blocks("sh", text))
    done = shell(f"set -e\n{script}", folder, warmed=True)
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    python = PAGES["python"]
    done = shell(f"python <<'END'\n{blocks('python', python)[0]}END", folder, True)
    assert (done.out, done.err) == (blocks("text", python)[0], "")


@pytest.mark.parametrize("text", [README, *PAGES.values()], ids=["README", *PAGES])
def test_commands_fit_into_80_columns_so_that_they_can_be_copied(text):
    lines = "".join(blocks("sh", text) + blocks("python", text)).splitlines()
    lines += [line for block in blocks("console", text) for line in block.splitlines()]
    assert max(map(len, lines), default=0) <= (78 if text is not README else 100)


def test_the_set_up_commands_are_those_of_ci():
    ci = (ROOT / ".ci" / "run").read_text()
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'" in ci
    assert README.count("    python3 -m venv .venv && ") == 2


def test_the_readme_is_short_and_lists_the_topics_of_the_manual():
    assert len(README.encode()) <= 9 * 1024
    for topic, page in PAGES.items():
        summary = page.splitlines()[0].removeprefix(f"# {topic}: ")
        assert f"| [{topic}](aectl/help/{topic}.md) | {summary} |" in README
