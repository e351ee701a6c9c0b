"""A picture of the training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from aectl.outputs.charts import HEIGHT, WIDTH, chart
from aectl.outputs.pictures import save_png

PANELS = {
    "loss": (
        "loss", "reconstruction", "quality", "sparsity", "cross_entropy", "squared_hinge",
        "language_model", "validation_loss",
    ),
    "mean squared error": ("train_mse", "validation_mse"),
    "explained variance": ("train_explained_variance", "validation_explained_variance"),
    "error, percent": ("train_error", "validation_error"),
    "token accuracy": ("train_token_accuracy", "validation_token_accuracy"),
    "perplexity of the bottleneck": (
        "train_bottleneck_perplexity", "validation_bottleneck_perplexity",
    ),
    "entropy of the kept words": ("choice_entropy",),
    "mean activation": ("train_mean_activation", "validation_mean_activation"),
}  # fmt: skip
"""The panels of the picture, and the columns of `metrics.csv` that each shows."""


def save_curves(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Draws the columns of `rows`, one row per epoch, over the epochs. Raises OutputError.

    A column is drawn only for the epochs that have it.
    """
    there = {name for row in rows for name in row}
    shown = {title: [name for name in names if name in there] for title, names in PANELS.items()}
    charts = [
        chart(title, "epoch", {name: _points(rows, name) for name in _informative(rows, names)})
        for title, names in shown.items()
        if names
    ]
    picture = Image.new("RGB", (WIDTH * len(charts), HEIGHT))
    for number, one in enumerate(charts):
        picture.paste(one, (number * WIDTH, 0))
    save_png(path, picture)


def _points(rows: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[name]) for row in rows if name in row]


def _informative(rows: Sequence[Mapping[str, float]], names: list[str]) -> list[str]:
    """The columns to draw, without a single term of the loss that is equal to the whole loss."""
    whole, *parts = names
    again = len(parts) == 1 and all(row.get(whole) == row.get(parts[0]) for row in rows)
    return [whole] if again else names
