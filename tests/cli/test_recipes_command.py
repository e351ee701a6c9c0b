"""`aectl recipes`, and `aectl train --recipe`."""

import tomllib

from aectl.config.recipes import RECIPES


def test_the_list_says_of_each_recipe_what_it_reproduces_and_how_to_run_it(aectl):
    done = aectl("recipes")
    assert (done.status, done.err) == (0, "")
    for name, recipe in RECIPES.items():
        assert f"\n    aectl train --recipe {name}" in done.out
        for said in (recipe.source, recipe.published, recipe.expected):
            assert said in done.out
        if recipe.minutes is not None:
            assert f"about {recipe.minutes:g} min" in done.out
    assert "None" not in done.out
    assert "the first step of k-sparse-linear and k-sparse-tuned" in done.out


def test_the_recipe_help_is_the_list(aectl, tmp_path):
    listed, helped = aectl("recipes"), aectl("train", "--recipe", "help")
    assert (helped.status, helped.out, helped.err) == (0, listed.out, "")
    assert not list(tmp_path.iterdir())


def test_options_on_the_command_line_win_over_the_recipe(aectl, tmp_path):
    options = ("--dataset", "digits", "--epochs", "2", "--beta", "1")
    done = aectl("train", "-q", "--recipe", "cs294a", *options, "--out", "run")
    assert done.status == 0
    written = tomllib.loads((tmp_path / "run/config.toml").read_text())
    assert (written["epochs"], written["beta"], written["dataset"]) == (2, 1.0, "digits")
    assert (written["rho"], written["optimizer"], written["hidden"]) == (0.01, "lbfgs", [25])


def test_a_recipe_that_is_none_or_beside_a_config_is_refused(aectl):
    done = aectl("train", "--recipe", "cs294")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "aectl: no recipe 'cs294'; did you mean 'cs294a'?; aectl recipes lists them\n"
    )
    done = aectl("train", "--recipe", "cs294a", "--config", "my.toml")
    assert (done.status, done.err) == (2, "aectl: give either --recipe or --config, not both\n")
