"""`aectl encode`: a table of features, a row an image."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aectl.cli import options
from aectl.cli.verb import Session, load_autoencoder, read_card
from aectl.sections import AUTOENCODERS

if TYPE_CHECKING:
    from aectl.outputs.tables import Rows


@options.with_common_options
def encode(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    out: options.Out = None,
) -> int:
    """Write the code of each image: a table with its path, its label where known, and f0 ... fN.

    Example: find photos -name '*.jpg' | aectl encode runs/mnist-autoencoder-1 - > features.csv
    """
    from aectl.outputs import tables

    tables.check_destination(out, common.overwrite)
    session = Session(common, out)
    card = read_card(model, "encode", AUTOENCODERS)
    found = session.inputs(inputs, card)

    from aectl import inference

    network = load_autoencoder(model)
    batches = session.batches(found, card.shape)

    def rows() -> "Iterator[Rows]":
        results = inference.encode(network, batches, session.device())
        for batch, code in session.console.counted(results, "encoding"):
            yield tables.Rows(tables.leading_columns(batch, found.labelled), code)

    return session.outcome.status(tables.write_table(out, sys.stdout.buffer, rows()))
