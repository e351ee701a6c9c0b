"""`aectl help`: the manual, one page of Markdown a topic, and the entries of its tables."""

import functools
import importlib.resources
import os
import re
import sys
from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.stdout import show
from aectl.config.declaration import near_miss
from aectl.errors import ConfigError


@functools.cache
def pages() -> dict[str, str]:
    """The pages of the manual by topic, sorted. The first line of each is `# TOPIC: summary`."""
    folder = importlib.resources.files("aectl") / "help"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".md"): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".md")
    }


TABLE = re.compile(r"^(\|.+\n\|-.+\n)((?:\|.+\n?)+)", re.MULTILINE)
"""The head and the rows of a table."""

Topic = Annotated[
    str | None,
    typer.Argument(
        metavar="TOPIC",
        help="The page to show, or the name of a metric, a dataset or another entry of a table in "
        "the manual.",
        show_default="a list of all topics",
        autocompletion=lambda: list(pages()),
    ),
]


def manual(
    context: typer.Context,
    topic: Topic = None,
    debug: options.Debug = False,
) -> int:
    """Show a page of the manual, its entries on a name such as mse, or the list of its topics.

    In a pipe, it is plain Markdown.

    Example: aectl help tables
    """
    if topic is None:
        return _list_topics()
    page = pages().get(topic) or _entries(topic)
    if not page:
        raise ConfigError(_unknown(topic, context))
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        _show_formatted(page)
    else:
        show(page)
    return 0


def _list_topics() -> int:
    width = max(map(len, pages()))
    for topic, page in pages().items():
        summary = page.partition("\n")[0].partition(": ")[2]
        show(f"{topic:<{width}}  {summary}\n")
    show("\naectl help TOPIC shows a page.\n")
    return 0


def _entries(name: str) -> str:
    """The rows of tables in all pages that begin with a name in code, each with its heading."""
    entry, found = re.compile(rf"\| (`[^`]+`, )*`{re.escape(name)}`", re.IGNORECASE), list[str]()
    for topic, page in pages().items():
        for table in TABLE.finditer(page):
            head, rows = table.groups()
            wanted = "".join(row for row in rows.splitlines(keepends=True) if entry.match(row))
            if wanted:
                *_, heading = re.findall(r"^#+ .+$", page[: table.start()], re.MULTILINE)
                found.append(f"{heading}\n\n{head}{wanted}\nFrom `aectl help {topic}`.\n")
    return "\n".join(found)


def _unknown(topic: str, context: typer.Context) -> str:
    """The message for a topic that has no page. Commands are named by their own `--help`."""
    unknown = f"no topic '{topic}' in the manual"
    assert context.parent is not None
    if topic in getattr(context.parent.command, "commands", {}):
        return f"{unknown}; aectl {topic} --help shows that command's options"
    meant = near_miss(topic, pages())
    word = re.compile(rf"(?<![\w-])(--)?{re.escape(topic)}(?![\w-])", re.IGNORECASE)
    having = [name for name, page in pages().items() if word.search(page)]
    if having and not meant:
        meant = f"; these pages have the word: {', '.join(having)}"
    return f"{unknown}{meant}\naectl help lists the topics"


def _show_formatted(page: str) -> None:
    """Writes a page to a terminal, in its width."""
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(page, code_theme="bw"))
