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
    shapes, chain = [], ["conv-wta-cifar10-first", "conv-wta-cifar10"]
    assert RECIPES["conv-wta-cifar10-linear"].encoder == chain[1]
    assert RECIPES[chain[1]].encoder == chain[0]
    below = (3, 32, 32)
    for name in chain:
        above = {"encoder": "model"} if RECIPES[name].encoder else {}
        model = Config.from_options(above, read(name)).model
        below = Patching.of(model).pooled_shape(below, model.hidden[-1])
        shapes.append(below)
    assert shapes == [(256, 8, 8), (512, 2, 2)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_starts_from_the_model_of_another_that_exists(name):
    chain = [name]
    while encoder := RECIPES[chain[-1]].encoder:
        assert encoder not in chain
        chain.append(encoder)


def test_a_name_that_is_almost_a_recipe_s_is_recognised():
    with pytest.raises(ConfigError, match="no recipe 'cs294b'; did you mean 'cs294a'"):
        read("cs294b")


NOT_MEASURED = {"conv-wta-cifar10-linear"}


def test_a_recipe_has_a_figure_of_its_own_or_is_the_first_step_of_one_that_has():
    for name, recipe in RECIPES.items():
        followed = any(other.encoder == name for other in RECIPES.values())
        assert bool(recipe.published) == (bool(recipe.expected) or name in NOT_MEASURED)
        assert recipe.published or followed
