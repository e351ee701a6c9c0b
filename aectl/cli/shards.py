"""The option --shard: several machines share the inputs, and each writes a part of the table."""

from pathlib import Path
from typing import Annotated

import typer

from aectl.errors import ConfigError

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="I/N",
        help="Process the Ith of N shares of the inputs, and write its part of the table to the "
        "folder FILE.shards beside --out FILE; aectl merge makes FILE of all parts.",
        show_default="all inputs",
    ),
]  # fmt: skip


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
