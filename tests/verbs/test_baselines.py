"""Baselines of an evaluation against scikit-learn, fitted on what the model was trained on."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

import aectl as package
from aectl.config.kinds import with_a_code
from aectl.errors import DataError
from aectl.verbs.baselines import Baselines
from aectl.verbs.use import use_of

PIXELS, LABELS = load_digits(return_X_y=True)
TRAIN, TEST = slice(None, -360), slice(-360, None)


def baselines(model, words="digits:test", **options):
    return Baselines(use_of(model, "eval", with_a_code(), words, options, "cpu", 1))


def test_pca_has_as_many_components_as_the_code_and_the_error_of_scikit_learn_s(dense):
    found, known = baselines(dense), {}
    x = np.round(PIXELS * (255 / 16)) / 255
    pca = PCA(32, svd_solver="full").fit(x[TRAIN])
    error = np.square(pca.inverse_transform(pca.transform(x[TEST])) - x[TEST]).mean()
    assert found.pca_mse(known) == pytest.approx(error, rel=1e-6)
    assert list(known.values()) == [found.pca_mse({})]


def test_a_known_error_of_the_same_data_is_not_computed_again_and_of_others_it_is(dense):
    known = {}
    first = baselines(dense).pca_mse(known)
    for key in known:
        known[key] = -1.0
    assert baselines(dense).pca_mse(known) == -1
    assert baselines(dense, "digits:train").pca_mse(known) < first
    assert len(known) == 2


def test_the_probe_is_fitted_on_the_codes_of_the_train_split(dense):
    network = package.load(dense)
    with torch.no_grad():
        x = torch.tensor(np.round(PIXELS * (255 / 16)) / 255).float().view(-1, 1, 8, 8)
        codes = network.encode(x).numpy()
    fitted = LogisticRegression(max_iter=5000).fit(codes[TRAIN] / codes[TRAIN].std(), LABELS[TRAIN])
    wrong = 100 * (fitted.predict(codes[TEST] / codes[TRAIN].std()) != LABELS[TEST]).mean()
    found = baselines(dense).probe_error(network)
    assert found == pytest.approx(wrong, abs=1.5)
    counts = Counter(LABELS[TEST].tolist())
    assert found < 100 * (1 - max(counts.values()) / 360) / 3


def test_the_training_data_are_named_as_an_input(dense):
    assert baselines(dense).fitted_on() == "digits:train"


@pytest.mark.parametrize("labelled", [False, True])
def test_inputs_without_labels_or_of_one_class_have_no_probe(dense, tmp_path, labelled):
    (tmp_path / "set" / "a").mkdir(parents=True)
    for level in (0, 80, 160):
        grey = Image.fromarray(np.full((8, 8), level, np.uint8))
        grey.save(tmp_path / "set" / "a" / f"{level}.png")
    given = baselines(dense, str(tmp_path / "set"), label_from_folder=labelled)
    with pytest.raises(DataError, match="--probe needs images of two classes or more"):
        given.probe_error(package.load(dense))
