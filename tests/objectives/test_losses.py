"""Losses and penalties against closed forms, other libraries and finite differences."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import log_softmax, rel_entr, softmax
from sklearn.metrics import log_loss
from torch.distributions import Bernoulli, Categorical, kl_divergence

from aectl.config.all_options import OPTIONS
from aectl.inference.metrics import ReconstructionMetrics
from aectl.models.language import nats_of_texts
from aectl.objectives import losses

PENALTIES = {
    "kl at 0.05": lambda code: losses.kl_sparsity(code, 0.05),
    "kl at 0.5": lambda code: losses.kl_sparsity(code, 0.5),
    "l1": losses.l1_sparsity,
    "contraction": lambda code: losses.contraction(code, torch.ones(6, 2, dtype=torch.float64)),
    "weights": lambda code: losses.squared_weights([code, 2 * code]),
}


def choices(option):
    return set(OPTIONS[option].metadata["option"].choices)


def uniform(*shape, low=0.0, high=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def numeric_gradient(function, at, step=1e-6):
    """Central differences of a scalar function, one number at a time."""
    gradient = torch.zeros_like(at)
    for index in np.ndindex(*at.shape):
        ahead, behind = at.clone(), at.clone()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (function(ahead) - function(behind)) / (2 * step)
    return gradient


def relative_difference(function, at):
    """Between the autograd gradient and the numeric one, as a share of the latter's length."""
    (gradient,) = torch.autograd.grad(function(at.requires_grad_()), at)
    numeric = numeric_gradient(function, at.detach())
    assert numeric.norm() > 1e-3
    return ((gradient - numeric).norm() / numeric.norm()).item()


def test_squared_error_is_half_the_squared_distance_averaged_over_the_batch():
    x, y = uniform(5, 1, 4, 3), uniform(5, 1, 4, 3, seed=1)
    distances = np.linalg.norm((x - y).numpy().reshape(5, -1), axis=1)
    assert losses.squared_error(x, y).item() == pytest.approx((distances**2).mean() / 2, rel=1e-12)


@pytest.mark.parametrize("loss", ["l1", "charbonnier"])
def test_absolute_errors_are_summed_over_pixels_and_averaged_over_the_batch(loss):
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 5, 3, 4, 4))
    x[0] = y[0]
    small = 0.001**2 if loss == "charbonnier" else 0
    wanted = np.sqrt((x - y) ** 2 + small).sum() / 5
    found = losses.RECONSTRUCTION[loss](torch.from_numpy(x), torch.from_numpy(y)).item()
    assert found == pytest.approx(wanted, rel=1e-12)


def test_squared_error_of_one_pixel_off_by_two_is_two():
    target = torch.zeros(1, 1, 2, 2)
    off = target.clone()
    off[0, 0, 0, 0] = 2.0
    assert losses.squared_error(off, target).item() == 2.0


def test_binary_cross_entropy_of_logits_matches_sklearn_log_loss_on_binary_targets():
    logits = uniform(4, 1, 3, 3, low=-3, high=3)
    target = (uniform(4, 1, 3, 3, seed=1) > 0.5).double()
    per_pixel = log_loss(target.flatten().numpy(), torch.sigmoid(logits).flatten().numpy())
    assert losses.binary_cross_entropy(logits, target).item() == pytest.approx(
        9 * per_pixel, rel=1e-9
    )


def test_binary_cross_entropy_matches_its_formula_on_grey_targets():
    logits, target = uniform(4, 1, 3, 3, low=-3, high=3).numpy(), uniform(4, 1, 3, 3).numpy()
    p = 1 / (1 + np.exp(-logits))
    expected = -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum() / 4
    found = losses.binary_cross_entropy(torch.from_numpy(logits), torch.from_numpy(target))
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_binary_cross_entropy_stays_finite_for_extreme_logits():
    logits = torch.tensor([[1000.0, -1000.0]])
    assert losses.binary_cross_entropy(logits, torch.tensor([[1.0, 0.0]])).item() == 0.0
    assert losses.binary_cross_entropy(logits, torch.tensor([[0.0, 1.0]])).item() == 2000.0


def test_the_squared_hinge_is_that_of_a_linear_svm_for_each_class():
    scores, labels = uniform(5, 3, low=-2, high=2), torch.tensor([2, 0, 1, 1, 2])
    expected = 0.0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        for number, score in enumerate(row):
            margin = score if number == label else -score
            expected += max(0.0, 1.0 - margin) ** 2 / len(scores)
    assert losses.squared_hinge(scores, labels).item() == pytest.approx(expected, rel=1e-12)
    of_scores = partial(losses.squared_hinge, labels=labels)
    assert torch.autograd.gradcheck(of_scores, scores.requires_grad_())


def test_softmax_kl_is_the_relative_entropy_of_the_softmaxes_of_target_and_reconstruction():
    output = uniform(4, 2, 3, 3, low=-2, high=2).numpy()
    target = uniform(4, 2, 3, 3, seed=1).numpy()
    p, q = softmax(target.reshape(4, -1), axis=1), softmax(output.reshape(4, -1), axis=1)
    found = losses.softmax_kl(torch.from_numpy(output), torch.from_numpy(target)).item()
    assert found == pytest.approx(rel_entr(p, q).sum(1).mean(), rel=1e-12)


def test_softmax_kl_matches_the_kl_divergence_of_torch_s_categorical_distributions():
    output, target = uniform(6, 1, 2, 5, low=-4, high=4), uniform(6, 1, 2, 5, seed=3)
    divergence = kl_divergence(
        Categorical(logits=target.flatten(1)), Categorical(logits=output.flatten(1))
    )
    assert losses.softmax_kl(output, target).item() == pytest.approx(
        divergence.mean().item(), rel=1e-12
    )


def test_softmax_kl_is_zero_for_the_target_itself():
    target = uniform(3, 1, 4, 4)
    assert losses.softmax_kl(target, target).item() == pytest.approx(0, abs=1e-15)


def test_softmax_kl_is_unaffected_by_a_constant_added_to_an_image():
    output, target = uniform(3, 1, 4, 4), uniform(3, 1, 4, 4, seed=1)
    shift = torch.tensor([5.0, -3.0, 0.5], dtype=torch.float64).view(3, 1, 1, 1)
    before = losses.softmax_kl(output, target).item()
    assert before > 1e-3
    assert losses.softmax_kl(output + shift, target).item() == pytest.approx(before, rel=1e-12)


def test_softmax_kl_stays_finite_where_softmax_would_underflow():
    output = torch.tensor([[[[0.0, 2000.0]]]], dtype=torch.float64)
    target = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)
    p, q = log_softmax([1.0, 0.0]), np.array([-2000.0, 0.0])
    expected = (np.exp(p) * (p - q)).sum()
    assert losses.softmax_kl(output, target).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rho", [0.01, 0.05, 0.5, 0.9])
def test_kl_penalty_matches_bernoulli_kl(rho):
    code = uniform(7, 5, low=0.05, high=0.95)
    wanted = Bernoulli(torch.full((5,), rho, dtype=torch.float64))
    expected = kl_divergence(wanted, Bernoulli(code.mean(0))).sum().item()
    assert losses.kl_sparsity(code, rho).item() == pytest.approx(expected, rel=1e-12)


def test_kl_penalty_is_zero_where_every_unit_is_on_average_at_rho():
    code = torch.tensor([[0.0, 0.2], [0.2, 0.0]], dtype=torch.float64)
    assert losses.kl_sparsity(code, 0.1).item() == pytest.approx(0, abs=1e-12)


def test_kl_penalty_sees_only_the_mean_over_the_batch():
    code = uniform(6, 4, low=0.1, high=0.9)
    even = code.mean(0, keepdim=True).expand(6, 4)
    assert losses.kl_sparsity(code, 0.05).item() == pytest.approx(
        losses.kl_sparsity(even, 0.05).item(), rel=1e-12
    )


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_kl_penalty_of_a_saturated_unit_is_finite(value):
    penalty = losses.kl_sparsity(torch.full((4, 3), value), 0.05)
    assert torch.isfinite(penalty)
    assert penalty > 0.1


SHAPES = {"ssim": (2, 2, 12, 11)}
"""Of images that are large enough for a loss, where 3x4 pixels are not."""


@pytest.mark.parametrize("name", losses.RECONSTRUCTION)
def test_the_gradient_of_each_reconstruction_loss_matches_finite_differences(name):
    shape = SHAPES.get(name, (3, 1, 3, 4))
    target = uniform(*shape, seed=1)
    output = uniform(*shape, low=-1, high=2)
    loss = losses.RECONSTRUCTION[name]
    assert relative_difference(lambda x: loss(x, target), output) < 1e-6


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_of_each_penalty_matches_finite_differences(name):
    assert relative_difference(PENALTIES[name], uniform(4, 6, low=0.1, high=0.9)) < 1e-6


@pytest.mark.parametrize("name", losses.RECONSTRUCTION)
def test_a_batch_written_twice_has_the_same_reconstruction_loss(name):
    shape = SHAPES.get(name, (3, 1, 2, 2))
    output, target = uniform(*shape), uniform(*shape, seed=1)
    loss = losses.RECONSTRUCTION[name]
    once, twice = loss(output, target), loss(output.repeat(2, 1, 1, 1), target.repeat(2, 1, 1, 1))
    assert twice.item() == pytest.approx(once.item(), rel=1e-12)


def test_every_choice_of_loss_is_a_row_of_its_table():
    assert set(losses.RECONSTRUCTION) == choices("loss")
    assert set(losses.OF_LOGITS) <= choices("loss")


def test_the_l1_penalty_is_the_sum_of_absolute_values_averaged_over_the_batch():
    code = uniform(7, 5, low=-2, high=2)
    expected = np.abs(code.numpy()).sum(1).mean()
    assert losses.l1_sparsity(code).item() == pytest.approx(expected, rel=1e-12)


def test_the_contraction_of_a_layer_is_the_squared_norm_of_its_jacobian():
    weight, x = uniform(4, 6, low=-1, high=1), uniform(5, 6, seed=1)
    slopes = 1 - torch.tanh(x @ weight.T) ** 2
    norms = [
        torch.autograd.functional.jacobian(lambda row: torch.tanh(row @ weight.T), row)
        .square().sum().item()
        for row in x
    ]  # fmt: skip
    assert losses.contraction(slopes, weight).item() == pytest.approx(np.mean(norms), rel=1e-12)


def test_squared_weights_are_half_the_squared_norms():
    weights = [uniform(3, 4), uniform(2, 3, seed=1)]
    expected = sum(np.linalg.norm(weight.numpy()) ** 2 for weight in weights) / 2
    assert losses.squared_weights(weights).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_the_slope_of_the_kl_penalty_is_its_numeric_gradient(rho):
    rho_hat = uniform(6, low=0.01, high=0.99)
    expected = numeric_gradient(lambda means: losses.kl_sparsity(means[None], rho), rho_hat)
    torch.testing.assert_close(losses.kl_sparsity_slope(rho_hat, rho), expected, rtol=1e-6, atol=0)


def test_the_kl_penalty_of_units_all_on_or_off_has_no_slope():
    ends = torch.tensor([0.0, 1.0])
    assert losses.kl_sparsity_slope(ends, 0.05).tolist() == [0, 0]


def logits_of(*shape, seed=0):
    return uniform(*shape, low=-2, high=2, seed=seed)


def test_the_cross_entropy_of_tokens_is_that_of_those_that_are_there():
    logits, tokens = logits_of(2, 3, 5), torch.tensor([[4, 3, 0], [2, 0, 0]])
    by_hand = log_softmax(logits.numpy(), axis=2)
    expected = -(by_hand[0, 0, 4] + by_hand[0, 1, 3] + by_hand[1, 0, 2]) / 2
    assert nats_of_texts(logits, tokens).mean().item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_of_the_cross_entropy_is_the_numeric_one_and_none_behind_the_end():
    tokens = torch.tensor([[4, 3, 3], [3, 0, 0]])
    x = logits_of(2, 3, 5).requires_grad_()
    nats_of_texts(x, tokens).mean().backward()
    expected = numeric_gradient(lambda at: nats_of_texts(at, tokens).mean(), x.detach())
    torch.testing.assert_close(x.grad, expected, rtol=1e-5, atol=1e-8)
    assert (x.grad[1, 1:] == 0).all()
    assert (x.grad[1, :1] != 0).any()


MARGIN = 5


def by_scipy(x, y):
    """Wang et al. 2004, equation 13, with K1 = 0.01, K2 = 0.03 and L = 1: the mean of one channel
    over the places at which the window of 11x11 pixels lies within the image.
    """

    def mean(image):
        inside = slice(MARGIN, -MARGIN)
        return gaussian_filter(image, 1.5, radius=MARGIN)[inside, inside]

    mean_x, mean_y = mean(x), mean(y)
    of_x, of_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    of_both = mean(x * y) - mean_x * mean_y
    found = (2 * mean_x * mean_y + 1e-4) * (2 * of_both + 9e-4)
    return (found / ((mean_x**2 + mean_y**2 + 1e-4) * (of_x + of_y + 9e-4))).mean()


@pytest.mark.parametrize("shape", [(1, 11, 11), (3, 11, 20), (3, 40, 33)])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5])
def test_ssim_is_that_of_the_paper_averaged_over_channels_and_images(shape, noise):
    random = np.random.default_rng(0)
    x = gaussian_filter(random.random((2, *shape)), (0, 0, 2, 2))
    y = np.clip(x + noise * random.standard_normal(x.shape), 0, 1)
    wanted = np.mean(
        [
            by_scipy(*pair)
            for pair in zip(x.reshape(-1, *shape[1:]), y.reshape(-1, *shape[1:]), strict=True)
        ]
    )
    loss = losses.dissimilarity(torch.tensor(x), torch.tensor(y)).item()
    assert loss == pytest.approx((1 - wanted) * np.prod(shape), rel=1e-9)
    metrics = ReconstructionMetrics(0.0)
    metrics.with_ssim = True
    for one, other in zip(torch.tensor(x).float(), torch.tensor(y).float(), strict=True):
        metrics.update(one[None], other[None], torch.ones(1, 3))
    assert metrics.result()["ssim"] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("draws", [2, 3])
def test_the_gradient_of_choices_is_on_average_that_of_their_mean_cost(draws, temperature):
    """Of five choices, every outcome of the draws is weighted by its probability."""
    scores, costs = uniform(5, low=-2, seed=1).requires_grad_(), uniform(5, high=9, seed=2)

    def log_probabilities():
        return scores.log_softmax(0)

    of_choice = costs + temperature * log_probabilities()
    mean = (log_probabilities().exp() * of_choice).sum()
    (wanted,) = torch.autograd.grad(mean, scores)
    found = torch.zeros(5, dtype=torch.float64)
    for outcome in product(range(5), repeat=draws):
        drawn = log_probabilities()[list(outcome)][:, None]
        cost = costs[list(outcome)][:, None] + temperature * drawn
        (gradient,) = torch.autograd.grad(losses.of_choices(cost, drawn), scores)
        found += drawn.sum().exp().item() * gradient
    torch.testing.assert_close(found, wanted)
