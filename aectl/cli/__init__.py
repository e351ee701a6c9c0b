"""The command line: parse, call the core, show the outcome."""

from aectl.cli.app import main, program

__all__ = ["main", "program"]
