"""The options --shard and --engine: several machines, each of which writes a part of a table."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import typer

from aectl.errors import ConfigError, OutputError

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="I/N",
        help="Process the Ith of N shares of the inputs, and write its part of the table to the "
        "folder FILE.shards beside --out FILE; aectl merge makes FILE of all parts.",
        show_default="all inputs",
    ),
]  # fmt: skip
EngineOption = Annotated[
    Literal["ray"] | None,
    typer.Option(
        "--engine",
        help="ray: share the inputs among the machines of the Ray cluster that RAY_ADDRESS names, "
        "or the cores of this machine; the parts in FILE.shards are merged to --out FILE.",
        show_default="this process",
    ),
]


def destination(out: Path | None, shard: str | None, errors: Path | None) -> Path | None:
    """The file that is written: --out, or a part of it, whose folder is made.

    Raises ConfigError for options that do not go together, and OutputError.
    """
    if shard is None:
        return out
    from aectl.data.shares import Shard
    from aectl.outputs.merging import part_of

    if out is None:
        raise ConfigError("--shard writes a part of a file: name the file with --out")
    if errors is not None:
        raise ConfigError("--shard keeps its errors beside its part: give --errors to aectl merge")
    part = part_of(out, Shard.parsed(shard))
    if out.parent.is_dir():
        part.parent.mkdir(exist_ok=True)
    return part


def check_engine(
    engine: str | None, out: Path | None, shard: str | None, overwrite: bool, resume: bool
) -> None:
    """Makes the folder of the parts that the tasks of an engine write, empty but with --resume.

    Raises ConfigError for options that do not go together, and OutputError.
    """
    if engine is None:
        return
    from aectl.outputs.merging import clear, folder_of_parts

    if importlib.util.find_spec(engine) is None:
        raise ConfigError(f"--engine {engine} needs a package: pip install 'aectl[{engine}]'")
    if shard is not None:
        raise ConfigError("--engine shares the inputs itself: leave out --shard")
    if out is None:
        raise ConfigError("--engine writes a file: name it with --out")
    parts = folder_of_parts(out)
    if parts.is_dir() and overwrite:
        clear(parts)
    elif parts.is_dir() and any(parts.iterdir()) and not resume:
        raise OutputError(
            f"{parts} has parts of a table; --resume continues them, --overwrite starts again"
        )
    if out.parent.is_dir():
        parts.mkdir(exist_ok=True)
