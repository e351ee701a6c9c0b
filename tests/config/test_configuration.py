"""From options and files to a config that is checked and complete, and back."""

import dataclasses
import math

import pytest

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.config.written_options import read_toml, to_toml
from aectl.errors import ConfigError

MNIST = ((1, 28, 28), 784, 60_000)


def refused(given, beneath=None):
    """The message with which options are refused."""
    with pytest.raises(ConfigError) as caught:
        Config.from_options(given, beneath or {})
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def read(tmp_path, text):
    path = tmp_path / "options.toml"
    path.write_text(text, encoding="utf-8")
    return read_toml(path)


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


IDLE = [
    ({"rho": 0.1}, "--rho has no effect without --sparse (--sparsity kl)"),
    ({"beta": 1.0}, "--beta has no effect without --sparsity kl or l1 or jumprelu or gated"),
    ({"rho": 0.1, "sparsity": "none"}, "--rho has no effect without --sparse (--sparsity kl)"),
    ({"momentum": 0.5}, "--momentum has no effect without --optimizer sgd"),
    ({"keep": "best"}, "--keep has no effect without --validation"),
    ({"keep": "best", "validation": 0.0}, "--keep has no effect without --validation"),
    ({"fine_tune": True, "model": "classifier"}, "--fine-tune has no effect without --encoder"),
    ({"encoder": "a"}, "--encoder has no effect without --model classifier"),
    ({"tied": True, "model": "conv-autoencoder"},
     "--tied has no effect without --model autoencoder"),
    ({"dropout": 0.1, "model": "conv-autoencoder"},
     "--dropout has no effect without --model autoencoder or classifier"),
    *[({name: value, "model": "classifier"},
       f"--{name.replace('_', '-')} has no effect without --model autoencoder or conv-autoencoder")
      for name, value in {
          "loss": "bce", "output_activation": "linear", "bottleneck_factor": 2.0}.items()],
    *[({name: value, "model": "classifier"},
       f"--{name.replace('_', '-')} has no effect without --model autoencoder or conv-autoencoder"
       " or text-autoencoder")
      for name, value in {"sparsity": "kl", "code_activation": "relu"}.items()],
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), IDLE, ids=lambda value: str(value)[:40])
def test_an_option_without_the_one_it_depends_on_is_refused(given, message):
    assert refused(given) == message
    assert refused({}, given) == message


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


DEFAULTS = [
    ({}, {"model": "autoencoder", "activation": "relu", "code_activation": "relu",
          "output_activation": "clamp", "loss": "mse", "sparsity": "none", "lr": 0.003,
          "optimizer": "adam", "dropout": 0.0, "keep": "last", "seed": 0, "batch_size": 128}),
    (KL, {"code_activation": "sigmoid", "lr": 0.01, "rho": 0.05, "beta": 3.0,
          "output_activation": "clamp"}),
    ({"loss": "bce"}, {"output_activation": "sigmoid", "lr": 0.003}),
    ({"loss": "softmax-kl"}, {"output_activation": "linear"}),
    ({"optimizer": "sgd"}, {"lr": 0.03, "momentum": 0.9}),
    ({"model": "classifier"}, {"dropout": 0.5, "lr": 0.001}),
    ({"model": "classifier", "dropout": 0.1, "lr": 1}, {"dropout": 0.1, "lr": 1.0}),
    ({"model": "conv-autoencoder"}, {"dropout": 0.0, "lr": 0.003}),
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


@pytest.mark.parametrize(
    ("given", "width", "hidden"),
    [
        ({}, 784, (392,)), ({"bottleneck_factor": 4}, 784, (196,)),
        ({"bottleneck_factor": 0.5}, 64, (128,)), ({"bottleneck_factor": 1e6}, 784, (1,)),
        ({"hidden": "100,30"}, 784, (100, 30)), ({"model": "classifier"}, 784, (1568, 1568)),
        ({"model": "classifier", "hidden": ""}, 784, ()),
        ({"model": "conv-autoencoder"}, 784, (32, 64, 98)),
        ({"model": "conv-autoencoder", "bottleneck_factor": 2}, 784, (32, 64, 392)),
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


@pytest.mark.parametrize(
    "given",
    [
        {}, {"sparse": True, "rho": 0.1}, {"loss": "bce", "hidden": "30,10", "tied": True},
        {"loss": "softmax-kl", "validation": 0.1, "keep": "best"}, {"bottleneck_factor": 4.0},
        {"model": "conv-autoencoder", "activation": "leaky-relu"}, {"model": "classifier"},
        {"model": "classifier", "hidden": "", "encoder": 'a "b"\\c', "fine_tune": True},
        {"optimizer": "sgd", "momentum": 0.5, "lr": 1e-7, "weight_decay": 1 / 3},
        {"dataset": "./ein Ordner/ü", "size": "28x30", "channels": 3, "seed": 2**32 - 1},
        {"load": "runs/a/model.safetensors", "schedule": "constant", "warmup": 0.0},
    ],
    ids=str,
)  # fmt: skip
def test_a_resolved_config_comes_back_from_its_toml(given, tmp_path):
    config = Config.from_options(given).resolved((3, 28, 30), 2520, 5000)
    again = Config.from_options({}, read(tmp_path, to_toml(config.values())))
    assert again == config
    assert Config.from_options(read(tmp_path, to_toml(config.values()))) == config


def test_values_hold_the_options_that_have_a_meaning_and_no_others():
    values = Config.from_options({"hidden": 5}).values()
    assert values["hidden"] == (5,)
    assert not values.keys() & {"rho", "beta", "momentum", "keep", "encoder", "load"}
    assert "bottleneck_factor" not in values
    assert values.keys() <= OPTIONS.keys()


def test_a_file_may_say_sparse_and_write_options_with_hyphens(tmp_path):
    found = read(tmp_path, "sparse = true\nrho = 0.1\nbatch-size = 32\nhidden = [30, 10]\n")
    config = Config.from_options({}, found)
    assert (config.model.sparsity, config.loss.rho) == ("kl", 0.1)
    assert (config.training.batch_size, config.model.hidden) == (32, (30, 10))


def test_a_flag_can_switch_off_the_file_s_sparse(tmp_path):
    found = read(tmp_path, "sparse = true\nrho = 0.1\n")
    assert Config.from_options({"sparsity": "none"}, found) == Config.from_options({})


@pytest.mark.parametrize("value", ['"no"', "0.05", "[]", "1"])
def test_sparse_is_true_or_false_and_nothing_else(value, tmp_path):
    with pytest.raises(ConfigError, match="sparse"):
        read(tmp_path, f"sparse = {value}\n")


BAD_FILES = {
    "an unknown key": ("rh = 0.1", "no option 'rh'; did you mean 'rho'?"),
    "an underscore": ("batch_size = 3", "no option 'batch_size'; did you mean 'batch-size'?"),
    "a table": ("[training]\nlr = 0.1", "no option 'training'"),
    "an option of the run": ('device = "cpu"', "no option 'device'"),
    "no TOML": ("lr: 0.1", "not a TOML file"),
    "a key twice": ("lr = 0.1\nlr = 0.2", "not a TOML file"),
    "deep nesting": ("a = " + "[" * 100_000, "not a TOML file"),
    "a number of 5,000 digits": ("lr = " + "1" * 5_000, ""),
    "a rate of 400 digits": ("lr = " + "1" * 400, "--lr"),
    "a date": ("lr = 1979-05-27", "--lr must be a number"),
    "a text": ('lr = "0.1"', "--lr must be a number"),
    "an inline table": ("hidden = {a = 1}", "--hidden must be whole numbers"),
    "NaN": ("lr = nan", "--lr must be a finite number"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_and_the_reason(text, reason, tmp_path):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "options.toml") in str(caught.value)
    assert reason in str(caught.value)


def test_files_that_are_missing_folders_or_not_utf_8_are_refused(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'dataset = "\xfc"')
    (tmp_path / "wide.toml").write_bytes('dataset = "mnist"\n'.encode("utf-16"))
    for path, reason in [
        (tmp_path / "missing.toml", "No such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "latin.toml", "is not UTF-8: convert it with iconv -f latin1 -t utf-8"),
        (tmp_path / "wide.toml", "is not UTF-8: convert it with iconv -f utf-16 -t utf-8"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            read_toml(path)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('dataset = "~/photos"', "HOME/photos"),
        ('dataset = "patches:~/photos"', "patches:HOME/photos"),
        ('load = "~/run"', "HOME/run"),
        ('model = "classifier"\nencoder = "~/run"', "HOME/run"),
        ('dataset = "~photos"', "~photos"),
        ('dataset = "photos~"', "photos~"),
        ('dataset = "~/kept"', "~/kept"),
    ],
)
def test_the_home_folder_may_be_written_as_in_a_shell(tmp_path, monkeypatch, written, meant):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~" / "kept").mkdir(parents=True)
    name = written.rpartition("\n")[2].partition(" =")[0]
    values = Config.from_options({}, read(tmp_path, written)).values()
    assert values[name] == meant.replace("HOME", str(tmp_path))


def test_a_config_cannot_be_changed():
    config = Config.from_options({})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.loss.rho = 0.5


def test_a_file_may_hold_what_only_a_given_option_makes_meaningful():
    config = Config.from_options({"sparse": True}, {"rho": 0.1})
    assert (config.model.sparsity, config.loss.rho) == ("kl", 0.1)


@pytest.mark.parametrize(
    ("before", "given", "wanted"),
    [
        ({}, {"model": "classifier"}, {"lr": 0.001, "dropout": 0.5, "hidden": (128, 128)}),
        ({"sparse": True}, {"sparsity": "none"}, {"lr": 0.003, "code_activation": "relu"}),
        ({}, {"sparse": True}, {"lr": 0.01, "code_activation": "sigmoid"}),
        ({}, {"loss": "bce"}, {"output_activation": "sigmoid"}),
        ({"lr": 0.5}, {"sparse": True}, {"lr": 0.5}),
    ],
)
def test_defaults_written_into_a_run_s_file_follow_what_is_changed_on_top(before, given, wanted):
    run = Config.from_options(before).resolved((1, 8, 8), 64, 1000)
    changed = Config.from_options(given, run.values()).resolved((1, 8, 8), 64, 1000)
    assert wanted.items() <= changed.values().items()


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
