"""Trains recipes with three seeds each, measures them on the test set, and prints a table.

    python -m tests.benchmarks recipes OUT [RECIPE...]

OUT keeps the models; what is there already is not trained again. Without names, all recipes, which
takes hours. A recipe that starts from the model of another trains that first, seed by seed.
AECTL_DATA_DIR names the folder of the datasets.
"""

import csv
import statistics
import sys
import tomllib
from pathlib import Path

from aectl.config.recipes import RECIPES

from .commands import reports, trained

SEEDS = range(3)
FIGURES = ("error", "sse", "l0")


def models(out: Path, name: str, *words: object, data: tuple[object, ...] = ()) -> list[Path]:
    """The run folders of a recipe, a seed each.

    `words`: options in addition to its own; `data`: those of it and of the recipe that it needs.
    """
    needed = RECIPES[name].encoder
    below = models(out, needed, data=data) if needed else []
    encoders = [("--encoder", folder) for folder in below]
    folder = out / "-".join([name, *map(str, words)]).replace("--", "")
    return [
        trained(
            folder / f"seed-{seed}",
            "--recipe", name, "--seed", seed, *(encoders[seed] if encoders else ()), *words, *data,
        )
        for seed in SEEDS
    ]  # fmt: skip


def minutes(folder: Path) -> float:
    """How long the epochs of a run took."""
    with (folder / "metrics.csv").open() as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file)) / 60


def row(out: Path, name: str) -> str:
    """The recipe's line of the table."""
    folders, said = models(out, name), []
    measured = reports(*folders)
    for figure in FIGURES:
        values = [report[figure] for report in measured if figure in report]
        if values:
            said.append(
                f"`{figure}` {statistics.mean(values):.4g} ± {statistics.stdev(values):.2g}"
            )
    epochs = tomllib.loads((folders[0] / "config.toml").read_text())["epochs"]
    time = statistics.mean(map(minutes, folders))
    published = RECIPES[name].published
    return f"| `{name}` | {published} | {', '.join(said)} | {epochs} | {time:.1f} |"


def main() -> None:
    out, names = Path(sys.argv[1]), sys.argv[2:] or list(RECIPES)
    print("| recipe | published | on the test set, 3 seeds | epochs | minutes |")
    print("|---|---|---|---|---|")
    for name in names:
        print(row(out, name), flush=True)


if __name__ == "__main__":
    main()
