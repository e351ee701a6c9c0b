"""The commands, and the one place where an exception becomes a message and an exit status."""

import contextlib
import functools
import logging
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

import aectl
from aectl.cli import options
from aectl.cli.classify import classify
from aectl.cli.console import complain
from aectl.cli.encode import encode
from aectl.cli.evaluate import evaluate
from aectl.cli.info import info
from aectl.cli.recipes import recipes
from aectl.cli.reconstruct import reconstruct
from aectl.cli.signals import Terminated, handle
from aectl.cli.train import train
from aectl.config.declaration import close_options
from aectl.errors import AectlError

app = typer.Typer(
    name="aectl",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train autoencoders and put them to work: one command trains, one file is the model.",
)
FIRST_STEPS = """\
aectl trains autoencoders and puts them to work. Three commands to start with:

  aectl train --sparse --rho 0.05 --out first     trains a first one; first/report.html shows it
  aectl eval first --pca                          its error, beside that of PCA
  aectl encode first --out codes.csv              the features of images, a row an image

A folder of your own images: aectl train --dataset FOLDER.
All commands: aectl --help. The options of one, with an example: aectl train --help.
"""
DRAIN_SECONDS, LONGEST_DRAIN_SECONDS = 0.5, 3.0
OUT_OF_MEMORY = ("MemoryError", "_ArrayMemoryError", "OutOfMemoryError")
"""What Python, NumPy and torch raise."""

NO_ADDRESS_SPACE = (
    "failed to map segment", "cannot allocate memory", "can't start new thread", "bad_alloc",
)  # fmt: skip
"""What the system says where a library or a thread finds no room, as in a process whose address
space is limited; in lower case."""


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


def main() -> int:
    """Runs `aectl`; returns its exit status."""
    # Threads that spin for long while they wait make torch a hundred times slower as soon as any
    # other process wants one of the cores. GNU's OpenMP reads this when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed when we were started
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    try:
        status = app(standalone_mode=False)
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


def program() -> NoReturn:
    """Runs `aectl` and ends the process at once: torch takes half a second to tidy up."""
    handle()
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def explained(command: Callable[..., int]) -> Callable[..., int]:
    """The command, with every exception turned into a message and an exit status."""

    @functools.wraps(command)
    def run(*arguments: Any, **values: Any) -> int:
        try:
            status = command(*arguments, **values)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            return _close_pipe(paths_on_stdin="-" in (values.get("inputs") or ()))
        except KeyboardInterrupt as error:
            ended = isinstance(error, Terminated)
            said = "\n".join(["terminated" if ended else "interrupted", *_notes(error)])
            return _fail(said, 143 if ended else 130)
        except typer.TyperException:
            raise
        except Exception as error:
            if values["debug"]:
                raise
            return _fail("\n".join([_message(error), *_notes(error)]), 2)

    return run


def _notes(error: BaseException) -> list[str]:
    """What was added to an exception on its way: what is kept, and how to go on."""
    return list(getattr(error, "__notes__", []))


def _message(error: Exception) -> str:
    if isinstance(error, AectlError):
        return str(error)
    said = " ".join(str(error).split())[:300]
    if type(error).__name__ in OUT_OF_MEMORY or "can't allocate memory" in said:
        return (
            "there is not enough memory; a smaller --hidden, --size or --batch-size takes less"
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
    complain(f"aectl: {message}")
    return status


def _close_pipe(paths_on_stdin: bool) -> int:
    """Whoever read stdout has seen enough: that is no failure, neither here nor upstream.

    What a `find` before us in the pipe still has to say is read for a moment, so that it need
    not end on a broken pipe either.
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
    "eval": evaluate,
    "info": info,
    "recipes": recipes,
}
for name, command in COMMANDS.items():
    app.command(name, cls=options.Command)(explained(command))
