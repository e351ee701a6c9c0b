"""From options to a config, a training set and networks: what models and states settle."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from aectl.data.storage.folders import ignore
from aectl.errors import ConfigError, DataError, ModelFileError
from aectl.models import model_file
from aectl.training import checkpoint
from aectl.training.reading import Reading
from aectl.verbs.planning import new_run, prepare, prepare_again, start_of

READING = Reading(Path("none"), ignore)
FORMATS = Path(__file__).parents[1] / "formats"
CPU = torch.device("cpu")


def test_options_are_resolved_by_the_data_and_those_given_win_over_the_file_s():
    file = {"lr": 0.1, "beta": 0.2, "sparse": True}
    config, data = prepare({"dataset": "digits", "lr": 0.5}, file, READING)
    assert config.model.hidden == (32,)
    assert config.training.lr == 0.5
    assert (config.model.sparsity, config.loss.beta) == ("kl", 0.2)
    assert (len(data), data.shape) == (1437, (1, 8, 8))


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"dataset": "no such folder"}, DataError, "no such folder"),
        ({"model": "encoder"}, ConfigError, "--model"),
        ({"dataset": "digits", "length": 8}, ConfigError, "--length has no effect"),
        ({"load": "none.safetensors"}, ModelFileError, "none.safetensors"),
    ],
)
def test_options_that_no_training_could_have_are_refused(given, error, said):
    with pytest.raises(error, match=said):
        prepare(given, {}, READING)


def test_a_model_to_start_from_settles_its_network_its_data_and_its_loss(tmp_path):
    options = {"dataset": "digits", "epochs": 1, "hidden": "9,4", "sparsity": "kl", "rho": 0.2}
    run, model = new_run(*prepare(options, {}, READING), CPU, None), tmp_path / "m.safetensors"
    model_file.save(model, run.network, run.card())
    config, _ = prepare({"load": str(model), "lr": 0.5}, {}, READING)
    assert config.model.hidden == (9, 4)
    assert config.data.dataset == ("digits",)
    assert (config.model.sparsity, config.loss.rho) == ("kl", 0.2)
    assert config.training.epochs != 1
    config, _ = prepare({"load": str(model), "rho": 0.1}, {"rho": 0.3}, READING)
    assert config.loss.rho == 0.1
    start = start_of(config)
    assert start.weights.encoder.code_size == 4
    assert (start.encoder, start.vocabulary) == (None, None)


@pytest.mark.parametrize(("lines", "epochs"), [(60, math.ceil(800 / (60 / 4))), (2400, 6)])
def test_the_epochs_of_a_language_model_are_those_of_its_prior(tmp_path, lines, epochs):
    for name, number in {"few": 10, "prior": lines}.items():
        (tmp_path / name).write_text("".join(f"mouse {n} under bed {n}\n" for n in range(number)))
    given = {"dataset": str(tmp_path / "few"), "prior": str(tmp_path / "prior"), "batch_size": 4}
    given |= {"model": "text-autoencoder", "bottleneck": "words", "vocabulary": 300}
    config, _ = prepare(given, {}, READING)
    assert config.training.lm_epochs == epochs


def test_an_encoder_settles_that_it_is_a_classifier_and_its_data(dense):
    config, _ = prepare({"encoder": str(dense)}, {}, READING)
    assert config.model.model == "classifier"
    assert config.data.dataset == ("digits",)
    start = start_of(config)
    assert start.weights is None
    assert start.encoder[1].architecture.code_size == 32


def test_a_model_of_text_hands_on_its_vocabulary(tmp_path):
    path = FORMATS / "3-text.safetensors"
    lines = tmp_path / "lines.txt"
    lines.write_text("the cat sat\n" * 20)
    config, _ = prepare({"load": str(path), "dataset": str(lines)}, {}, READING)
    assert config.model.model == "text-autoencoder"
    assert start_of(config).vocabulary == model_file.read_card(path).vocabulary


def test_what_no_training_can_start_from_is_refused(classifier):
    with pytest.raises(ModelFileError, match=r"--encoder needs an autoencoder; .* is a classifier"):
        prepare({"encoder": str(classifier)}, {}, READING)
    stands = FORMATS / "3-text-classifier.safetensors"
    with pytest.raises(ConfigError, match="cannot start from a classifier that stands on an enc"):
        prepare({"load": str(stands)}, {}, READING)


@pytest.mark.parametrize("name", ["epochs", "hidden"])
def test_options_of_a_checkpoint_that_are_not_resolved_are_refused(name, dense):
    state = checkpoint.load(dense)
    options = dict(state.session.options)
    del options[name]
    with pytest.raises(ModelFileError, match="leave --epochs or --hidden open"):
        prepare_again({}, options, READING, state.run)


def changed(run, **fields):
    """The state of a run with another architecture."""
    return dataclasses.replace(run, architecture={**run.architecture, **fields})


def test_a_state_builds_the_network_that_it_is_of_and_no_other(dense):
    state = checkpoint.load(dense)
    config, data = prepare_again({}, state.session.options, READING, state.run)
    run = new_run(config, data, CPU, None, state.run)
    assert json.loads(json.dumps(run.architecture.to_json())) == state.run.architecture
    with pytest.raises(ModelFileError, match="does not fit its options and data"):
        new_run(config, data, CPU, None, changed(state.run, hidden=[9]))
    with pytest.raises(ModelFileError, match="architecture in the checkpoint is invalid"):
        new_run(config, data, CPU, None, changed(state.run, model="nonsense"))
