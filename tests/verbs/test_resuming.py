"""Continuing a training: what may be changed, what is refused, and how the rate goes on."""

import dataclasses
import math
import shutil
from pathlib import Path

import pytest
import torch

from aectl.config.configuration import Config
from aectl.data.storage.folders import ignore
from aectl.errors import ConfigError, DataError, ModelFileError
from aectl.training import checkpoint
from aectl.training.reading import Reading
from aectl.training.versions import versions
from aectl.verbs import resuming
from aectl.verbs.planning import new_run, prepare_again

READING = Reading(Path("none"), ignore)


@pytest.fixture
def kept(dense, tmp_path):
    """A run folder with the config of `dense`, and the state at the end of its 20 epochs."""
    run = tmp_path / "seed-0"
    shutil.copytree(dense / "checkpoint", run / "checkpoint")
    shutil.copy(dense / "config.toml", run)
    return run


def stopped(run, epochs, step=0, **changes):
    """Keeps a state after so many epochs and steps in a run folder, as if it had stopped there."""
    state = checkpoint.load(run)
    loop = dataclasses.replace(state.run.loop, epochs=epochs, step=step)
    session = dataclasses.replace(state.session, **changes)
    rows = state.run.rows[:epochs]
    held = dataclasses.replace(state.run, loop=loop, rows=rows)
    checkpoint.save(run, dataclasses.replace(state, session=session, run=held))


@pytest.mark.parametrize(
    ("given", "others"), [({"rho": 0.1}, False), ({"epochs": 30, "seed": 1}, False), ({}, True)]
)
def test_options_that_would_make_it_another_training_are_refused(kept, given, others):
    with pytest.raises(ConfigError, match="only --lr, --clip-grad and --epochs, and options of"):
        resuming.load(kept, given, others)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "is finished (20 epochs); --epochs N trains it longer"),
        ({"lr": 0.1}, "is finished (20 epochs); --epochs N trains it longer"),
        ({"epochs": 20}, "--epochs 20 must be more than the 20 completed epochs"),
        ({"epochs": 7}, "--epochs 7 must be more than the 20 completed epochs"),
    ],
)
def test_a_finished_training_is_only_trained_longer(kept, given, said):
    with pytest.raises(ConfigError) as refused:
        resuming.load(kept, given, False)
    assert said in str(refused.value)
    assert len(resuming.load(kept, {"epochs": 21}, False).run.rows) == 20


@pytest.mark.parametrize(
    ("step", "fewest"), [(0, 3), (1, 4)], ids=["after an epoch", "within an epoch"]
)
def test_an_interrupted_training_may_end_with_the_epoch_that_it_is_in(kept, step, fewest):
    stopped(kept, 3, step)
    assert resuming.load(kept, {}, False).run.loop.epochs == 3
    resuming.load(kept, {"epochs": fewest}, False)
    with pytest.raises(ConfigError, match="more than the 3 completed epochs"):
        resuming.load(kept, {"epochs": fewest - 1}, False)


def following(*names):
    """What a checkpoint holds of runs of these names."""
    return {name: {"options": {}, "values": {}} for name in names}


def test_only_runs_without_a_state_of_their_own_are_left(kept):
    stopped(kept, 3, name="seed-0", following=following("seed-1", "seed-2", "seed-3"))
    shutil.copytree(kept, kept.parent / "seed-2")
    assert list(resuming.load(kept, {}, False).session.following) == ["seed-1", "seed-3"]


def test_a_finished_run_goes_on_with_those_that_are_left(kept):
    stopped(kept, 20, name="seed-0", following=following("seed-1"))
    checkpoint.finish(kept)
    assert list(resuming.load(kept, {}, False).session.following) == ["seed-1"]


@pytest.mark.parametrize(
    ("line", "other", "said"),
    [
        ('loss = "mse"', 'loss = "softmax-kl"', "--loss is softmax-kl and mse"),
        ("seed = 0", "seed = 7", "--seed is 7 and 0"),
    ],
)
def test_a_config_of_another_run_is_told_apart_by_its_option(kept, line, other, said):
    path = kept / "config.toml"
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, other))
    with pytest.raises(ModelFileError) as refused:
        resuming.load(kept, {"epochs": 30}, False)
    assert said in str(refused.value)
    path.unlink()
    resuming.load(kept, {"epochs": 30}, False)


@pytest.mark.parametrize("config", [True, False], ids=["with its config", "without"])
def test_options_that_an_older_version_took_are_refused_with_a_way_out(kept, config):
    taken = Config.from_options({"optimizer": "lbfgs"}).resolved((1, 8, 8), 64, 1437)
    stopped(kept, 3, options={**taken.values(), "precision": "bf16"})
    if not config:
        (kept / "config.toml").unlink()
    with pytest.raises(ModelFileError) as refused:
        resuming.load(kept, {}, False)
    said = str(refused.value)
    assert "--precision bf16 cannot go with --optimizer lbfgs" in said
    assert said.endswith(f"--load {kept} starts a new training from its weights")


def test_a_config_with_another_rate_or_number_of_epochs_is_that_of_the_run(kept):
    path = kept / "config.toml"
    text = path.read_text()
    assert "epochs = 20" in text
    path.write_text(text.replace("epochs = 20", "epochs = 40"))
    resuming.load(kept, {"epochs": 40}, False)


class Data:
    name, checksum = "digits", "0" * 64


def test_other_data_are_refused_and_other_versions_are_warned_of(kept):
    session = checkpoint.load(kept).session
    told = []
    with pytest.raises(DataError, match="the data of digits are not those"):
        resuming.compare(session, Data, told.append)
    same = dataclasses.replace(session, data_sha256=Data.checksum)
    resuming.compare(same, Data, told.append)
    assert told == []
    resuming.compare(dataclasses.replace(same, versions={"torch": "1.0"}), Data, told.append)
    assert len(told) == len(versions())
    (line,) = (line for line in told if " torch " in line)
    assert f"torch 1.0 and continues with {torch.__version__}" in line


@pytest.mark.parametrize("given", [{}, {"epochs": 40, "lr": 0.01}])
def test_a_restored_run_says_where_it_is_and_goes_on_along_the_cosine(kept, given):
    stopped(kept, 10, continued=["after 5 epochs: --lr 0.002"])
    state = resuming.load(kept, given, False)
    config, data = prepare_again(given, state.session.options, READING, state.run)
    run = new_run(config, data, torch.device("cpu"), None, state.run)
    told = []
    continued = resuming.restore(run, state, given, told.append)
    found, wanted = run.network.state_dict(), state.run.weights
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    (line,) = told
    if not given:
        assert line == "continuing after 10 of 20 epochs"
        assert continued == ["after 5 epochs: --lr 0.002"]
        return
    warm = config.training.warmup * 40
    rate = 0.01 * (1 + math.cos(math.pi * (10 - warm) / (40 - warm))) / 2
    assert line.startswith("continuing after 10 of 40 epochs: the cosine schedule is that of 40 ")
    assert line.endswith(f"the learning rate continues at {rate:.3g}")
    assert continued[1:] == ["after 10 epochs: --epochs 40 --lr 0.01"]
