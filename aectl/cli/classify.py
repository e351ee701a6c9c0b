"""`aectl classify`: a table of predicted labels, a row an image."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from aectl.cli import options
from aectl.cli.verb import Session, load_classifier, read_card
from aectl.errors import ConfigError

if TYPE_CHECKING:
    from aectl.outputs.tables import Rows


@options.with_common_options
def classify(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    top_k: Annotated[
        int, typer.Option(metavar="N", help="So many classes, the likeliest first.", min=1)
    ] = 1,
    out: options.Out = None,
) -> int:
    """Write the predicted class of each image, with its probability.

    Example: aectl classify runs/mnist-classifier-1 scans/ --top-k 3 --out labels.csv
    """
    from aectl.outputs import tables

    tables.check_destination(out, common.overwrite)
    session = Session(common, out)
    card = read_card(model, "classify", ("classifier",))
    if top_k > len(card.classes):
        raise ConfigError(f"--top-k must be at most {len(card.classes)}, the number of classes")
    found = session.inputs(inputs, card)

    from aectl import inference

    network = load_classifier(model)
    batches = session.batches(found, card.shape)

    def rows() -> "Iterator[Rows]":
        results = inference.classify(network, batches, session.device(), top_k)
        for batch, predictions, probabilities in session.console.counted(results, "classifying"):
            columns = tables.leading_columns(batch, found.labelled)
            for rank in range(top_k):
                suffix = f"_{rank + 1}" if rank else ""
                columns["prediction" + suffix] = [card.classes[i] for i in predictions[:, rank]]
                columns["probability" + suffix] = probabilities[:, rank]
            yield tables.Rows(columns)

    return session.outcome.status(tables.write_table(out, sys.stdout.buffer, rows()))
