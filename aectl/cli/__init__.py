"""The command line: parse, call the core, show the outcome."""

from aectl.cli.app import main

__all__ = ["main"]
