"""Whole runs on the bundled digits."""

import dataclasses
import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from aectl.config.configuration import Config
from aectl.data.images import datasets
from aectl.data.images.image_set import ImageSet
from aectl.data.splits import stratified
from aectl.errors import ConfigError, DivergedError
from aectl.modalities.images import MODALITY
from aectl.models.model_card import ModelCard
from aectl.training.initialisation import Start
from aectl.training.loop import TrainingProgress
from aectl.training.run import Epoch
from aectl.training.stack import layers_of

CPU = torch.device("cpu")


@functools.cache
def digits(count=1437):
    images = datasets.load("digits", Path("none"), split="train")
    return dataclasses.replace(images, images=images.images[:count], labels=images.labels[:count])


def prepared(images=None, start=None, width=64, **options):
    """A run of these options; 120 images unless others are given."""
    images = images or digits(120)
    config = Config.from_options({"dataset": "digits", "hidden": "16", **options})
    resolved = config.resolved(images.shape, width, len(images))
    return MODALITY.run(resolved, images, CPU, start)


def trained(images=None, start=None, **options):
    """A run that is over, and its rows."""
    run = prepared(images, start, **options)
    return run, [event.row for event in run.epochs() if isinstance(event, Epoch)]


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def pixels(images):
    return torch.from_numpy(images.images / 255).float()


KINDS = {
    "dense": {"epochs": 2, "hidden": "20,10", "dropout": 0.2},
    "tied": {"epochs": 2, "tied": True},
    "sparse": {"epochs": 2, "sparsity": "kl"},
    "conv": {"epochs": 2, "model": "conv-autoencoder", "bottleneck": "vector", "hidden": "4,8"},
    "map": {"epochs": 2, "model": "conv-autoencoder", "hidden": "4,8"},
    "classifier": {"epochs": 2, "model": "classifier", "validation": 0.2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_one_others(kind):
    first, again, other = (weights(trained(seed=s, **KINDS[kind])[0].network) for s in (3, 3, 4))
    assert same(first, again)
    drawn = [name for name in first if name != "encoder.center"]
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_a_run_yields_the_end_of_every_epoch_with_its_row():
    events = list(prepared(epochs=3, batch_size=50).epochs())
    ends = [e for e in events if isinstance(e, TrainingProgress) and e.losses is not None]
    rows = [e.row for e in events if isinstance(e, Epoch)]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [(end.epoch, end.step, end.steps) for end in ends] == [(1, 3, 3), (2, 3, 3), (3, 3, 3)]
    assert [end.losses["loss"] for end in ends] == [row["loss"] for row in rows]


def test_a_row_s_lr_is_that_of_the_epoch_s_first_step():
    _, rows = trained(epochs=10, lr=0.01, warmup=0.1)
    expected = [0.01, *(0.005 * (1 + math.cos(math.pi * step / 9)) for step in range(9))]
    assert [row["lr"] for row in rows] == pytest.approx(expected, rel=1e-6)


def test_the_measured_figures_are_those_of_the_network_at_the_end():
    run, rows = trained(epochs=3)
    x = pixels(run.data)
    with torch.no_grad():
        code, output = run.network.encode(x), run.network(x)
    assert rows[-1]["train_mse"] == pytest.approx((output - x).square().mean().item(), rel=1e-5)
    assert rows[-1]["train_l0"] == pytest.approx((code > 0).sum(1).double().mean().item())
    assert rows[-1]["train_mean_activation"] == pytest.approx(code.mean().item(), rel=1e-5)
    assert rows[-1]["train_dead"] == pytest.approx((code == 0).all(0).double().mean().item())


def test_the_network_of_a_run_that_is_over_is_in_evaluation_mode():
    run, _ = trained(epochs=1, hidden="20,10", dropout=0.5)
    x = pixels(run.data)
    assert torch.equal(run.network(x), run.network(x))


def test_held_out_images_are_not_trained_on():
    images = digits(120)
    _, rows = stratified(images.labels, images.classes, 0.25, seed=0)
    spoilt = images.images.copy()
    spoilt[rows] = 255 - spoilt[rows]
    clean, _ = trained(epochs=2, validation=0.25)
    other, _ = trained(dataclasses.replace(images, images=spoilt), epochs=2, validation=0.25)
    assert same(weights(clean.network), weights(other.network))
    assert clean.card().training["images"] == 90


def overfitted(keep):
    """A run whose validation loss has its minimum before the last epoch."""
    return trained(
        digits(60), epochs=100, validation=0.5, keep=keep, hidden="200,100,50", schedule="constant"
    )


def validation_loss(run):
    seed = run.config.training.seed
    _, rows = stratified(run.data.labels, run.data.classes, 0.5, seed)
    x = pixels(dataclasses.replace(run.data, images=run.data.images[rows]))
    with torch.no_grad():
        return 0.5 * (run.network(x) - x).double().square().sum().item() / len(x)


def test_keep_best_keeps_the_weights_of_the_epoch_of_lowest_validation_loss():
    run, rows = overfitted("best")
    losses = [row["validation_loss"] for row in rows]
    assert min(losses) < 0.99 * losses[-1]
    assert validation_loss(run) == pytest.approx(min(losses), rel=1e-5)


def test_keep_last_keeps_the_weights_of_the_last_epoch():
    run, rows = overfitted("last")
    losses = [row["validation_loss"] for row in rows]
    assert validation_loss(run) == pytest.approx(losses[-1], rel=1e-5)


def test_a_rate_that_is_far_too_high_is_said_to_diverge():
    run = prepared(optimizer="sgd", lr=1e9, epochs=50, output_activation="linear")
    with pytest.raises(DivergedError, match="--lr"):
        list(run.epochs())


def test_a_run_starts_from_given_weights():
    first, _ = trained(epochs=1)
    second = prepared(start=Start(weights=first.network), seed=9)
    assert same(weights(first.network), weights(second.network))
    assert not same(weights(first.network), weights(prepared(seed=9).network))


def test_training_on_from_given_weights_leaves_the_given_network_alone():
    first, _ = trained(epochs=1)
    before = weights(first.network)
    second, _ = trained(start=Start(weights=first.network), epochs=1)
    assert same(before, weights(first.network))
    assert not same(before, weights(second.network))


def test_from_the_same_weights_the_seed_still_decides_the_order_of_the_images():
    start = Start(weights=trained(epochs=1)[0].network)
    first, again, other = (
        weights(trained(start=start, epochs=1, batch_size=32, seed=seed)[0].network)
        for seed in (0, 0, 1)
    )
    assert same(first, again)
    assert not same(first, other)


def classifier_on_encoder(**options):
    base, _ = trained(epochs=2)
    start = Start(encoder=(base.network, base.card()))
    run, rows = trained(
        start=start, model="classifier", encoder="base", hidden="", epochs=30, lr=0.03, **options
    )
    return base, run, rows


def test_a_frozen_encoder_keeps_its_weights_and_the_classifier_learns_on_it():
    base, run, rows = classifier_on_encoder()
    assert same(weights(base.network.encoder), weights(run.network.encoder))
    assert rows[-1]["train_error"] < rows[0]["train_error"] / 2


def test_fine_tuning_changes_every_weight_of_a_copy_of_the_encoder():
    base, run, _ = classifier_on_encoder(fine_tune=True)
    before, after = weights(base.network.encoder), weights(run.network.encoder)
    assert before.keys() == after.keys()
    learnt = [name for name in before if name != "center"]
    assert not any(torch.equal(before[name], after[name]) for name in learnt)
    assert same(weights(base.network), weights(trained(epochs=2)[0].network))


def test_a_classifier_is_described_with_its_classes_and_its_encoder():
    base, run, _ = classifier_on_encoder()
    assert run.card().classes == tuple("0123456789")
    assert run.architecture.encoder == base.architecture


def test_a_classifier_of_images_without_labels_is_refused():
    unlabelled = dataclasses.replace(digits(120), labels=None, classes=())
    with pytest.raises(ConfigError, match="labels"):
        prepared(unlabelled, model="classifier")


@pytest.mark.parametrize("rho", [0.05, 0.2])
def test_the_mean_activation_ends_near_rho(rho):
    _, rows = trained(digits(300), sparsity="kl", rho=rho, hidden="32", epochs=200)
    assert rows[-1]["train_mean_activation"] == pytest.approx(rho, rel=0.1)


def test_a_heavier_penalty_brings_the_mean_activation_nearer_to_rho_at_the_cost_of_error():
    light, heavy = (
        trained(digits(), sparsity="kl", hidden="32", epochs=20, beta=beta)[1][-1]
        for beta in (0.01, 10.0)
    )
    assert abs(heavy["train_mean_activation"] - 0.05) < abs(light["train_mean_activation"] - 0.05)
    assert heavy["train_mse"] > light["train_mse"]


def neighbour_correlation(network):
    """Of each unit's weights of the 8x8 pixels, with the weights of the pixel to the right and of
    the one below; the median of both over all units.
    """
    found = []
    for image in network.encoder.layers[0].weight.detach().view(-1, 8, 8).numpy():
        for a, b in ((image[:, :-1], image[:, 1:]), (image[:-1], image[1:])):
            found.append(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    return np.median(found)


def test_the_weight_decay_of_the_kl_rule_makes_filters_smooth():
    """The cost of the CS294A notes, with all its three terms."""
    options = {"sparsity": "kl", "hidden": "20", "epochs": 200}
    (smooth, _), (rough, _) = (
        trained(digits(), **options),
        trained(digits(), **options, weight_decay=0.0),
    )
    assert smooth.config.training.weight_decay == pytest.approx(3e-6 * 64)
    assert neighbour_correlation(smooth.network) > neighbour_correlation(rough.network) + 0.05


@pytest.mark.parametrize(
    "options",
    [
        {}, {"tied": True}, {"loss": "bce"}, {"hidden": "48,16", "activation": "tanh"},
        {"model": "conv-autoencoder", "hidden": "8,16", "epochs": 1}, {"optimizer": "adamw"},
        {"optimizer": "sgd", "lr": 0.03, "hidden": "32"},
    ],
    ids=str,
)  # fmt: skip
def test_an_autoencoder_ends_well_below_the_error_of_predicting_the_mean_image(options):
    run, rows = trained(digits(), **{"epochs": 20, **options})
    spread = (run.data.images / 255).var(axis=0).mean()
    assert rows[-1]["train_mse"] < spread / 2


def test_a_classifier_learns_the_digits():
    options = {"model": "classifier", "hidden": "64", "epochs": 20, "lr": 0.02, "validation": 0.2}
    runs = [trained(digits(), seed=seed, **options)[1] for seed in range(3)]
    assert np.mean([rows[-1]["validation_error"] for rows in runs]) < 5


def test_the_card_says_how_the_network_was_trained_and_is_json():
    run, _ = trained(epochs=1, sparsity="kl", rho=0.1)
    described = json.loads(json.dumps(run.card().to_json()))
    assert ModelCard.from_json(described).architecture == run.architecture
    assert described["training"]["options"]["rho"] == 0.1
    assert described["training"]["options"]["hidden"] == [16]
    assert described["training"]["versions"]["torch"] == torch.__version__
    assert described["training"]["images"] == 120


def test_stacked_layers_are_trained_one_after_the_other_and_then_the_whole():
    run, rows = trained(hidden="16,9", stack=2, epochs=3, activation="sigmoid")
    assert run.planned_epochs == 7
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row.get("layer") for row in rows] == [1, 1, 2, 2, None, None, None]
    assert ["train_mse" in row for row in rows] == [False] * 4 + [True] * 3


def test_a_deep_net_starts_better_from_layers_that_were_trained_alone():
    options = {"hidden": "40,20,10", "epochs": 1, "activation": "tanh", "lr": 0.01}
    _, plain = trained(digits(), **options)
    _, stacked = trained(digits(), stack=20, **options)
    assert stacked[-1]["train_mse"] < 0.7 * plain[-1]["train_mse"]


def test_progress_of_a_stacked_run_counts_on():
    events = prepared(hidden="16,9", stack=1, epochs=2, batch_size=50).epochs()
    ends = [event.epoch for event in events if isinstance(event, TrainingProgress) and event.losses]
    assert ends == [1, 2, 3, 4]


@pytest.mark.parametrize("sparsity", ["topk", "batch-topk"])
def test_k_start_lets_many_units_be_active_at_first_and_k_at_the_end(sparsity):
    _, fixed = trained(digits(), sparsity=sparsity, k=2, epochs=6)
    run, falling = trained(digits(), sparsity=sparsity, k=2, k_start=16, epochs=6)
    assert run.network.encoder.code.kept == 2
    assert falling[1]["reconstruction"] < 0.95 * fixed[1]["reconstruction"]


def test_an_epoch_of_lbfgs_is_one_step_over_all_images_that_never_raises_the_loss():
    _, rows = trained(optimizer="lbfgs", epochs=30, code_activation="sigmoid")
    losses = [row["loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.3 * losses[0]
    assert {row["lr"] for row in rows} == {1.0}


def test_the_decoder_s_columns_are_held_throughout_a_run():
    run, _ = trained(sparsity="l1", epochs=2)
    lengths = run.network.decoder.directions.norm(dim=0)
    torch.testing.assert_close(lengths, torch.ones(16))


def test_every_stacked_layer_starts_where_its_penalty_is_small():
    _, rows = trained(
        hidden="16,9", sparsity="kl", rho=0.1, beta=1.0, activation="sigmoid", stack=1, epochs=1
    )
    assert [row["sparsity"] < 0.5 for row in rows[:2]] == [True, True]


def test_hardly_a_unit_of_a_topk_code_dies():
    _, rows = trained(digits(), hidden="36", sparsity="topk", k=2, epochs=20)
    assert rows[-1]["train_dead"] < 0.1


def test_a_stack_that_starts_from_trained_weights_keeps_them():
    base, _ = trained(hidden="16,9", epochs=1)
    before = weights(base.network)
    start = Start(weights=base.network)
    run, _ = trained(hidden="16,9", sparsity="topk", k=9, start=start, stack=1, epochs=1, lr=1e-9)
    for name, value in weights(run.network).items():
        torch.testing.assert_close(value, before[name], atol=1e-6, rtol=0)


def test_a_classifier_of_few_labels_trains_for_2000_steps_on_them_alone():
    run = prepared(digits(), model="classifier", labels=50, hidden=(8,))
    assert run.config.training.epochs == 2000
    assert run.card().training["images"] == 50


@pytest.mark.parametrize("model", ["autoencoder", "conv-autoencoder"])
def test_a_centered_run_starts_at_the_mean_image_and_keeps_that_center(model):
    form = {"hidden": "16"} if model == "autoencoder" else {"bottleneck": "vector", "hidden": "4,8"}
    run = prepared(model=model, epochs=3, **form)
    mean = pixels(run.data).mean(0)
    torch.testing.assert_close(run.network.encoder.center.view_as(mean), mean)
    channel_or_pixel = mean.mean((1, 2)) if model == "conv-autoencoder" else mean.flatten()
    torch.testing.assert_close(run.network.decoder.last_bias.detach(), channel_or_pixel)
    before = run.network.encoder.center.clone()
    list(run.epochs())
    assert torch.equal(run.network.encoder.center, before)


def test_only_a_centered_network_keeps_its_units_on_bright_images():
    noise = torch.rand(100, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bright = (150 + 100 * noise).byte().numpy()
    images = ImageSet("bright", bright)
    options = {"dataset": "digits", "hidden": "64", "epochs": 10}
    dead = []
    for center in (True, False):
        _, rows = trained(images, center=center, **options)
        dead.append(rows[-1]["train_dead"])
    assert dead[0] < 0.05
    assert dead[1] > 0.5


def test_only_the_first_layer_of_a_stack_is_centered():
    run = prepared(hidden="12,6", stack=1, epochs=1, activation="tanh")
    list(run.epochs())
    below = [layer.network.encoder.center for layer in layers_of(run.network, run.architecture)]
    assert below[0] is run.network.encoder.center
    assert below[1] is None


def test_an_annealed_penalty_makes_a_code_sparser_and_its_error_smaller():
    images = torch.from_numpy(digits().images) / 255
    active, errors = [], []
    for p_end in (1, 0.2):
        options = {"sparsity": "l1", "beta": 0.2, "hidden": "64"}
        run, _ = trained(digits(), **options, p_end=p_end, epochs=20)
        assert float(run.network.encoder.code.power) == pytest.approx(p_end)
        with torch.no_grad():
            network = run.network.eval()
            active.append(network.encode(images).count_nonzero().item())
            errors.append((network(images) - images).square().mean().item())
    assert active[1] < 0.9 * active[0]
    assert errors[1] < 0.92 * errors[0]
