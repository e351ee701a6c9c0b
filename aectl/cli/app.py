"""The commands, and the place where exceptions become messages and exit statuses."""

import contextlib
import functools
import inspect
import logging
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

import aectl
from aectl.cli import options
from aectl.cli.classify import classify
from aectl.cli.console import complain
from aectl.cli.detect import detect
from aectl.cli.encode import encode
from aectl.cli.evaluate import evaluate
from aectl.cli.export import export
from aectl.cli.help import manual
from aectl.cli.import_model import import_model
from aectl.cli.info import info
from aectl.cli.merge import merge
from aectl.cli.recipes import recipes
from aectl.cli.reconstruct import reconstruct
from aectl.cli.remote_files import on_this_machine
from aectl.cli.signals import outcome_of, take
from aectl.cli.train import train
from aectl.config.declaration import close_options
from aectl.data.storage import network
from aectl.errors import AectlError, is_out_of_memory

app = typer.Typer(
    name="aectl",
    cls=options.Program,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train autoencoders and use them. The manual: aectl help.",
)
FIRST_STEPS = """\
aectl trains autoencoders and uses them. Three commands to start with:

  aectl train --sparse --rho 0.05 --out first     trains a model; first/report.html shows it
  aectl eval first --pca                          its error, compared with PCA
  aectl encode first --out codes.csv              features of images, one row per image

To train on your own images: aectl train --dataset FOLDER.
All commands: aectl --help. Options of a command, with an example: aectl train --help.
The manual: aectl help lists its topics.
"""
DRAIN_SECONDS, LONGEST_DRAIN_SECONDS = 0.5, 3.0
NO_ADDRESS_SPACE = (
    "failed to map segment", "cannot allocate memory", "can't start new thread", "bad_alloc",
)  # fmt: skip
"""Parts of the system's messages, in lower case, if a library or a thread does not fit into the
address space of the process."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aectl {aectl.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(FIRST_STEPS, nl=False)


def run() -> int:
    """Runs `aectl`; returns its exit status."""
    # Threads that spin for a long time while they wait make torch a hundred times slower as soon as
    # another process needs one of the cores. GNU's OpenMP reads this when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed when the process started
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    take()
    try:
        status = app(standalone_mode=False)
        if missed := take():  # before the command; typer turned it into a status
            return _fail(*outcome_of(missed))
        return status if isinstance(status, int) else 0
    except typer.TyperException as error:
        wrong: Any = error
        if meant := getattr(wrong, "possibilities", None):
            wrong.possibilities = close_options(wrong.option_name, meant)
        said = " ".join(error.format_message().split())
        return _fail(said, 2) if said else 2
    except OSError as error:
        return _fail(_message(error), 2)
    finally:
        logging.getLogger("aectl").handlers.clear()


SHARED = {train, info, recipes, manual}
"""The commands that torchrun may start several times at once."""


def _silence() -> None:
    """Discards all output, which is that of the first of several processes."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def explained(command: Callable[..., int]) -> Callable[..., int]:
    """Wraps a command, so that each exception becomes a message and an exit status."""

    @functools.wraps(command)
    def caught(*arguments: Any, **values: Any) -> int:
        from aectl.training import distributed

        if not distributed.is_first():
            _silence()
        try:
            distributed.refuse_where({"this command": command not in SHARED})
            with network.offline(bool(values.get("offline"))), on_this_machine(values) as given:
                status = command(*arguments, **given)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            return _close_pipe(paths_on_stdin="-" in (values.get("inputs") or ()))
        except KeyboardInterrupt as error:
            said, status = outcome_of(take() or error)  # compiled modules turn one into the other
            return _fail("\n".join([said, *_notes(error)]), status)
        except typer.TyperException:
            raise
        except Exception as error:
            if values["debug"]:
                raise
            return _fail("\n".join([_message(error), *_notes(error)]), 2)

    return caught


def _notes(error: BaseException) -> list[str]:
    """The notes added to an exception: the saved state, and how to continue."""
    return list(getattr(error, "__notes__", []))


def _message(error: Exception) -> str:
    if isinstance(error, AectlError):
        return str(error)
    said = " ".join(str(error).split())[:300]
    if is_out_of_memory(error):
        return (
            "there is not enough memory; a smaller --batch-size, or fewer --workers, need less"
            + (f" ({said})" if said else "")
        )
    if any(phrase in said.lower() for phrase in NO_ADDRESS_SPACE):
        return (
            "there is not enough memory to load what this command needs: close other programs, or"
            f" raise the limit on address space, which ulimit -v shows ({said})"
        )
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    return (
        f"{type(error).__name__}: {said}\n"
        "This is a defect of aectl; --debug shows where it happened."
    )


def _fail(message: str, status: int) -> int:
    from aectl.training import distributed

    if distributed.is_first():
        complain(f"aectl: {message}")
    distributed.report(message)
    return status


def _close_pipe(paths_on_stdin: bool) -> int:
    """Ends quietly after the reader of stdout closed the pipe; this is not an error.

    The rest of stdin is read for a short time, so that a `find` before `aectl` in the pipe does not
    fail on a broken pipe either.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not paths_on_stdin:
        return 0
    until = time.monotonic() + LONGEST_DRAIN_SECONDS
    with contextlib.suppress(OSError, ValueError):
        while time.monotonic() < until:
            ready, _, _ = select.select([sys.stdin], [], [], DRAIN_SECONDS)
            if not ready or not os.read(sys.stdin.fileno(), 1 << 20):
                break
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "train": train,
    "reconstruct": reconstruct,
    "encode": encode,
    "classify": classify,
    "detect": detect,
    "eval": evaluate,
    "export": export,
    "merge": merge,
    "import": import_model,
    "info": info,
    "recipes": recipes,
    "help": manual,
}
for name, command in COMMANDS.items():
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    app.command(name, cls=options.Command, help=text)(explained(command))
