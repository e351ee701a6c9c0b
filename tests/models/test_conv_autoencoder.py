"""The convolutional autoencoder: exact shapes, and its stages in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from aectl.models.codes import Code
from aectl.models.networks import ConvAutoencoder


def images(shape, count=2):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def halved(x, weight, bias):
    """A 3x3 convolution of stride 2 over an image with a border of one zero, by loops."""
    count, _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((count, len(weight), (height + 1) // 2, (width + 1) // 2))
    for row, column in np.ndindex(*out.shape[2:]):
        patch = padded[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        out[:, :, row, column] = np.einsum("ncij,ocij->no", patch, weight) + bias
    return out


def doubled(x, weight, bias, height, width):
    """Each pixel stamps its 3x3 patch, two pixels apart; the border of one is cut off."""
    canvas = np.zeros((len(x), weight.shape[1], height + 3, width + 3))
    for row, column in np.ndindex(*x.shape[2:]):
        stamp = np.einsum("nc,coij->noij", x[:, :, row, column], weight)
        canvas[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += stamp
    return canvas[:, :, 1 : height + 1, 1 : width + 1] + bias[:, None, None]


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 8, 7)])
def test_forward_is_convolutions_a_dense_code_and_transposed_convolutions(shape):
    torch.manual_seed(0)
    network = ConvAutoencoder(shape, (4, 3, 5), code=Code("sigmoid"))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    x = images(shape)
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}

    first = relu(
        halved(x.double().numpy(), w["encoder.stages.0.weight"], w["encoder.stages.0.bias"])
    )
    second = relu(halved(first, w["encoder.stages.1.weight"], w["encoder.stages.1.bias"]))
    code = expit(second.reshape(2, -1) @ w["encoder.to_code.weight"].T + w["encoder.to_code.bias"])
    inner = code @ w["decoder.from_code.weight"].T + w["decoder.from_code.bias"]
    wide = doubled(
        relu(inner.reshape(second.shape)), w["decoder.stages.0.weight"],
        w["decoder.stages.0.bias"], *first.shape[2:],
    )  # fmt: skip
    out = doubled(relu(wide), w["decoder.stages.1.weight"], w["decoder.stages.1.bias"], *shape[1:])
    np.testing.assert_allclose(network.encode(x).detach(), code, atol=1e-5)
    np.testing.assert_allclose(network(x).detach(), np.clip(out, 0, 1), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height", [1, 7, 8, 28, 29])
@pytest.mark.parametrize("width", [1, 8, 13, 30])
@pytest.mark.parametrize("hidden", [(4, 6), (4, 5, 6), (2, 3, 4, 5, 6)])
def test_images_come_back_in_exactly_their_shape(channels, height, width, hidden):
    network = ConvAutoencoder((channels, height, width), hidden)
    x = images((channels, height, width))
    assert network.encode(x).shape == (2, 6)
    assert network(x).shape == x.shape


def test_filter_responses_are_what_the_code_is_before_its_activation():
    network = ConvAutoencoder((1, 6, 6), (3, 4), code=Code("sigmoid"))
    x = images((1, 6, 6))
    assert network.code_size == 4
    np.testing.assert_allclose(
        expit(network.filter_responses(x).detach().numpy()), network.encode(x).detach(), rtol=1e-5
    )


def test_every_weight_is_trained():
    torch.manual_seed(0)
    network = ConvAutoencoder((3, 9, 10), (8, 8, 16), "tanh", Code("tanh"))
    x = images((3, 9, 10))
    (network(x) - x).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
