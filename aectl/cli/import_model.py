"""`aectl import`: a model of another program becomes a model of aectl."""

from pathlib import Path
from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.console import Console
from aectl.cli.stdout import show_path

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder of SAELens, sparsify or dictionary_learning, or with --like a .safetensors "
        "file of the layers of a dense autoencoder; a path or a URL.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="The model file, FILE.safetensors.")
]
Like = Annotated[
    Path | None,
    typer.Option(
        "--like", metavar="FILE",
        help="TOML file with the options of aectl train that describe the network: hidden, "
        "activation, tied, and size and channels, or modality = 'vectors'.",
        show_default=False,
    ),
]  # fmt: skip


def import_model(
    source: Source,
    out: Out,
    like: Like = None,
    overwrite: options.Overwrite = False,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Make a model of aectl from one that another program trained.

    All commands take it then. Pickles are refused, with the command that converts them.

    Example: aectl import gpt2-layer-8 --out layer-8.safetensors
    """
    from aectl.verbs.import_model import import_model as written

    console = Console(quiet)
    imported = written(source, out, like=like, overwrite=overwrite)
    for note in imported.notes:
        console.notice(note)
    show_path(out)
    return 0
