"""`aectl recipes`: the published results that `aectl train --recipe` reproduces."""

from aectl.cli import options
from aectl.cli.stdout import show
from aectl.config.recipes import RECIPES, Recipe


def recipes(debug: options.Debug = False) -> int:
    """List the recipes of `aectl train --recipe`: the published result, the reproduced one and the
    training time.

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
        lines += [f"published: {recipe.published}", f"here:      {recipe.expected}"]
    else:
        following = [other for other, known in RECIPES.items() if known.encoder == name]
        lines.append(f"the first step of {' and '.join(following)}")
    lines.append(f"about {recipe.minutes:g} minutes on 4 CPU cores")
    encoder = f" --encoder MODEL  (the one of {recipe.encoder})" if recipe.encoder else ""
    return [*lines, f"aectl train --recipe {name}{encoder}"]
