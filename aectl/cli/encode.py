"""`aectl encode`: a table of features, one row per input."""

from typing import Annotated, Literal

import typer

from aectl.cli import options
from aectl.cli.session import Session
from aectl.cli.shards import EngineOption, ShardOption, check_engine, destination

Layer = Annotated[
    int | None,
    typer.Option(
        "--layer", metavar="N", min=1,
        help="Write the output of the Nth layer of the encoder.",
        show_default="the last, the code",
    ),
]  # fmt: skip
Normalize = Annotated[
    Literal["none", "l2"],
    typer.Option("--normalize", help="l2: scale each row to length 1."),
]
Dtype = Annotated[
    Literal["float32", "float16"],
    typer.Option(
        "--dtype", help="Number format; float16 takes half the space and is less precise."
    ),
]
Layout = Annotated[
    Literal["columns", "vector", "sparse"],
    typer.Option(
        "--layout",
        help="columns: one column per feature; vector: one column with a vector; sparse: two "
        "columns with the indices and the values of the units that are not 0.",
    ),
]


@options.with_common_options
def encode(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    layer: Layer = None,
    normalize: Normalize = "none",
    dtype: Dtype = "float32",
    layout: Layout = "columns",
    label_from_folder: options.LabelFromFolder = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
    out: options.Out = None,
    resume: options.Resume = False,
    shard: ShardOption = None,
    engine: EngineOption = None,
) -> int:
    """Write the code of each image or line of text as a table.

    Its columns are the path, the label where known, and the features f0 ... fN.

    Example: find photos -name '*.jpg' | aectl encode runs/mnist-autoencoder-1 - > features.csv
    """
    from aectl.outputs import tables
    from aectl.verbs.encode import encode as encode_inputs

    out = destination(out, shard, common.errors)
    tables.check_destination(out, common.overwrite, resume, layout)
    check_engine(engine, out, shard, common.overwrite, resume)
    session = Session(common, out, shard, engine)
    encoding = encode_inputs(
        model, inputs, layer=layer, normalize=normalize, dtype=dtype,
        device=common.device, threads=common.threads, shard=shard,
        **session.input_options(
            label_from_folder=label_from_folder, relative_to=relative_to, absolute=absolute
        ),
    )  # fmt: skip
    encoding.use.refuse({"layout": layout != "columns"})
    return session.write_table("encode", "encoding", encoding, resume, layout=layout)
