"""`aectl encode`: a table of features, a row an image."""

from typing import Annotated, Literal

import typer

from aectl.cli import options, texts
from aectl.cli.verb import Session, load_autoencoder, named_by, read_card
from aectl.errors import ConfigError
from aectl.sections import WITH_A_CODE


@options.with_common_options
def encode(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    layer: Annotated[
        int | None,
        typer.Option(
            "--layer",
            metavar="N",
            help="What the Nth layer of the encoder gives.",
            min=1,
            show_default="the last, the code",
        ),
    ] = None,
    normalize: Annotated[
        Literal["none", "l2"],
        typer.Option("--normalize", help="l2: scale each row to length 1."),
    ] = "none",
    dtype: Annotated[
        Literal["float32", "float16"],
        typer.Option("--dtype", help="The numbers' type: float16 is half as large and coarser."),
    ] = "float32",
    layout: Annotated[
        Literal["columns", "vector", "sparse"],
        typer.Option(
            "--layout",
            help="A column a feature; or one column with a vector; or two with the indices and "
            "the values of the units that are not 0.",
        ),
    ] = "columns",
    label_from_folder: options.LabelFromFolder = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
    out: options.Out = None,
    resume: options.Resume = False,
) -> int:
    """Write the code of each image or line of text: a table with its path, its label where known,
    and f0 ... fN.

    Example: find photos -name '*.jpg' | aectl encode runs/mnist-autoencoder-1 - > features.csv
    """
    from aectl.outputs import tables
    from aectl.outputs.formats import Rows

    tables.check_destination(out, common.overwrite, resume, layout)
    session = Session(common, out)
    card, naming = read_card(model, "encode", WITH_A_CODE), named_by(relative_to, absolute)
    if card.vocabulary:
        texts.refuse(session, layer=layer is not None)
        if card.architecture.config.bottleneck == "text":
            texts.refuse(
                session, "a code that is a text", normalize=normalize != "none",
                dtype=dtype != "float32", layout=layout != "columns",
            )  # fmt: skip
        rowed = texts.Rowed(session, model, card, inputs, label_from_folder, naming, out, resume)
        return rowed.encode(normalize, dtype, layout)
    depth = len(card.architecture.hidden)
    if layer is not None and layer > depth:
        raise ConfigError(f"--layer must be at most {depth}, the layers of this encoder")
    found = session.inputs(inputs, card, labels=label_from_folder, naming=naming)
    with session.table(
        "encode", model, out, resume, layer=layer, normalize=normalize, dtype=dtype, layout=layout,
        labelled=found.labelled, batch_size=session.batch_size(card.architecture),
    ) as table, session.batches(
        found, card.architecture, after=table.position
    ) as batches:  # fmt: skip
        from aectl import inference

        network = load_autoencoder(model)
        features = inference.Features(layer if layer != depth else None, normalize, dtype)
        results = inference.encode(network, batches, session.device(), features)
        for batch, code in session.console.counted(results, "encoding"):
            columns = tables.leading_columns(batch, found.labelled, session.truncated(batch))
            rows = Rows(columns, code, batch.position)
            table.write(tables.finite_rows(rows, session.outcome.on_bad))
    session.tell_if_whole(table, out)
    return session.outcome.status(table.count)
