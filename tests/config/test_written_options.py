"""Options in TOML files and in commands: what is read, what is refused, and what comes back."""

import os
import subprocess

import pytest

from aectl.config.configuration import Config
from aectl.config.written_options import command, read_toml, to_toml
from aectl.errors import ConfigError


def read(tmp_path, text):
    path = tmp_path / "options.toml"
    path.write_text(text, encoding="utf-8")
    return read_toml(path)


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


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        ({"sparse": True, "center": False}, ["--sparse", "--no-center"]),
        ({"hidden": (1000, 500), "size": [28, 30]}, ["--hidden", "1000,500", "--size", "28,30"]),
        ({"hidden": ()}, ["--hidden", ""]),
        ({"include": ("*.png", "a b/*")}, ["--include", "*.png", "--include", "a b/*"]),
        ({"dataset": "it's $HOME", "lr": 1e-7}, ["--dataset", "it's $HOME", "--lr", "1e-07"]),
        ({"dataset": os.fsdecode(b"caf\xe9")}, ["--dataset", "file:caf%E9"]),
    ],
)
def test_a_command_is_split_by_a_shell_into_the_options_that_were_asked(asked, words):
    printed = subprocess.run(
        ["/bin/sh", "-c", f"aectl() {{ printf '%s\\n' \"$@\"; }}; {command(asked)}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert printed.split("\n")[:-1] == ["train", *words]
