"""`aectl help`: the manual, one page of Markdown a topic."""

import functools
import importlib.resources
import os
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


Topic = Annotated[
    str | None,
    typer.Argument(
        metavar="TOPIC",
        help="The page to show.",
        show_default="a list of all topics",
        autocompletion=lambda: list(pages()),
    ),
]


def manual(
    context: typer.Context,
    topic: Topic = None,
    debug: options.Debug = False,
) -> int:
    """Show a page of the manual, or the list of its topics.

    In a pipe, the page is plain Markdown.

    Example: aectl help tables
    """
    if topic is None:
        return _list_topics()
    if topic not in pages():
        raise ConfigError(_unknown(topic, context))
    page = pages()[topic]
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


def _unknown(topic: str, context: typer.Context) -> str:
    """The message for a topic that has no page. Commands are named by their own `--help`."""
    unknown = f"no topic '{topic}' in the manual"
    assert context.parent is not None
    if topic in getattr(context.parent.command, "commands", {}):
        return f"{unknown}; aectl {topic} --help shows that command's options"
    return f"{unknown}{near_miss(topic, pages())}\naectl help lists the topics"


def _show_formatted(page: str) -> None:
    """Writes a page to a terminal, in its width."""
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(page, code_theme="bw"))
