"""The command line: parse, call the core, show the outcome.

Little is imported here, so that signals are handled from the start.
"""

import contextlib
import gc
import os
import sys
from typing import NoReturn

from aectl.cli.signals import handle, outcome_of

__all__ = ["main", "program"]

OBJECTS = 50_000
"""New objects after which Python looks for unreachable ones: at its usual 700 it does so hundreds
of times while torch is imported, which then takes an eighth longer."""


def main() -> int:
    """Runs `aectl`; returns its exit status."""
    from aectl.cli.app import run

    return run()


def program() -> NoReturn:
    """Runs `aectl` and ends the process at once, because torch takes half a second to clean up."""
    handle()
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
    try:
        status = main()
    except KeyboardInterrupt as error:  # outside of a command, as while its modules are imported
        said, status = outcome_of(error)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(f"aectl: {said}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
