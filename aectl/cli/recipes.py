"""`aectl recipes`: the published results that `aectl train --recipe` reproduces."""

import typer

from aectl.cli import options
from aectl.recipes import RECIPES


def recipes(debug: options.Debug = False) -> int:
    """List the recipes of `aectl train --recipe`: what each reproduces, its figure and its time.

    Example: aectl train --recipe deep-30
    """
    for name, recipe in RECIPES.items():
        encoder = f" --encoder MODEL  (the model of {recipe.encoder})" if recipe.encoder else ""
        typer.echo(
            f"{name}\n"
            f"    {recipe.source}\n"
            f"    published: {recipe.published}\n"
            f"    expected:  {recipe.expected}, in {recipe.minutes:g} minutes on 4 CPU cores\n"
            f"    aectl train --recipe {name}{encoder}"
        )
    return 0
