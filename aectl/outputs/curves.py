"""A picture of the training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.outputs.pictures import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "loss": (
        "loss", "reconstruction", "quality", "sparsity", "cross_entropy", "squared_hinge",
        "language_model", "validation_loss",
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

WIDTH, HEIGHT = 4.2, 3.2
LEFT, RIGHT, BOTTOM, TOP = 0.8, 0.1, 0.5, 0.3
"""The size of a panel, and its margins, in inches."""


def save_curves(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Draws the columns of `rows`, one row per epoch, over the epochs. Raises OutputError.

    A column is drawn only for the epochs that have it. The picture is drawn once and with margins
    of a fixed size: matplotlib's layouts and `savefig` draw it two to four times.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    there = {name for row in rows for name in row}
    shown = {title: [name for name in names if name in there] for title, names in PANELS.items()}
    shown = {title: _informative(rows, names) for title, names in shown.items() if names}
    whole = WIDTH * len(shown)
    figure = Figure(figsize=(whole, HEIGHT), dpi=120)
    for number, (title, names) in enumerate(shown.items()):
        left, width = number * WIDTH + LEFT, WIDTH - LEFT - RIGHT
        height = HEIGHT - BOTTOM - TOP
        axes = figure.add_axes((left / whole, BOTTOM / HEIGHT, width / whole, height / HEIGHT))
        axes.set_title(title, fontsize=10, y=1)  # to look for a place takes a third of the time
        _draw(axes, rows, names)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    save_png(path, picture.convert("RGB"))


def _draw(axes: "Axes", rows: Sequence[Mapping[str, float]], names: list[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    for name in names:
        of_name = [row for row in rows if name in row]
        epochs = [row["epoch"] for row in of_name]
        axes.plot(epochs, [row[name] for row in of_name], marker=".", label=name)
    values = [row[name] for row in rows for name in names if name in row]
    if min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=9)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        axes.legend(fontsize=8, frameon=False)


def _informative(rows: Sequence[Mapping[str, float]], names: list[str]) -> list[str]:
    """The columns to draw, without a single term of the loss that is equal to the whole loss."""
    whole, *parts = names
    again = len(parts) == 1 and all(row.get(whole) == row.get(parts[0]) for row in rows)
    return [whole] if again else names
