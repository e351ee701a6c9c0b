"""How long a command takes before it does anything, beside a bare Typer program of two commands.

    python -m tests.benchmarks startup [MODEL]

Whole processes, median of 15 runs in turns. With a MODEL, `aectl info MODEL` too.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

from .commands import in_turns, seconds

RUNS = 15
COMMANDS = ("train", "encode", "classify", "reconstruct", "eval", "info", "recipes")
BARE = '''
import typer

app = typer.Typer()


@app.command()
def one(name: str = "x", count: int = 1) -> None:
    """The first."""


@app.command()
def two(name: str = "x") -> None:
    """The second."""


app()
'''


def main() -> None:
    aectl = Path(sys.executable).with_name("aectl")
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        program: list[object] = [sys.executable, bare]
        commands: dict[str, list[object]] = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "bare --help": [*program, "--help"],
            "bare one --help": [*program, "one", "--help"],
            "aectl --help": [aectl, "--help"],
            **{f"aectl {name} --help": [aectl, name, "--help"] for name in COMMANDS},
            **{f"aectl info {model}": [aectl, "info", model] for model in sys.argv[1:]},
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        }
        found = in_turns({name: partial(seconds, words) for name, words in commands.items()}, RUNS)
    print("| command | seconds | of the bare program's |\n|---|---|---|")
    for name, value in found.items():
        like = found[
            "bare --help" if name in ("bare --help", "aectl --help") else "bare one --help"
        ]
        print(f"| `{name}` | {value:.3f} | {value / like:.2f} |")
