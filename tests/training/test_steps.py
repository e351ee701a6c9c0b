"""Single steps: gradient descent by hand, and gradients that are cut."""

import torch
from test_loop import half_square, random_set, small

from aectl.objectives.step import Objective
from aectl.training.steps import Eager


def after_a_step(network, images, lr, clip_grad=None):
    """The loss and the weights after one step of plain gradient descent with all images."""
    optimizer = torch.optim.SGD(network.parameters(), lr)
    losses = Eager(Objective(network, half_square), optimizer, clip_grad).step(images.whole())
    return losses["loss"], [one.detach() for one in network.parameters()]


def before_a_step(network, images):
    """The loss, its gradients, and the weights."""
    loss, _ = half_square(network, images.whole())
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return loss.detach(), gradients, [one.detach().clone() for one in network.parameters()]


def test_a_step_of_sgd_is_gradient_descent_by_hand():
    network, images = small(), random_set()
    loss, gradients, old = before_a_step(network, images)
    found, new = after_a_step(network, images, 0.01)
    torch.testing.assert_close(found, loss)
    torch.testing.assert_close(new, [p - 0.01 * g for p, g in zip(old, gradients, strict=True)])


def test_a_gradient_that_is_too_long_is_scaled_down():
    network, images = small(), random_set()
    _, gradients, old = before_a_step(network, images)
    length = torch.sqrt(sum(g.square().sum() for g in gradients)).item()
    _, new = after_a_step(network, images, 1.0, clip_grad=length / 4)
    expected = [p - g / 4 for p, g in zip(old, gradients, strict=True)]
    torch.testing.assert_close(new, expected, rtol=1e-4, atol=1e-6)
