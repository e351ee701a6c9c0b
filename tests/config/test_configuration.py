"""From options to a config that is checked and complete."""

import dataclasses
import math

import pytest

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.errors import ConfigError

MNIST = ((1, 28, 28), 784, 60_000)


def refused(given, beneath=None):
    """The message with which options are refused."""
    with pytest.raises(ConfigError) as caught:
        Config.from_options(given, beneath or {})
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


NAN, INFINITY = float("nan"), float("inf")


KL = {"sparsity": "kl"}


OUT_OF_RANGE = [
    *[({"rho": rho, **KL}, "--rho") for rho in (0, 1, 1.5, -1, NAN, INFINITY)],
    *[({"beta": beta, **KL}, "--beta") for beta in (-1, NAN)],
    *[({"hidden": hidden}, "--hidden") for hidden in (0, "5,0", [-1], "", 10**7, [1] * 40)],
    *[({"epochs": epochs}, "--epochs") for epochs in (0, -1)],
    *[({"batch_size": size}, "--batch-size") for size in (0, -1)],
    *[({"lr": lr}, "--lr") for lr in (0, -0.1, NAN, INFINITY)],
    *[({"validation": part}, "--validation") for part in (1, 1.5, -0.1, NAN)],
    *[({"warmup": part}, "--warmup") for part in (1, -0.1, NAN)],
    *[({"dropout": part}, "--dropout") for part in (1, -0.1, NAN)],
    *[({"momentum": part, "optimizer": "sgd"}, "--momentum") for part in (1, -0.1, NAN)],
    *[({"weight_decay": decay}, "--weight-decay") for decay in (-1, NAN, INFINITY)],
    *[({"bottleneck_factor": factor}, "--bottleneck-factor") for factor in (0, -2, NAN)],
    *[({"channels": channels}, "--channels") for channels in (0, 2, 4)],
    *[({"size": size}, "--size") for size in (0, "28x0", "1x2x3", "", 5000, -1)],
    *[({"seed": seed}, "--seed") for seed in (-1, 2**32)],
    ({"model": "conv-autoencoder", "hidden": "32"}, "--hidden"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "flag"), OUT_OF_RANGE, ids=lambda value: str(value)[:40])
def test_a_value_outside_its_range_is_refused_with_the_option_named(given, flag):
    assert f"{flag} " in refused(given)


@pytest.mark.parametrize(
    "given",
    [
        {"rho": "0.05", **KL}, {"rho": True, **KL}, {"epochs": 1.5}, {"epochs": "10"},
        {"epochs": True}, {"hidden": "a"}, {"hidden": 1.5}, {"hidden": [True]}, {"tied": "yes"},
        {"tied": 1}, {"model": 3}, {"loss": ["mse"]}, {"seed": 0.0}, {"lr": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_of_another_type_is_refused_with_the_option_named(given):
    name = next(iter(given))
    assert f"--{name} must be " in refused(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"model": "autoencodr"}, "autoencoder"), ({"model": "clasifier"}, "classifier"),
        ({"loss": "softmaxkl"}, "softmax-kl"), ({"optimizer": "adan"}, "adam"),
        ({"activation": "sigmoide"}, "sigmoid"), ({"schedule": "cosin"}, "cosine"),
        ({"rh": 0.1}, "rho"), ({"bottleneck_facto": 2}, "bottleneck_factor"),
    ],
    ids=str,
)  # fmt: skip
def test_a_near_miss_is_named(given, meant):
    assert refused(given).endswith(f"did you mean '{meant}'?")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden": 5, "bottleneck_factor": 2.0}, "either --hidden or --bottleneck-factor"),
        ({"loss": "bce", "output_activation": "clamp"}, "--output-activation sigmoid"),
        ({"sparsity": "kl", "code_activation": "relu"}, "--code-activation sigmoid"),
        ({"sparse": True, "sparsity": "none"}, "--sparse and --sparsity none disagree"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_refused(given, message):
    assert message in refused(given)


MAP = {"model": "conv-autoencoder"}
DENSE_CODE = MAP | {"bottleneck": "vector"}


@pytest.mark.parametrize(
    ("given", "width", "hidden"),
    [
        ({}, 784, (392,)), ({"bottleneck_factor": 4}, 784, (196,)),
        ({"bottleneck_factor": 0.5}, 64, (128,)), ({"bottleneck_factor": 1e6}, 784, (1,)),
        ({"hidden": "100,30"}, 784, (100, 30)), ({"model": "classifier"}, 784, (1568, 1568)),
        ({"model": "classifier", "hidden": ""}, 784, ()),
        (DENSE_CODE, 784, (32, 64, 98)),
        (DENSE_CODE | {"bottleneck_factor": 2}, 784, (32, 64, 392)),
        (MAP, 784, (32, 64, 128, 4)), (MAP | {"bottleneck_factor": 8}, 784, (32, 64, 128, 8)),
    ],
    ids=str,
)  # fmt: skip
def test_widths_come_from_the_input_where_none_are_given(given, width, hidden):
    config = Config.from_options(given).resolved((1, 8, width // 8), width, 1000)
    assert config.model.hidden == hidden


@pytest.mark.parametrize("factor", [0.01, 1e-9, 1e-320])
def test_a_factor_that_asks_for_a_code_too_wide_is_refused_as_a_config_error(factor):
    with pytest.raises(ConfigError):
        Config.from_options({"bottleneck_factor": factor}).resolved((1, 4096, 4096), 4096**2, 1000)


@pytest.mark.parametrize(
    ("images", "batch_size"), [(1437, 128), (100, 128), (5000, 32), (60_000, 128), (60_000, 6000)]
)
def test_epochs_are_ten_or_the_fewest_that_make_three_thousand_steps(images, batch_size):
    config = Config.from_options({"batch_size": batch_size}).resolved((1, 8, 8), 64, images)
    steps = math.ceil(images / batch_size)
    epochs = config.training.epochs
    assert epochs >= 10
    assert epochs * steps >= 2000
    assert epochs == 10 or (epochs - 1) * steps < 2000


def test_mnist_is_trained_on_for_ten_epochs_at_a_width_of_392():
    config = Config.from_options({}).resolved(*MNIST)
    assert (config.training.epochs, config.model.hidden) == (10, (392,))
    assert (config.data.size, config.data.channels) == ((28, 28), 1)


def test_given_epochs_stay():
    assert Config.from_options({"epochs": 2}).resolved((1, 8, 8), 64, 5).training.epochs == 2


def test_held_out_images_do_not_count_towards_the_three_thousand_steps():
    config = Config.from_options({"validation": 0.5}).resolved((1, 8, 8), 64, 1000)
    assert config.training.epochs * math.ceil(500 / 128) >= 2000


def test_values_hold_the_options_that_have_a_meaning_and_no_others():
    values = Config.from_options({"hidden": 5}).values()
    assert values["hidden"] == (5,)
    assert not values.keys() & {"rho", "beta", "momentum", "keep", "encoder", "load"}
    assert "bottleneck_factor" not in values
    assert values.keys() <= OPTIONS.keys()


def test_a_config_cannot_be_changed():
    config = Config.from_options({})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.loss.rho = 0.5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"k": 3, "k_start": 2}, "--k-start is 2, less than --k, 3"),
        ({"k": 3, "k_start": 17, "hidden": "16"}, "--k-start is 17, and the code has 16 units"),
        ({"k": 3, "k_start": 9, "compile": True}, "--compile cannot go with --k-start"),
        (
            {"k": 11, "stack": 1, "hidden": "10,64"},
            "narrowest has 10 units, fewer than the 11 active",
        ),
        ({"k": 3, "k_start": 12, "stack": 1, "hidden": "10,64"}, "fewer than the 12 active ones"),
    ],
)
def test_active_units_that_no_layer_has_room_for_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        Config.from_options({"sparsity": "topk", **given})


@pytest.mark.parametrize(
    ("given", "lr"),
    [
        ({"model": "text-autoencoder", "sparsity": "topk"}, 0.0015),
        ({"model": "text-autoencoder", "sparsity": "topk", "optimizer": "sgd"}, 0.03),
        ({"model": "text-autoencoder", "sparsity": "l1"}, 0.003),
        ({"sparsity": "topk"}, 0.003),
    ],
)
def test_the_learning_rate_of_a_code_of_text_that_keeps_k_units_is_lower(given, lr):
    assert Config.from_options(given).training.lr == lr
