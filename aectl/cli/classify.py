"""`aectl classify`: a table of predicted labels, a row an image."""

from typing import Annotated

import typer

from aectl.cli import options, texts
from aectl.cli.verb import Session, load_classifier, named_by, read_card
from aectl.errors import ConfigError


@options.with_common_options
def classify(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    top_k: Annotated[
        int, typer.Option(metavar="N", help="So many classes, the likeliest first.", min=1)
    ] = 1,
    label_from_folder: options.LabelFromFolder = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
    out: options.Out = None,
    resume: options.Resume = False,
) -> int:
    """Write the predicted class of each image or line of text, with its probability.

    Example: aectl classify runs/mnist-classifier-1 scans/ --top-k 3 --out labels.csv
    """
    from aectl.outputs import tables
    from aectl.outputs.formats import Rows

    tables.check_destination(out, common.overwrite, resume)
    session = Session(common, out)
    card, naming = read_card(model, "classify", ("classifier",)), named_by(relative_to, absolute)
    if card.vocabulary:
        texts.refuse(session)
    if top_k > len(card.classes):
        raise ConfigError(f"--top-k must be at most {len(card.classes)}, the number of classes")
    if card.vocabulary:
        rowed = texts.Rowed(session, model, card, inputs, label_from_folder, naming, out, resume)
        return rowed.classify(top_k)
    found = session.inputs(inputs, card, labels=label_from_folder, naming=naming)
    with session.table(
        "classify", model, out, resume, top_k=top_k, labelled=found.labelled,
        batch_size=session.batch_size(card.architecture),
    ) as table, session.batches(
        found, card.architecture, after=table.position
    ) as batches:  # fmt: skip
        from aectl import inference

        results = inference.classify(load_classifier(model), batches, session.device(), top_k)
        for batch, predictions, probabilities in session.console.counted(results, "classifying"):
            columns = tables.leading_columns(batch, found.labelled, session.truncated(batch))
            columns |= tables.of_classes(card.classes, predictions, probabilities)
            rows = Rows(columns, position=batch.position)
            table.write(tables.finite_rows(rows, session.outcome.on_bad))
    session.tell_if_whole(table, out)
    return session.outcome.status(table.count)
