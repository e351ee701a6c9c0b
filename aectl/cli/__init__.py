"""The command line: parse, call the core, show the outcome.

Little is imported here, so that signals are handled from the start.
"""

import contextlib
import os
import sys
from typing import NoReturn

from aectl.cli.signals import handle, outcome_of

__all__ = ["main", "program"]


def main() -> int:
    """Runs `aectl`; returns its exit status."""
    from aectl.cli.app import run

    return run()


def program() -> NoReturn:
    """Runs `aectl` and ends the process at once, because torch takes half a second to clean up."""
    handle()
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
