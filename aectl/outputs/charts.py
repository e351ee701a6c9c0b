"""Charts of curves, drawn with Pillow.

matplotlib needs a tenth of a second for each chart, and a third to be loaded: more than many small
trainings.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from aectl.outputs.axes import Axis
from aectl.outputs.pictures import font

WIDTH, HEIGHT = 504, 384
TOP, BOTTOM, RIGHT = 36, 60, 12
"""Margins of a plot in pixels; the right one is at least so wide."""

TICK, GAP = 5, 4
"""Length of a tick, and the space between it and its label, in pixels."""

TITLE, SMALL, LEGEND = 16, 15, 13
"""Sizes of letters."""

PAPER, INK, GRID = "white", "black", "#e6e6e6"
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f",
)  # fmt: skip
FINER = 3
"""Curves are drawn with so many times the pixels each way, whose means give smooth edges."""

THICK, DOT, LEAST_APART = 2, 3, 8
"""Width of a curve, the radius of a point, and the least distance of points that are marked."""

ROW, SWATCH = 20, 28
"""Height of a row of the legend, and the length of the piece of a curve in it."""

Point = tuple[float, float]


class Plot(NamedTuple):
    """A place for curves, in pixels: the left and right edge, and the axes across and upwards."""

    left: int
    right: int
    across: Axis
    upwards: Axis

    def x(self, value: float) -> float:
        """The column of a value."""
        return self.left + (self.right - self.left) * self.across.place(value)

    def y(self, value: float) -> float:
        """The row of a value."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - self.upwards.place(value))


def chart(title: str, label: str, curves: Mapping[str, Sequence[Point]]) -> Image.Image:
    """Draws curves over an axis of whole numbers, `label`; points whose values are not finite are
    left out."""
    finite = [[one for one in curve if math.isfinite(one[1])] for curve in curves.values()]
    across = Axis.whole([x for curve in finite for x, _ in curve])
    upwards = Axis.of([y for curve in finite for _, y in curve])
    left = math.ceil(_widest(upwards.labels)) + TICK + 3 * GAP
    right = WIDTH - max(RIGHT, math.ceil(_widest(across.labels) / 2) + GAP)
    plot = Plot(left, right, across, upwards)
    placed = [[(plot.x(x), plot.y(y)) for x, y in curve] for curve in finite]
    names = list(curves) if len(curves) > 1 else []
    legend = _legend(plot, placed, names)
    fine = Image.new("RGB", (FINER * WIDTH, FINER * HEIGHT), PAPER)
    _draw_axes(fine, plot)
    for curve, colour in zip(placed, cycle(COLOURS), strict=False):
        few = LEAST_APART * len(curve) <= plot.right - plot.left
        _draw_curve(fine, curve, colour, curve if few else [])
    for (x, y), colour in zip(legend, cycle(COLOURS), strict=False):
        swatch = [(x + offset, y) for offset in (0, SWATCH / 2, SWATCH)]
        _draw_curve(fine, swatch, colour, swatch[1:2])
    picture = fine.reduce(FINER)
    _write(picture, plot, title, label)
    draw = ImageDraw.Draw(picture)
    for name, (x, y) in zip(names, legend, strict=True):
        draw.text((x + SWATCH + 2 * GAP, y), name, INK, font(LEGEND), "lm")
    return picture


def _widest(labels: Sequence[str]) -> float:
    return max(map(font(SMALL).getlength, labels))


def _ticks(plot: Plot) -> Iterator[tuple[Point, str]]:
    """The places of the labels and the labels, those across first."""
    for value, label in zip(plot.across.ticks, plot.across.labels, strict=True):
        yield (round(plot.x(value)), HEIGHT - BOTTOM), label
    for value, label in zip(plot.upwards.ticks, plot.upwards.labels, strict=True):
        yield (plot.left, round(plot.y(value))), label


def _draw_axes(fine: Image.Image, plot: Plot) -> None:
    draw = ImageDraw.Draw(fine)

    def line(left: float, top: float, right: float, bottom: float, colour: str) -> None:
        edges = left * FINER, top * FINER, (right + 1) * FINER - 1, (bottom + 1) * FINER - 1
        draw.rectangle(edges, colour)

    for (x, y), _ in _ticks(plot):
        if y == HEIGHT - BOTTOM:
            line(x, TOP, x, y, GRID)
            line(x, y, x, y + TICK, INK)
        else:
            line(x, y, plot.right, y, GRID)
            line(x - TICK, y, x, y, INK)
    line(plot.left, HEIGHT - BOTTOM, plot.right, HEIGHT - BOTTOM, INK)
    line(plot.left, TOP, plot.left, HEIGHT - BOTTOM, INK)


def _draw_curve(
    fine: Image.Image, curve: Sequence[Point], colour: str, marked: Sequence[Point]
) -> None:
    """Draws a curve, and dots at points of it."""
    if not curve:
        return
    draw = ImageDraw.Draw(fine)
    middle = (FINER - 1) / 2
    draw.line(
        [(FINER * x + middle, FINER * y + middle) for x, y in curve], colour, FINER * THICK, "curve"
    )
    for x, y in marked:
        draw.circle((FINER * x + middle, FINER * y + middle), FINER * DOT, colour)


def _write(picture: Image.Image, plot: Plot, title: str, label: str) -> None:
    """Writes the title, and the labels of the axes and ticks."""
    draw = ImageDraw.Draw(picture)
    for (x, y), said in _ticks(plot):
        if y == HEIGHT - BOTTOM:
            draw.text((x, y + TICK + GAP), said, INK, font(SMALL), "ma")
        else:
            draw.text((x - TICK - GAP, y), said, INK, font(SMALL), "rm")
    middle = (plot.left + plot.right) / 2
    draw.text((middle, TOP / 2), title, INK, font(TITLE), "mm")
    draw.text((middle, HEIGHT - BOTTOM / 3), label, INK, font(SMALL), "mm")


def _legend(
    plot: Plot, curves: Sequence[Sequence[Point]], names: Sequence[str]
) -> list[tuple[int, int]]:
    """Where each name of the legend begins; all lie at that place of the plot where they hide the
    least."""
    wide = SWATCH + 3 * GAP + math.ceil(max(map(font(LEGEND).getlength, names), default=0))
    high = ROW * len(names)
    columns = np.arange(WIDTH)
    heights = [np.interp(columns, *np.transpose(curve)) for curve in curves if curve]

    def hidden(corner: tuple[int, int]) -> int:
        x, y = corner
        return sum(int(((y <= one) & (one <= y + high))[x : x + wide].sum()) for one in heights)

    left, right = plot.left + 3 * GAP, plot.right - wide
    top, low = TOP + GAP, HEIGHT - BOTTOM - high - GAP
    places = [(x, y) for y in (top, low, (top + low) // 2) for x in (right, left)]
    left, top = min(places, key=hidden)
    return [(left, top + ROW // 2 + ROW * number) for number in range(len(names))]
