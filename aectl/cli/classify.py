"""`aectl classify`: a table of predicted labels, one row per input."""

from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.session import Session
from aectl.cli.shards import EngineOption, ShardOption, check_engine, destination

TopK = Annotated[
    int,
    typer.Option(metavar="N", help="Number of classes per row, the most probable first.", min=1),
]


@options.with_common_options
def classify(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    top_k: TopK = 1,
    label_from_folder: options.LabelFromFolder = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
    out: options.Out = None,
    resume: options.Resume = False,
    shard: ShardOption = None,
    engine: EngineOption = None,
) -> int:
    """Write the predicted class of each image or line of text, with its probability, as a table.

    Example: aectl classify runs/mnist-classifier-1 scans/ --top-k 3 --out labels.csv
    """
    from aectl.outputs import tables
    from aectl.verbs.classify import classify as classify_inputs

    out = destination(out, shard, common.errors)
    tables.check_destination(out, common.overwrite, resume)
    check_engine(engine, out, shard, common.overwrite, resume)
    session = Session(common, out, shard, engine)
    classification = classify_inputs(
        model, inputs, top_k=top_k, device=common.device, threads=common.threads, shard=shard,
        **session.input_options(
            label_from_folder=label_from_folder, relative_to=relative_to, absolute=absolute
        ),
    )  # fmt: skip
    return session.write_table("classify", "classifying", classification, resume)
