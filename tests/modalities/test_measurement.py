"""Metrics of a network on batches, against those that are collected by hand."""

import dataclasses

import numpy as np
import pytest
import torch

from aectl.data.images.image_batches import in_memory
from aectl.data.images.image_set import ImageSet
from aectl.errors import DataError
from aectl.inference.apply import on_device
from aectl.modalities import modality_of
from aectl.modalities.measurement import Measurement
from aectl.models import model_file


def images(count=70, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    return ImageSet("drawn", pixels, rng.integers(0, 3, count), ("0", "1", "x"))


def measured(folder, shown, **options):
    """The measurement of a model, and its results."""
    network, card = model_file.load(folder)
    found = Measurement(card, modality_of(card), **options)
    batches = in_memory(shown, 32)
    return found, list(found.results(network, batches, on_device(network, torch.device("cpu"))))


def by_hand(folder, shown):
    network, card = model_file.load(folder)
    x = torch.from_numpy(shown.images).float() / 255
    with torch.no_grad():
        return network.eval()(x).double().numpy(), card.classes


def test_an_autoencoder_is_measured_by_its_reconstructions(dense):
    shown = images()
    found, results = measured(dense, shown)
    made, _ = by_hand(dense, shown)
    mse = np.square(made - shown.images / 255).mean((1, 2, 3))
    assert found.count == 70
    assert found.metrics()["mse"] == pytest.approx(mse.mean(), rel=1e-6)
    np.testing.assert_allclose(np.concatenate([r.mse for r in results]), mse, rtol=1e-5)


def test_a_classifier_is_measured_by_its_labels_and_counts_those_it_can_know(classifier):
    shown = images()
    found, results = measured(classifier, shown, skip_unknown=True)
    logits, classes = by_hand(classifier, shown)
    labels = np.array(shown.classes)[shown.labels]
    known = labels != "x"
    right = (np.array(classes)[logits.argmax(1)] == labels)[known]
    assert found.count == known.sum() == sum(len(result.paths) for result in results)
    assert found.metrics()["accuracy"] == pytest.approx(right.mean())
    assert found.metrics()["unknown"] == 70 - known.sum()
    with pytest.raises(DataError, match="the label 'x' is not one of"):
        measured(classifier, shown)


@pytest.mark.parametrize("kind", ["dense", "classifier"])
def test_without_inputs_there_are_no_metrics(kind, request):
    folder = request.getfixturevalue(kind)
    found, results = measured(folder, dataclasses.replace(images(), images=images().images[:0]))
    assert (found.count, results) == (0, [])
    with pytest.raises(DataError, match="there are no"):
        found.metrics()
