"""Figures against numpy, scikit-learn and codes made by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.datasets import load_digits

from aectl.errors import DataError
from aectl.inference import explained_variance
from aectl.inference.metrics import (
    ClassificationMetrics,
    ReconstructionMetrics,
    TextMetrics,
    is_active,
)


def digits():
    return load_digits().images[:, None] / 16


def noisy(x, seed=0):
    return x + np.random.default_rng(seed).normal(0, 0.1, x.shape)


def measured(x, x_hat, code, cuts=(), active_above=0.0):
    """The figures of images that come in batches, cut at the given places."""
    figures = ReconstructionMetrics(active_above)
    rows = np.split(np.arange(len(x)), cuts)
    errors = [figures.update(*(torch.tensor(part[r]) for part in (x, x_hat, code))) for r in rows]
    return figures.result(), torch.cat(errors).numpy()


def codes(count, seed=1):
    return np.maximum(np.random.default_rng(seed).normal(size=(count, 12)), 0)


def test_errors_are_those_of_their_formulas():
    x = digits()
    x_hat = noisy(x)
    found, each = measured(x, x_hat, codes(len(x)))
    mse = metrics.mean_squared_error(x.reshape(len(x), -1), x_hat.reshape(len(x), -1))
    assert found["mse"] == pytest.approx(mse, rel=1e-12)
    assert found["sse"] == pytest.approx(((x - x_hat) ** 2).sum(axis=(1, 2, 3)).mean(), rel=1e-12)
    assert found["psnr"] == pytest.approx(20 * np.log10(1 / np.sqrt(mse)), rel=1e-12)
    np.testing.assert_allclose(each, ((x - x_hat) ** 2).mean(axis=(1, 2, 3)), rtol=1e-12)


def test_explained_variance_is_measured_around_the_mean_image_of_the_whole_set():
    x = digits()
    x_hat = noisy(x)
    found, _ = measured(x, x_hat, codes(len(x)), cuts=[100, 900])
    spread = ((x - x.mean(0)) ** 2).sum()
    expected = 1 - ((x - x_hat) ** 2).sum() / spread
    assert found["explained_variance"] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("scale", [1, 1e-3])
def test_explained_variance_matches_sklearn_s_variance_weighted_r2(scale):
    rng = np.random.default_rng(0)
    x = scale * rng.random((50, 1, 3, 3))
    x_hat = noisy(x)
    found, _ = measured(x, x_hat, codes(50))
    r2 = metrics.r2_score(x.reshape(50, -1), x_hat.reshape(50, -1), multioutput="variance_weighted")
    assert found["explained_variance"] == pytest.approx(r2, rel=1e-10)


def test_predicting_the_mean_image_explains_nothing():
    x = digits()
    found, _ = measured(x, np.broadcast_to(x.mean(0), x.shape).copy(), codes(len(x)))
    assert found["explained_variance"] == pytest.approx(0, abs=1e-9)


def test_a_perfect_reconstruction_has_no_error_and_infinite_psnr():
    x = digits()[:10]
    found, _ = measured(x, x, codes(10))
    assert (found["mse"], found["sse"], found["explained_variance"]) == (0, 0, 1)
    assert found["psnr"] == math.inf


@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, 1 / 3, 77 / 255, 1.0])
@pytest.mark.parametrize(("count", "cuts"), [(1, ()), (4, ()), (1000, (1, 300)), (777, (256, 512))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_identical_images_have_no_variance_to_explain(value, count, cuts, dtype):
    x = np.broadcast_to(np.linspace(0, value, 12, dtype=dtype).reshape(1, 3, 4), (count, 1, 3, 4))
    found, _ = measured(x.copy(), x + dtype(0.1), codes(count), cuts)
    assert math.isnan(found["explained_variance"])


@pytest.mark.parametrize("step", [1e-2, 1e-5, 1e-7])
def test_a_variance_far_below_the_images_values_is_not_lost(step):
    x = np.full((1000, 1, 3, 3), 0.7)
    x[500] += step
    found, _ = measured(x, x + 0.1 * step, codes(1000), cuts=(400, 600))
    moved = (x - 0.7).reshape(1000, -1) / step
    r2 = metrics.r2_score(moved, moved + 0.1, multioutput="variance_weighted")
    assert found["explained_variance"] == pytest.approx(r2, rel=1e-6)


@pytest.mark.parametrize(
    ("active_above", "l0", "dead"),
    [(0.0, 4 / 3, 0.5), (None, 5 / 3, 0.25), (0.1, 1.0, 0.5), (0.75, 1 / 3, 0.75)],
)
@pytest.mark.parametrize("cuts", [(), (1,), (1, 2)])
def test_figures_of_a_code_made_by_hand(active_above, l0, dead, cuts):
    code = np.array([[0.5, 0.0, 0.0, 0.0], [0.5, 1.0, 0.0, -0.5], [0.05, 0.0, 0.0, 0.0]])
    x = np.random.default_rng(0).random((3, 1, 2, 2))
    found, _ = measured(x, x, code, cuts, active_above)
    assert found["l0"] == pytest.approx(l0)
    assert found["dead"] == pytest.approx(dead)
    assert found["mean_activation"] == pytest.approx(1.55 / 12)


def test_a_unit_is_active_strictly_above_its_line_or_where_there_is_none_off_zero():
    code = torch.tensor([-1.0, 0.0, 0.1, 0.2])
    assert is_active(code, 0.1).tolist() == [False, False, False, True]
    assert is_active(code, None).tolist() == [True, False, True, True]


@pytest.mark.parametrize("cuts", [(1,), (100, 101, 1000), tuple(range(7, 1797, 7))])
def test_figures_do_not_depend_on_how_images_are_cut_into_batches(cuts):
    x = digits()
    x_hat, code = noisy(x), codes(len(x))
    whole, _ = measured(x, x_hat, code)
    cut, _ = measured(x, x_hat, code, cuts)
    assert cut == pytest.approx(whole, rel=1e-10)


def test_figures_of_float32_images_are_summed_in_float64():
    x = np.random.default_rng(0).random((2000, 1, 8, 8), dtype=np.float32)
    x_hat = noisy(x).astype(np.float32)
    found, _ = measured(x, x_hat, codes(2000).astype(np.float32), cuts=range(10, 2000, 10))
    exact = ((x.astype(np.float64) - x_hat) ** 2).mean()
    assert found["mse"] == pytest.approx(exact, rel=1e-12)


def test_classification_figures_match_sklearn():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    figures = ClassificationMetrics(5)
    for part in np.split(np.arange(200), [30, 31]):
        figures.update(torch.tensor(predictions[part]), torch.tensor(labels[part]))
    found = figures.result()
    accuracy = metrics.accuracy_score(labels, predictions)
    assert found["confusion"] == metrics.confusion_matrix(labels, predictions).tolist()
    assert found["accuracy"] == pytest.approx(accuracy, rel=1e-12)
    assert found["error"] == pytest.approx(100 * (1 - accuracy), rel=1e-12)
    for name, score in (("precision", metrics.precision_score), ("recall", metrics.recall_score)):
        assert found[name] == pytest.approx(score(labels, predictions, average=None), rel=1e-12)


def test_the_confusion_matrix_keeps_classes_that_do_not_occur():
    figures = ClassificationMetrics(4)
    figures.update(torch.tensor([1, 0]), torch.tensor([1, 1]))
    expected = metrics.confusion_matrix([1, 1], [1, 0], labels=range(4))
    found = figures.result()
    assert found["confusion"] == expected.tolist()
    nan = math.nan
    assert found["precision"] == pytest.approx([0, 1, nan, nan], nan_ok=True)
    assert found["recall"] == pytest.approx([nan, 0.5, nan, nan], nan_ok=True)


def test_no_images_to_measure_is_a_data_error():
    with pytest.raises(DataError, match="no images"):
        ReconstructionMetrics(0.0).result()
    with pytest.raises(DataError, match="no labelled images"):
        ClassificationMetrics(3).result()


def test_the_figures_of_texts_by_hand():
    tokens = torch.tensor([[5, 6, 7], [8, 0, 0]])
    ended = torch.tensor([[5, 6, 7, 2], [8, 2, 0, 0]])
    written = torch.tensor([[5, 9, 7], [9, 0, 0]])
    logits = torch.randn(2, 4, 10)
    figures = TextMetrics({"unigram": [8, 8, 8], "sentence": [5, 6, 9]})
    assert figures.update(tokens, ended, logits, written).tolist() == pytest.approx([2 / 3, 0])
    figures.update_shorter(tokens, torch.tensor([[7, 9], [8, 0]]), torch.zeros(2, 2, 10))
    figures.update_code(torch.tensor([[0.0, 1.0], [0.0, 3.0]]), 0.0)
    p = torch.log_softmax(logits.double(), 2)
    nats = -sum(
        p[row, place, ended[row, place]].item()
        for row, place in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    )
    assert figures.result() == pytest.approx(
        {
            "token_accuracy": 2 / 4,
            "cross_entropy": nats / 6,
            "perplexity": math.exp(nats / 6),
            "unigram_accuracy": 1 / 4,
            "sentence_accuracy": 2 / 4,
            "bottleneck_perplexity": 10,
            "compression_ratio": 3 / 4,
            "copied": 2 / 3,
            "mean_activation": 1,
            "l0": 1,
            "dead": 0.5,
        },
        rel=1e-6,
    )


def test_the_figures_of_texts_without_a_token_are_no_numbers():
    nothing = torch.zeros(2, 3, dtype=torch.int64)
    figures = TextMetrics({"unigram": [8, 8, 8]})
    figures.update(nothing, torch.zeros(2, 4, dtype=torch.int64), torch.randn(2, 4, 9), nothing)
    figures.update_shorter(nothing, nothing[:, :1], torch.zeros(2, 1, 9))
    assert [name for name, value in figures.result().items() if not math.isnan(value)] == []


@pytest.mark.parametrize(
    ("logit", "perplexity"), [(math.nan, math.nan), (-1e30, math.inf), (0.0, 9.0)]
)
def test_the_perplexity_of_what_is_no_number_is_none(logit, perplexity):
    tokens, logits = torch.tensor([[5]]), torch.zeros(1, 2, 9)
    logits[0, 0, 5] = logits[0, 1, 2] = logit
    figures = TextMetrics()
    figures.update(tokens, torch.tensor([[5, 2]]), logits, tokens)
    assert figures.result()["perplexity"] == pytest.approx(perplexity, nan_ok=True)


def test_no_texts_to_measure_is_a_data_error():
    with pytest.raises(DataError, match="no texts"):
        TextMetrics().result()


@pytest.mark.parametrize("values", [1, 100, 64 * 30 + 1])
def test_images_that_are_measured_in_parts_have_the_same_figures(values, monkeypatch):
    x, code = digits()[:90], codes(90)
    whole = measured(x, noisy(x), code, cuts=[30, 60])
    monkeypatch.setattr(explained_variance, "VALUES", values)
    parts = measured(x, noisy(x), code, cuts=[30, 60])
    assert parts[0] == pytest.approx(whole[0], rel=1e-12)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-12)
