"""The rules by which units compete, each against its paper's formula in numpy."""

import numpy as np
import pytest
import torch

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.models import codes
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.codes import BatchTopK, Code, Gated, JumpReLU, MapWinners, TopK, WinnerTakeAll

UNITS = 20
RULES = {
    "none": lambda: Code("relu"),
    "topk": lambda: TopK("relu", 3, alpha=2),
    "batch-topk": lambda: BatchTopK("relu", 3),
    "jumprelu": lambda: JumpReLU(UNITS, 0.1),
    "gated": lambda: Gated(UNITS),
    "wta": lambda: WinnerTakeAll("relu", 0.25),
}


def answers(count=8, seed=0):
    """Preactivations as they might be: of both signs, no two alike."""
    return torch.randn(count, UNITS, generator=torch.Generator().manual_seed(seed))


def largest(values, count):
    """`values` with all but the `count` largest set to 0."""
    kept = np.zeros_like(values)
    chosen = np.argsort(-values, axis=None)[:count]
    kept.flat[chosen] = values.flat[chosen]
    return kept


@pytest.mark.parametrize("kind", [kind for kind in RULES if kind != "wta"])
def test_a_unit_is_active_in_training_where_it_clears_the_bar(kind):
    code, values = RULES[kind](), answers()
    threshold = code.threshold_for(values).detach().expand_as(values)
    silent = [(row, unit) for row, unit in (code(values) == 0).nonzero().tolist()]
    assert len(silent) > UNITS
    for place in silent:
        for step, active in ((0.001, True), (-0.001, False)):
            moved = values.clone()
            moved[place] = threshold[place] + step
            assert (code(moved)[place] != 0) == active


@pytest.mark.parametrize(("training", "kept"), [(True, 3), (False, 6)])
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_topk_keeps_the_largest_units_of_each_image_and_alpha_times_as_many_in_use(
    training, kept, activation
):
    rule, p = TopK(activation, 3, alpha=2).train(training), answers()
    values = p.numpy() if activation == "linear" else np.maximum(p.numpy(), 0)
    np.testing.assert_array_equal(rule(p), [largest(row, kept) for row in values])


def test_topk_of_more_units_than_there_are_is_the_activation():
    p = answers()
    assert torch.equal(TopK("relu", 3, alpha=100).eval()(p), p.relu())


def test_batch_topk_keeps_the_largest_values_of_the_batch():
    p = answers()
    expected = largest(np.maximum(p.numpy(), 0), 3 * len(p))
    np.testing.assert_array_equal(BatchTopK("relu", 3).train()(p), expected)


def test_batch_topk_in_use_keeps_what_lies_above_the_mean_of_the_least_that_was_kept():
    rule, least = BatchTopK("relu", 3).train(), []
    for seed in range(400):
        kept = rule(answers(seed=seed))
        least.append(kept[kept > 0].min().item())
    weights = 0.99 ** np.arange(400)[::-1]
    threshold = np.average(least, weights=weights)
    assert rule.threshold.item() == pytest.approx(threshold, rel=0.03)
    p = answers(2000, seed=1000)
    used = rule.eval()(p)
    expected = np.where(p.numpy() > rule.threshold.item(), p.numpy(), 0)
    np.testing.assert_array_equal(used, expected)
    assert (used > 0).sum(1).double().mean() == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("sizes", [[200], [7, 150, 43], [1] * 200])
@pytest.mark.parametrize("k", [1, 3, UNITS - 1, UNITS])
def test_a_settled_threshold_lets_k_units_be_active_on_average_or_all_that_are_positive(sizes, k):
    rule, p = BatchTopK("relu", k).eval(), answers(200, seed=5)
    rule.threshold.fill_(0.5)
    rule.settle(p.split(sizes), 200)
    wanted = min(200 * k, (p > 0).sum().item())
    assert (rule(p) > 0).sum().item() == wanted
    kept = largest(np.maximum(p.numpy(), 0), wanted)
    np.testing.assert_array_equal(rule(p), kept)


def test_jumprelu_passes_what_lies_above_each_unit_s_threshold_unchanged():
    rule, p = JumpReLU(UNITS, 0.1), answers()
    torch.nn.init.uniform_(rule.log_threshold, -2, 0)
    thresholds = np.exp(rule.log_threshold.detach().numpy())
    expected = np.where(p.numpy() > thresholds, p.numpy(), 0)
    np.testing.assert_allclose(rule(p).detach(), expected, rtol=1e-6)
    np.testing.assert_array_equal(rule.active(p).detach(), expected != 0)


def test_the_gradients_of_jumprelu_are_those_of_its_paper():
    """JumpReLU SAEs, equations 11 and 12: K is 1 within half a bandwidth of the threshold."""
    rule = JumpReLU(UNITS, 0.5)
    torch.nn.init.uniform_(rule.log_threshold, -1, 0.5)
    p, above = answers(200).requires_grad_(), torch.randn(200, UNITS)
    theta = rule.log_threshold.detach().exp()
    within = ((p - theta).abs() < 0.25).float()

    rule(p).backward(above)
    assert torch.equal(p.grad, above * (p > theta))
    expected = (above * -(theta / 0.5) * within).sum(0) * theta  # by log theta
    torch.testing.assert_close(rule.log_threshold.grad, expected)

    rule.log_threshold.grad = p.grad = None
    rule.active(p).backward(above)
    assert p.grad is None
    expected = (above * -(1 / 0.5) * within).sum(0) * theta
    torch.testing.assert_close(rule.log_threshold.grad, expected)


def test_a_gate_opens_by_the_preactivation_and_its_value_is_scaled_and_shifted():
    rule, p = Gated(UNITS), answers()
    torch.manual_seed(0)
    torch.nn.init.normal_(rule.r)
    torch.nn.init.normal_(rule.b)
    r, b = rule.r.detach().numpy(), rule.b.detach().numpy()
    expected = (p.numpy() > 0) * np.maximum(np.exp(r) * p.numpy() + b, 0)
    np.testing.assert_allclose(rule(p).detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rate", "winners"), [(0.25, 2), (0.1, 1), (0.01, 1), (1.0, 8)])
def test_winner_take_all_keeps_of_each_unit_the_images_that_excite_it_most(rate, winners):
    rule, p = WinnerTakeAll("relu", rate), answers()
    expected = [largest(column, winners) for column in np.maximum(p.numpy(), 0).T]
    np.testing.assert_array_equal(rule.train()(p), np.transpose(expected))
    assert torch.equal(rule.eval()(p), p.relu())


@pytest.mark.parametrize("name", RULES)
def test_in_use_the_code_of_an_image_does_not_depend_on_those_beside_it(name):
    rule, p = RULES[name](), answers()
    rule.train()(p)
    rule.eval()
    together = rule(p)
    for row in range(len(p)):
        assert torch.equal(rule(p[row : row + 1])[0], together[row])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", RULES)
def test_only_units_that_are_active_are_trained_and_silent_ones_are_0(name, training):
    rule, p = RULES[name]().train(training), answers().requires_grad_()
    code = rule(p)
    code.sum().backward()
    assert torch.equal(p.grad != 0, code != 0)
    assert (code >= 0).all()
    assert 0 < (code > 0).sum() < code.numel()


def test_every_kind_of_sparsity_has_its_rule():
    kinds = {
        "topk": codes.TopK, "batch-topk": codes.BatchTopK, "jumprelu": codes.JumpReLU,
        "gated": codes.Gated, "wta": codes.WinnerTakeAll, "omp-1": codes.MatchingPursuit,
    }  # fmt: skip
    for kind in OPTIONS["sparsity"].metadata["option"].choices:
        config = Config.from_options({"sparsity": kind}).model.resolved(40)
        network = build_network(Architecture(config, (1, 5, 8)))
        assert type(network.encoder.code) is kinds.get(kind, Code)


def winners_of_maps(values, rate):
    """The first largest activation of each map and, of those of a map, the largest over the batch,
    of equal ones those of the first images, by loops.
    """
    batch, maps, height, width = values.shape
    kept, least = np.zeros_like(values), []
    for unit in range(maps):
        found = []
        for image in range(batch):
            best, at = -np.inf, None
            for row in range(height):
                for column in range(width):
                    value = max(0.0, values[image, unit, row, column])
                    if value > best:
                        best, at = value, (row, column)
            found.append((-best, image, at))
        found = sorted(found)[: max(1, round(rate * batch))]
        for value, image, at in found:
            kept[(image, unit, *at)] = -value
        least.append(-found[-1][0])
    return kept, least


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("tied", [False, True])
def test_one_activation_of_each_map_wins_and_of_those_the_largest_of_a_batch(rate, tied):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(9, 6, 3, 4, generator=generator)
    values = values.round() if tied else values
    code = MapWinners(6, rate).train()
    wanted, least = winners_of_maps(values.numpy(), rate)
    assert np.array_equal(code(values).numpy(), wanted)
    assert code.threshold.tolist() == least


def test_at_inference_a_winner_stays_where_it_reaches_the_threshold_of_its_map():
    batches = torch.randn(40, 10, 3, 4, 4, generator=torch.Generator().manual_seed(0)).abs()
    code = MapWinners(3, 0.3).train()
    mean = None
    for batch in batches:
        code(batch)
        least = np.array(winners_of_maps(batch.numpy(), 0.3)[1])
        mean = least if mean is None else mean + 0.1 * (least - mean)
    assert np.abs(code.threshold.numpy() - mean).max() < 1e-5
    code.eval()
    alone = torch.cat([code(image[None]) for image in batches[0]])
    spatial, _ = winners_of_maps(batches[0].numpy(), 1.0)
    wanted = spatial * (spatial >= code.threshold.numpy()[:, None, None])
    assert np.array_equal(alone.numpy(), wanted)
    assert torch.equal(code(batches[0]), alone)
    assert 0 < np.count_nonzero(wanted) < 30


@pytest.mark.parametrize("positive", [0, 2, 9])
def test_the_activation_of_the_kept_units_alone_gives_the_code_and_the_gradient_of_all(positive):
    """Also of inputs with fewer positive units than are kept."""
    before = torch.rand(5, 9, generator=torch.Generator().manual_seed(0)) + 0.1
    before[:, positive:] *= -1
    pulls = torch.rand(5, 9, generator=torch.Generator().manual_seed(1))
    code, found = TopK("relu", 3).train(), before.clone().requires_grad_()
    (code(found) * pulls).sum().backward()
    expected = before.clone().requires_grad_()
    active = expected.relu()
    kept = active >= active.topk(3, 1).values[:, -1:]
    (active * kept * pulls).sum().backward()
    assert code(before).equal((active * kept).detach())
    assert found.grad.equal(expected.grad)
