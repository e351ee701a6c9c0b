"""`aectl reconstruct`: a PNG grid, originals above reconstructions."""

from pathlib import Path
from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.console import Console, Outcome, torch_device
from aectl.cli.verb import load_autoencoder, open_inputs, read_card
from aectl.errors import OutputError
from aectl.files import refuse_existing
from aectl.sections import AUTOENCODERS


def reconstruct(
    model: options.Model,
    inputs: options.Input = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture, a .png file.")] = Path(
        "reconstructions.png"
    ),
    count: Annotated[
        int, typer.Option(help="Show the first so many images.", min=1, max=1000)
    ] = 40,
    null: options.Null = False,
    overwrite: options.Overwrite = False,
    errors: options.Errors = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Draw images above their reconstructions, and print the picture's path.

    Example: aectl reconstruct runs/mnist-autoencoder-1 mnist:test --count 20 --out grid.png
    """
    if out.suffix.lower() != ".png":
        raise OutputError(f"{out}: the picture is a .png file")
    refuse_existing(out, overwrite)
    console = Console(quiet)
    outcome = Outcome(console, errors, overwrite)
    card = read_card(model, "reconstruct", AUTOENCODERS)
    found = open_inputs(inputs, card, data_dir, null=null)

    import numpy as np

    from aectl import inference
    from aectl.outputs import pictures

    network = load_autoencoder(model)
    batches = found.batches(card.shape, min(count, 50), outcome.on_bad)
    results = inference.reconstruct(network, batches, torch_device(device, threads))
    originals, reconstructions, seen = [], [], 0
    for batch, reconstruction in results:
        originals.append(batch.images)
        reconstructions.append(reconstruction)
        seen += len(batch.paths)
        if seen >= count:
            break
    status = outcome.status(seen)
    pictures.save_png(
        out,
        pictures.reconstruction_grid(
            np.concatenate(originals)[:count], np.concatenate(reconstructions)[:count]
        ),
    )
    typer.echo(out)
    return status
