"""`aectl merge`: the parts of a table become one table."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.console import Console, Outcome
from aectl.cli.stdout import show_path
from aectl.config.table_formats import TABLE_FORMATS

ENDINGS = " ".join(TABLE_FORMATS)

Parts = Annotated[
    list[Path],
    typer.Argument(
        metavar="PARTS...", parser=options.path_or_url,
        help="Folders of parts that --shard wrote, such as codes.csv.shards, or their URLs.",
        show_default=False,
    ),
]  # fmt: skip
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", parser=options.path_or_url,
        help=f"Write the table to this file, with the extension of the parts: {ENDINGS}.",
        show_default="only check the parts",
    ),
]  # fmt: skip


def merge(
    parts: Parts,
    out: Out = None,
    overwrite: options.Overwrite = False,
    errors: options.Errors = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Merge the parts of a table that encode, classify or detect wrote with --shard.

    The table is that of one run without --shard. Parts that are missing, there twice, changed or of
    another run are refused.

    Example: aectl merge codes.csv.shards --out codes.csv
    """
    from aectl.data.storage.staging import local_folder
    from aectl.outputs.merging import merged, parts_in
    from aectl.outputs.tables import check_destination
    from aectl.verbs import machine

    check_destination(out, overwrite)
    console = Console(quiet)
    outcome = Outcome(console, errors, overwrite)
    with contextlib.ExitStack() as copies:
        with console.lasting("checking the parts"):
            room = machine.data_dir()
            folders = [copies.enter_context(local_folder(str(one), room)) for one in parts]
            checked = parts_in(folders)
        with console.lasting("merging"):
            found = merged(checked, out)
    for path, reason in found.bad:
        outcome.on_bad(path, reason)
    console.notice(f"{found.parts:,} parts, {found.rows:,} rows")
    if out is not None:
        show_path(out)
    return outcome.status(found.rows, None)
