"""The recipes: each a packaged file of options that `train` takes."""

from importlib import resources

import pytest

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.config.patching import Patching
from aectl.config.recipes import RECIPES, read
from aectl.errors import ConfigError


def test_every_file_is_a_recipe_and_every_recipe_a_file():
    files = resources.files("aectl.config.recipes").iterdir()
    names = {file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")}
    assert names == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_config_and_names_what_it_is_trained_on(name):
    options = read(name)
    config = Config.from_options({"encoder": "model"} if RECIPES[name].encoder else {}, options)
    assert options.keys() <= OPTIONS.keys()
    assert config.data.dataset == options.get("dataset", ("mnist",))
    assert ("dataset" in options) == (not RECIPES[name].encoder)


def test_a_stack_of_maps_is_two_recipes_before_the_classifier():
    chain = ["conv-wta-cifar10-first", "conv-wta-cifar10"]
    assert RECIPES["conv-wta-cifar10-linear"].encoder == chain[1]
    assert RECIPES[chain[1]].encoder == chain[0]
    first, second = (
        Config.from_options({"encoder": "model"} if RECIPES[name].encoder else {}, read(name)).model
        for name in chain
    )
    maps = Patching.of(first).pooled_shape((3, 32, 32), first.hidden[-1])
    assert maps == (256, 8, 8)
    assert Patching.of(second).pooled_shape(maps, second.hidden[-1]) == (2048, 2, 2)
    assert second.beside


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_starts_from_the_model_of_another_that_exists(name):
    chain = [name]
    while encoder := RECIPES[chain[-1]].encoder:
        assert encoder not in chain
        chain.append(encoder)


def test_a_name_that_is_almost_a_recipe_s_is_recognised():
    with pytest.raises(ConfigError, match="no recipe 'cs294b'; did you mean 'cs294a'"):
        read("cs294b")


def test_a_recipe_has_a_figure_of_its_own_or_is_the_first_step_of_one_that_has():
    for name, recipe in RECIPES.items():
        followed = any(other.encoder == name for other in RECIPES.values())
        assert bool(recipe.published) == bool(recipe.expected)
        assert recipe.published or followed
