"""A picture of the training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aectl.data.images import png
from aectl.files import replacing

PANELS = {
    "loss": (
        "loss", "reconstruction", "quality", "sparsity", "cross_entropy", "language_model",
        "validation_loss",
    ),
    "mean squared error": ("train_mse", "validation_mse"),
    "error, percent": ("train_error", "validation_error"),
    "token accuracy": ("train_token_accuracy", "validation_token_accuracy"),
    "perplexity of the bottleneck": (
        "train_bottleneck_perplexity", "validation_bottleneck_perplexity",
    ),
    "mean activation": ("train_mean_activation", "validation_mean_activation"),
}  # fmt: skip
"""The panels of the picture, and the columns of `metrics.csv` that each shows."""


def save_curves(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Draws the columns of `rows`, one row per epoch, over the epochs. Raises OutputError.

    A column is drawn only for the epochs that have it.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    there = {name for row in rows for name in row}
    shown = {title: [name for name in names if name in there] for title, names in PANELS.items()}
    shown = {title: _informative(rows, names) for title, names in shown.items() if names}
    figure = Figure(figsize=(4.2 * len(shown), 3.2), layout="constrained")
    for axes, (title, names) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        for name in names:
            of_name = [row for row in rows if name in row]
            epochs = [row["epoch"] for row in of_name]
            axes.plot(epochs, [row[name] for row in of_name], marker=".", label=name)
        values = [row[name] for row in rows for name in names if name in row]
        if min(values) > 0 and max(values) > 10 * min(values):
            axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axes.legend(fontsize=8, frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata=dict([png.SOFTWARE]))


def _informative(rows: Sequence[Mapping[str, float]], names: list[str]) -> list[str]:
    """The columns to draw, without a single term of the loss that is equal to the whole loss."""
    whole, *parts = names
    again = len(parts) == 1 and all(row.get(whole) == row.get(parts[0]) for row in rows)
    return [whole] if again else names
