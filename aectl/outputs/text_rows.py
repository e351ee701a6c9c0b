"""Lines of text beside their reconstructions, as columns or as readable text."""

from typing import TYPE_CHECKING

from aectl.config.spelling import spelt_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aectl.inference.results import ReconstructedTexts
    from aectl.outputs.rows import Column


def to_columns(result: "ReconstructedTexts") -> "dict[str, Column]":
    """The texts of a batch and their reconstructions, as columns of a table."""
    shorter = {} if result.shorter is None else {"bottleneck": result.shorter}
    return {"original": result.original, **shorter, "reconstruction": result.reconstruction}


def to_text(columns: "Mapping[str, Column]") -> str:
    """Formats columns as readable text: one line per cell, with an empty line between rows."""
    width = max(map(len, columns))
    texts = zip(*columns.values(), strict=True)
    blocks = (
        "".join(f"{name:<{width}}  {spelt_out(s)}\n" for name, s in zip(columns, text, strict=True))
        for text in texts
    )
    return "\n".join(blocks)
