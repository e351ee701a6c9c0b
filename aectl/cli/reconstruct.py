"""`aectl reconstruct`: a PNG grid, originals above reconstructions."""

from pathlib import Path
from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.verb import Session, load_autoencoder, read_card
from aectl.errors import OutputError
from aectl.files import refuse_existing
from aectl.sections import AUTOENCODERS


@options.with_common_options
def reconstruct(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The picture, a .png file.")
    ] = Path("reconstructions.png"),
    count: Annotated[
        int, typer.Option(metavar="N", help="Show the first so many images.", min=1, max=1000)
    ] = 40,
) -> int:
    """Draw images above their reconstructions, and print the picture's path.

    Example: aectl reconstruct runs/mnist-autoencoder-1 mnist:test --count 20 --out grid.png
    """
    if out.suffix.lower() != ".png":
        raise OutputError(f"{out}: the picture is a .png file")
    refuse_existing(out, common.overwrite)
    session = Session(common, out)
    card = read_card(model, "reconstruct", AUTOENCODERS)
    found = session.inputs(inputs, card)

    originals, reconstructions, seen = [], [], 0
    with session.batches(found, card.shape, most=count) as batches:
        import numpy as np

        from aectl import inference
        from aectl.outputs import pictures

        results = inference.reconstruct(load_autoencoder(model), batches, session.device())
        for batch, reconstruction in results:
            originals.append(batch.images)
            reconstructions.append(reconstruction)
            seen += len(batch.paths)
            if seen >= count:
                break
    status = session.outcome.status(seen)
    pictures.save_png(
        out,
        pictures.reconstruction_grid(
            np.concatenate(originals)[:count], np.concatenate(reconstructions)[:count]
        ),
    )
    typer.echo(out)
    return status
