"""`aectl recipes`: the published results that `aectl train --recipe` reproduces."""

from aectl.cli import options
from aectl.cli.stdout import show
from aectl.config.recipes import RECIPES, Recipe


def recipes(debug: options.Debug = False) -> int:
    """List the recipes of train --recipe, with published and reproduced results.

    Example: aectl train --recipe deep-30
    """
    return listed()


def listed() -> int:
    """Writes the list of recipes to stdout."""
    for name, recipe in RECIPES.items():
        show("\n".join([name, *("    " + line for line in _described(name, recipe)), ""]))
    return 0


def _described(name: str, recipe: Recipe) -> list[str]:
    lines = [recipe.source]
    if recipe.published:
        lines += [
            f"published: {recipe.published}",
            f"here:      {recipe.expected}",
        ]
    else:
        following = [other for other, known in RECIPES.items() if known.encoder == name]
        lines.append(f"the first step of {' and '.join(following)}")
    if recipe.minutes is not None:
        minutes = f"{recipe.minutes:g} minute" + "s" * (recipe.minutes != 1)
        lines.append(f"about {minutes} of training on 4 CPU cores")
    encoder = f" --encoder MODEL  (a run of {recipe.encoder})" if recipe.encoder else ""
    return [*lines, f"aectl train --recipe {name}{encoder}"]
