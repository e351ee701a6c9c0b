"""`aectl classify`: a table of predicted labels, a row an image."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from aectl.cli import options
from aectl.cli.console import Console, Outcome, torch_device
from aectl.cli.verb import load_classifier, open_inputs, read_card
from aectl.errors import ConfigError

if TYPE_CHECKING:
    from aectl.outputs.tables import Rows


def classify(
    model: options.Model,
    inputs: options.Input = None,
    top_k: Annotated[int, typer.Option(help="So many classes, the likeliest first.", min=1)] = 1,
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
    """Write the predicted class of each image, with its probability.

    Example: aectl classify runs/mnist-classifier-1 scans/ --top-k 3 --out labels.csv
    """
    from aectl.outputs import tables

    tables.check_destination(out, overwrite)
    console = Console(quiet)
    outcome = Outcome(console, errors, overwrite)
    card = read_card(model, "classify", ("classifier",))
    if top_k > len(card.classes):
        raise ConfigError(f"--top-k must be at most {len(card.classes)}, the number of classes")
    found = open_inputs(inputs, card, data_dir, null=null)

    from aectl import inference

    network = load_classifier(model)
    batches = found.batches(card.shape, batch_size, outcome.on_bad)

    def rows() -> "Iterator[Rows]":
        results = inference.classify(network, batches, torch_device(device, threads), top_k)
        for batch, predictions, probabilities in console.counted(results, "classifying"):
            columns = tables.leading_columns(batch, found.labelled)
            for rank in range(top_k):
                suffix = f"_{rank + 1}" if rank else ""
                columns["prediction" + suffix] = [card.classes[i] for i in predictions[:, rank]]
                columns["probability" + suffix] = probabilities[:, rank]
            yield tables.Rows(columns)

    return outcome.status(tables.write_table(out, sys.stdout.buffer, rows()))
