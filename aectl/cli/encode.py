"""`aectl encode`: a table of features, a row an image."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aectl.cli import options
from aectl.cli.console import Console, Outcome, torch_device
from aectl.cli.verb import load_autoencoder, open_inputs, read_card
from aectl.sections import AUTOENCODERS

if TYPE_CHECKING:
    from aectl.outputs.tables import Rows


def encode(
    model: options.Model,
    inputs: options.Input = None,
    out: options.Out = None,
    null: options.Null = False,
    overwrite: options.Overwrite = False,
    errors: options.Errors = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 256,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Write the code of each image: a table with its path, its label where known, and f0 ... fN.

    Example: find photos -name '*.jpg' | aectl encode runs/mnist-autoencoder-1 - > features.csv
    """
    from aectl.outputs import tables

    tables.check_destination(out, overwrite)
    console = Console(quiet)
    outcome = Outcome(console, errors, overwrite)
    card = read_card(model, "encode", AUTOENCODERS)
    found = open_inputs(inputs, card, data_dir, null=null)

    from aectl import inference

    network = load_autoencoder(model)
    batches = found.batches(card.shape, batch_size, outcome.on_bad)

    def rows() -> "Iterator[Rows]":
        results = inference.encode(network, batches, torch_device(device, threads))
        for batch, code in console.counted(results, "encoding"):
            yield tables.Rows(tables.leading_columns(batch, found.labelled), code)

    return outcome.status(tables.write_table(out, sys.stdout.buffer, rows()))
