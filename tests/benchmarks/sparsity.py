"""Error against sparsity: `mse` over `l0` on MNIST's test set, 1,000 units, a line a kind.

    python -m tests.benchmarks sparsity OUT [KIND...]

Each kind is trained at several strengths; OUT keeps the models, `sparsity.csv` and `sparsity.png`.
What is there already is not trained again. A sigmoid, which kl needs, is never 0, and what lies
below the line of activity (0.1) helps to reconstruct; `kl, cut` is the same model with such units
at 0. The table on stdout gives each kind's `mse` at the same
`l0`, read off the line between the two nearest points. AECTL_DATA_DIR names the folder of the
datasets.
"""

import csv
import itertools
import math
import os
import sys
from pathlib import Path

import torch

import aectl
from aectl.data.images import datasets

from .commands import reports, trained

LEVELS = (5, 10, 20, 40, 80)
ERRORS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
COMMON = ("--dataset", "mnist", "--hidden", "1000", "--epochs", "20")
STRENGTHS = {
    "topk": ("--k", LEVELS),
    "batch-topk": ("--k", LEVELS),
    "jumprelu": ("--beta", (0.02, 0.1, 0.3, 1.0, 3.0, 10.0)),
    "gated": ("--beta", (0.1, 0.3, 0.6, 1.5, 3.0, 6.0)),
    "l1": ("--beta", (0.06, 0.1, 0.3, 0.6, 1.5, 3.0)),
    "kl": ("--rho", (0.03, 0.04, 0.05, 0.055, 0.06, 0.07)),
}
OPTIONS = {
    "jumprelu": ("--bandwidth", "1"),
    "kl": ("--weight-decay", "0", "--batch-size", "128", "--lr", "0.01"),
}


def measured(out: Path, kind: str) -> list[dict[str, object]]:
    """The figures of a kind at all strengths, by rising `l0`."""
    option, strengths = STRENGTHS[kind]
    found = []
    for strength in strengths:
        words = ("--sparsity", kind, option, strength, *OPTIONS.get(kind, ()))
        (report,) = reports(trained(out / f"{kind}-{strength}", *COMMON, *words))
        wanted = {name: report[name] for name in ("l0", "mse", "dead")}
        found.append({"kind": kind, "strength": strength, **wanted})
    return sorted(found, key=lambda row: row["l0"])


def cut(out: Path, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The rows of a kind, with the `mse` of codes whose units that do not count as active are 0."""
    data = datasets.load("mnist", Path(os.environ["AECTL_DATA_DIR"]))
    images = torch.tensor(data.images).float() / 255
    found = []
    for row in rows:
        model = aectl.load(out / f"{row['kind']}-{row['strength']}")
        with torch.inference_mode():
            code = model.encode(images)
            reconstruction = model.decode(code * (code > model.active_above))
            mse = (reconstruction - images).square().mean().item()
        found.append({**row, "kind": f"{row['kind']}, cut", "mse": mse})
    return found


def at(rows: list[dict[str, object]], l0: float) -> str:
    """`mse` at an `l0`, on the straight line of the logarithms between two points."""
    for a, b in itertools.pairwise(rows):
        if a["l0"] <= l0 * 1.02 and l0 <= b["l0"] * 1.02:
            part = math.log(l0 / a["l0"]) / math.log(b["l0"] / a["l0"])
            return f"{math.exp((1 - part) * math.log(a['mse']) + part * math.log(b['mse'])):.5f}"
    return ""


def draw(path: Path, rows: dict[str, list[dict[str, object]]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    for kind, points in rows.items():
        axes.plot([p["l0"] for p in points], [p["mse"] for p in points], marker="o", label=kind)
    axes.set(xscale="log", yscale="log", xlabel="l0: active units an image", ylabel="mse")
    axes.set_xticks(LEVELS, [f"{level:g}" for level in LEVELS])
    axes.set_yticks(ERRORS, [f"{error:g}" for error in ERRORS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc=(0.05, 0.15))
    figure.savefig(path, dpi=120)


def main() -> None:
    out, kinds = Path(sys.argv[1]), sys.argv[2:] or list(STRENGTHS)
    rows = {kind: measured(out, kind) for kind in kinds}
    if "kl" in rows:
        rows["kl, cut"] = cut(out, rows["kl"])
    with (out / "sparsity.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["kind", "strength", "l0", "mse", "dead"])
        writer.writeheader()
        writer.writerows(row for points in rows.values() for row in points)
    draw(out / "sparsity.png", rows)
    print("| `mse` at `l0` | " + " | ".join(map(str, LEVELS)) + " | most `dead` |")
    print("|---" * (len(LEVELS) + 2) + "|")
    for kind, points in rows.items():
        dead = max(point["dead"] for point in points)
        cells = [kind, *(at(points, level) for level in LEVELS), f"{dead:.3f}"]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
