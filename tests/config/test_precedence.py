"""Options over those of a file, over defaults: which win, which are dropped, which are refused."""

import pytest

from aectl.config.configuration import Config
from aectl.errors import ConfigError

KL = {"sparsity": "kl"}
MNIST = ((1, 28, 28), 784, 60_000)


def refused(given, beneath=None):
    """The message with which options are refused."""
    with pytest.raises(ConfigError) as caught:
        Config.from_options(given, beneath or {})
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


IDLE = [
    ({"rho": 0.1}, "--rho has no effect without --sparse (--sparsity kl)"),
    ({"beta": 1.0}, "--beta has no effect without --sparsity kl or l1 or jumprelu or gated"),
    ({"rho": 0.1, "sparsity": "none"}, "--rho has no effect without --sparse (--sparsity kl)"),
    ({"momentum": 0.5}, "--momentum has no effect without --optimizer sgd"),
    ({"keep": "best"}, "--keep has no effect without --validation"),
    ({"patience": 3}, "--patience has no effect without --validation"),
    ({"keep": "best", "validation": 0.0}, "--keep has no effect without --validation"),
    ({"fine_tune": True, "model": "classifier"}, "--fine-tune has no effect without --encoder"),
    ({"encoder": "a"},
     "--encoder has no effect without --model patch-autoencoder or conv-wta-autoencoder or"
     " classifier"),
    ({"tied": True, "model": "conv-autoencoder"},
     "--tied has no effect without --model autoencoder or patch-autoencoder"),
    ({"stack": 3, "model": "patch-autoencoder"},
     "--stack has no effect without --model autoencoder"),
    *[({"bottleneck_factor": 2.0, "model": kind},
       "--bottleneck-factor has no effect without --model autoencoder or conv-autoencoder")
      for kind in ("patch-autoencoder", "conv-wta-autoencoder", "classifier")],
    *[({name: value, "model": "patch-autoencoder"},
       f"--{name.replace('_', '-')} has no effect without --model autoencoder or conv-autoencoder"
       " or conv-wta-autoencoder")
      for name, value in {
          "loss": "mse", "output_activation": "linear", "center": True}.items()],
    ({"shift": 1, "model": "patch-autoencoder"},
     "--shift has no effect without --model autoencoder or conv-autoencoder or"
     " conv-wta-autoencoder or classifier"),
    *[({name: 3}, f"--{name.replace('_', '-')} has no effect without --model conv-wta-autoencoder")
      for name in ("kernel_size", "filter_size")],
    ({"whitening": 0.1},
     "--whitening has no effect without --model patch-autoencoder or conv-wta-autoencoder"),
    ({"patch_size": 4, "model": "conv-wta-autoencoder"},
     "--patch-size has no effect without --model patch-autoencoder"),
    ({"threshold": 0.1, "model": "conv-wta-autoencoder"},
     "--threshold has no effect without --features soft-threshold"),
    ({"patch_size": 4}, "--patch-size has no effect without --model patch-autoencoder"),
    ({"threshold": 0.1, "features": "code", "model": "patch-autoencoder"},
     "--threshold has no effect without --features soft-threshold"),
    ({"grid": 3, "pool": "none", "model": "patch-autoencoder"},
     "--grid has no effect without --pool sum or mean or max"),
    ({"standardize": True}, "--standardize has no effect without --model classifier"),
    ({"dropout": 0.1, "model": "conv-autoencoder"},
     "--dropout has no effect without --model autoencoder or patch-autoencoder or classifier"),
    *[({name: value, "model": "classifier"},
       f"--{name.replace('_', '-')} has no effect without --model autoencoder or conv-autoencoder"
       " or conv-wta-autoencoder")
      for name, value in {"loss": "bce", "output_activation": "linear"}.items()],
    *[({name: value, "model": "classifier"},
       f"--{name.replace('_', '-')} has no effect without --model autoencoder or conv-autoencoder"
       " or patch-autoencoder or conv-wta-autoencoder or text-autoencoder")
      for name, value in {"sparsity": "kl", "code_activation": "relu"}.items()],
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), IDLE, ids=lambda value: str(value)[:40])
def test_an_option_without_the_one_it_depends_on_is_refused(given, message):
    assert refused(given) == message
    assert refused({}, given) == message


DEFAULTS = [
    ({}, {"model": "autoencoder", "activation": "relu", "code_activation": "relu",
          "output_activation": "clamp", "loss": "mse", "sparsity": "none", "lr": 0.003,
          "optimizer": "adam", "dropout": 0.0, "keep": "last", "seed": 0, "batch_size": 128}),
    (KL, {"code_activation": "sigmoid", "lr": 0.02, "rho": 0.05, "beta": 3.0,
          "output_activation": "clamp", "batch_size": 512, "weight_decay": None}),
    ({"size": 28, "channels": 1, **KL}, {"weight_decay": 3e-6 * 784}),
    ({"size": "8x6", "channels": 3, **KL}, {"weight_decay": 3e-6 * 144}),
    ({"weight_decay": 0, "batch_size": 7, **KL}, {"weight_decay": 0.0, "batch_size": 7}),
    ({"optimizer": "sgd", **KL}, {"lr": 0.03}),
    *[({"model": model, **KL}, {"lr": lr, "batch_size": batch, "weight_decay": decay})
      for model, lr, batch, decay in [("patch-autoencoder", 0.01, 1000, 0.0),
                                      ("text-autoencoder", 0.02, 128, 0.0)]],
    ({"model": "conv-autoencoder", "bottleneck": "vector", **KL}, {"batch_size": 128}),
    ({"loss": "bce"}, {"output_activation": "sigmoid", "lr": 0.003}),
    ({"loss": "softmax-kl"}, {"output_activation": "linear"}),
    ({"optimizer": "sgd"}, {"lr": 0.03, "momentum": 0.9}),
    ({"model": "classifier"}, {"dropout": 0.5, "lr": 0.001}),
    ({"model": "classifier", "dropout": 0.1, "lr": 1}, {"dropout": 0.1, "lr": 1.0}),
    ({"model": "conv-autoencoder"},
     {"dropout": 0.0, "bottleneck": "map", "lr": 0.001, "activation": "silu",
      "code_activation": "linear", "batch_size": 16, "clip_grad": 50.0}),
    ({"model": "conv-autoencoder", "bottleneck": "vector"},
     {"lr": 0.003, "activation": "relu", "code_activation": "relu", "batch_size": 128}),
    ({"model": "conv-autoencoder", "sparsity": "topk"}, {"code_activation": "relu"}),
    ({"lr": 0.5, **KL}, {"lr": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), DEFAULTS, ids=lambda value: str(value)[:40])
def test_defaults_follow_the_options_on_which_they_depend(given, expected):
    assert flat(Config.from_options(given)).items() >= expected.items()


def flat(config):
    """Every option of a config, those without a meaning too."""
    sections = (config.data, config.model, config.loss, config.training)
    return {name: value for part in sections for name, value in vars(part).items()}


def test_sparse_alone_means_the_kl_penalty():
    assert Config.from_options({"sparse": True}) == Config.from_options(KL)
    assert Config.from_options({"sparse": False}) == Config.from_options({})


def test_flags_win_over_the_file():
    config = Config.from_options({"lr": 0.5, "epochs": 3}, {"lr": 0.1, "seed": 7})
    assert (config.training.lr, config.training.epochs, config.training.seed) == (0.5, 3, 7)


POINTLESS = [
    ({"sparsity": "none"}, {"sparsity": "kl", "rho": 0.2, "beta": 1.0}),
    ({"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.5}),
    ({"validation": 0.0}, {"validation": 0.2, "keep": "best"}),
    ({"model": "conv-autoencoder"}, {"tied": True, "dropout": 0.3}),
    ({"model": "classifier"}, {"loss": "bce"}),
    ({"model": "classifier"}, {"sparsity": "kl"}),
    ({"model": "classifier"}, {"sparsity": "kl", "rho": 0.2, "beta": 1.0}),
    ({"model": "autoencoder"}, {"model": "classifier", "encoder": "a", "fine_tune": True}),
]


@pytest.mark.parametrize(("given", "file"), POINTLESS, ids=str)
def test_an_option_of_the_file_that_a_flag_has_made_pointless_leaves_no_trace(given, file):
    assert Config.from_options(given, file) == Config.from_options(given)


def test_a_flag_is_refused_where_another_flag_has_made_the_file_s_option_pointless():
    assert "--rho has no effect" in refused({"model": "classifier", "rho": 0.1}, KL)


def test_a_bottleneck_factor_on_the_command_line_wins_over_the_file_s_widths():
    config = Config.from_options({"bottleneck_factor": 4}, {"hidden": [392]}).resolved(*MNIST)
    assert config.model.hidden == (196,)


def test_widths_on_the_command_line_win_over_the_file_s_bottleneck_factor():
    config = Config.from_options({"hidden": 30}, {"bottleneck_factor": 4.0}).resolved(*MNIST)
    assert config.model.hidden == (30,)


def test_a_file_may_hold_what_only_a_given_option_makes_meaningful():
    config = Config.from_options({"sparse": True}, {"rho": 0.1})
    assert (config.model.sparsity, config.loss.rho) == ("kl", 0.1)


@pytest.mark.parametrize(
    ("before", "given", "wanted"),
    [
        ({}, {"model": "classifier"}, {"lr": 0.001, "dropout": 0.5, "hidden": (128, 128)}),
        ({"sparse": True}, {"sparsity": "none"},
         {"lr": 0.003, "batch_size": 128, "weight_decay": 0.0, "code_activation": "relu"}),
        ({}, {"sparse": True},
         {"lr": 0.02, "batch_size": 512, "weight_decay": 0.000192, "code_activation": "sigmoid"}),
        ({"sparse": True}, {"size": 28}, {"weight_decay": 3e-6 * 784}),
        ({"sparse": True, "weight_decay": 0.1}, {"sparsity": "none"}, {"weight_decay": 0.1}),
        ({"sparse": True, "weight_decay": 0.0}, {"epochs": 7}, {"weight_decay": 0.0}),
        ({"sparse": True, "weight_decay": 0.0}, {"size": 28}, {"weight_decay": 0.0}),
        ({}, {"loss": "bce"}, {"output_activation": "sigmoid"}),
        ({"lr": 0.5}, {"sparse": True}, {"lr": 0.5}),
    ],
)  # fmt: skip
def test_defaults_written_into_a_run_s_file_follow_what_is_changed_on_top(before, given, wanted):
    run = Config.from_options(before).resolved((1, 8, 8), 64, 1000)
    side = given.get("size", 8)
    changed = Config.from_options(given, run.values()).resolved((1, side, side), side**2, 1000)
    assert wanted.items() <= changed.values().items()


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ({"dropout": 0.0, "hidden": ()}, {"model": "classifier"}),
        ({"lr": 0.001, "batch_size": 128}, {"sparse": True}),
        ({"lr": 0.02, "sparse": True}, {"sparsity": "none"}),
    ],
)
def test_a_value_that_a_user_wrote_stays_also_where_it_is_a_default(file, given):
    found = Config.from_options(given, file).values()
    expected = {name: value for name, value in file.items() if name != "sparse"}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("beneath", [{}, {"modality": "images"}, {"sparsity": "kl"}])
def test_a_value_that_is_no_choice_is_refused_before_a_default_follows_from_it(beneath):
    with pytest.raises(ConfigError, match="--sparsity must be one of"):
        Config.from_options({"sparsity": ""}, beneath)
