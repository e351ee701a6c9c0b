"""The autoencoder whose code is a map: shapes, convolutions by scipy, no checkerboard."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from aectl.models.codes import Code, TopK
from aectl.models.networks import MapAutoencoder


def images(shape, count=2):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def built(shape, hidden, **options):
    """A network whose weights are all random, as after some training."""
    torch.manual_seed(0)
    network = MapAutoencoder(shape, hidden, code=options.pop("code", Code("linear")), **options)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (7, 5), (33, 64), (28, 28), (8, 1)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("hidden", [(4, 3), (4, 5, 2), (4, 5, 6, 7, 1)])
def test_a_code_has_the_halved_sides_and_images_come_back_in_their_shape(sides, channels, hidden):
    network, x = built((channels, *sides), hidden), images((channels, *sides))
    halved = [-(-side // 2 ** (len(hidden) - 1)) for side in sides]
    assert network.encoder.code_shape == (hidden[-1], *halved)
    assert network.encode(x).shape == (2, network.code_size)
    assert network.code_size == hidden[-1] * halved[0] * halved[1]
    assert network(x).shape == x.shape
    for layer, count in enumerate(hidden[:-1], 1):
        at_stage = [-(-side // 2**layer) for side in sides]
        assert network.encode(x, layer).shape == (2, count * at_stage[0] * at_stage[1])


def convolved(x, weight, bias):
    """A convolution that keeps the sides, by scipy, with the border's pixels beyond it."""
    margin = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (margin, margin), (margin, margin)), "edge")
    out = [
        [sum(correlate(a, b, "valid") for a, b in zip(image, kernel, strict=True))
         for kernel in weight]
        for image in padded
    ]  # fmt: skip
    return np.array(out) + bias[:, None, None]


def residual(x, w, name):
    first = convolved(np.maximum(x, 0), w[f"{name}.first.weight"], w[f"{name}.first.bias"])
    second = w[f"{name}.second.weight"], w[f"{name}.second.bias"]
    return x + convolved(np.maximum(first, 0), *second)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 8, 7)])
def test_forward_is_strided_convolutions_residual_blocks_and_squares_of_pixels(shape):
    network, x = built(shape, (4, 3)), images(shape)
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    kernel = w["encoder.stages.0.halve.weight"], w["encoder.stages.0.halve.bias"]
    inner = convolved(x.double().numpy(), *kernel)[:, :, ::2, ::2]
    inner = residual(inner, w, "encoder.stages.0.residual")
    code = np.einsum("nchw,kc->nkhw", inner, w["encoder.to_code.weight"])
    code += w["encoder.to_code.bias"][:, None, None]
    np.testing.assert_allclose(network.encode(x).detach(), code.reshape(2, -1), atol=1e-4)

    back = np.einsum("nkhw,ck->nchw", code, w["decoder.from_code.weight"])
    back += w["decoder.from_code.bias"][:, None, None]
    back = residual(back, w, "decoder.stages.0.residual")
    back = convolved(back, w["decoder.stages.0.convolution.weight"], np.zeros(4 * shape[0]))
    out = np.empty((2, shape[0], 2 * back.shape[2], 2 * back.shape[3]))
    for number in range(4):  # of the pixels of a square, row by row
        out[:, :, number // 2 :: 2, number % 2 :: 2] = back[:, number::4]
    out = out[:, :, : shape[1], : shape[2]] + w["decoder.stages.0.convolution.bias"][:, None, None]
    np.testing.assert_allclose(network(x).detach(), np.clip(out, 0, 1), atol=1e-4)


def test_every_weight_is_trained_once_the_blocks_have_left_the_identity():
    torch.manual_seed(0)
    network = MapAutoencoder((3, 19, 10), (8, 8, 5), code=Code("linear"))
    optimizer, x = torch.optim.SGD(network.parameters(), 1e-3), images((3, 19, 10))
    for _ in range(2):
        optimizer.zero_grad()
        (network(x) - x).square().sum().backward()
        optimizer.step()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_training_begins_near_the_mean_image_and_with_codes_of_its_contrast():
    torch.manual_seed(0)
    network, x = (
        MapAutoencoder((3, 32, 32), (32, 64, 128, 12), code=Code("linear")),
        images((3, 32, 32), 64),
    )
    with torch.no_grad():
        assert 0.3 < network.encode(x - 0.5).std() / x.std() < 3
        assert network.decoder(network.encode(x - 0.5)).std() < x.std()


@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_code_does_not_depend_on_what_else_is_in_the_batch(count):
    network, x = built((3, 20, 12), (8, 8, 4)), images((3, 20, 12), count)
    others = torch.rand(count, 3, 20, 12) * 9
    others[0] = x[0]
    with torch.no_grad():
        assert torch.equal(network.encode(x)[0], network.encode(others)[0])
        assert torch.equal(network(x)[0], network(others)[0])


def test_a_rule_of_sparsity_chooses_among_all_places():
    network, x = built((1, 16, 16), (4, 3), code=TopK("relu", 5)), images((1, 16, 16))
    code, before = network.encode(x), network.filter_responses(x).relu()
    assert (code != 0).sum(1).tolist() == [5, 5]
    torch.testing.assert_close(code.sum(1), before.topk(5).values.sum(1))


@pytest.mark.parametrize("sides", [(8, 8), (5, 12), (1, 1)])
def test_the_same_network_for_other_sides_shares_its_weights(sides):
    network, x = built((3, 16, 11), (4, 5, 2), center=True), images((3, *sides))
    network.encoder.center.fill_(0.3)
    other = network.of_sides(sides)
    alone = built((3, *sides), (4, 5, 2), center=True)
    alone.load_state_dict(network.state_dict())
    assert torch.equal(other(x), alone(x))
    assert torch.equal(other.encode(x), alone.encode(x))
    assert other.encoder.code_shape == alone.encoder.code_shape
    assert other.code_size == alone.code_size
    for mine, its in zip(network.parameters(), other.parameters(), strict=True):
        assert mine is its
    assert network(images((3, 16, 11))).shape == (2, 3, 16, 11)


def test_what_a_channel_draws_is_the_change_that_it_makes_in_a_larger_image():
    network, codes = built((3, 44, 44), (4, 5, 3)), torch.randn(6, 3 * 11 * 11)
    found = network.drawn(codes)
    assert found.shape == (3, 3, 12, 12)
    values = codes.view(6, 3, 121).movedim(1, 0).flatten(1).numpy()
    for channel in range(3):
        mean = np.broadcast_to(values.mean(1)[:, None, None], (3, 11, 11)).copy()
        changed = mean.copy()
        changed[channel, 5, 5] += values[channel].std()
        with torch.no_grad():
            both = network.decoder(torch.from_numpy(np.stack([changed, mean])).flatten(1))
        change = (both[0] - both[1])[:, 16:28, 16:28]
        np.testing.assert_allclose(
            found[channel], change, rtol=1e-3, atol=1e-4 * change.abs().max()
        )


def test_the_value_of_a_channel_is_that_of_largest_magnitude():
    network = built((1, 16, 24), (4, 5, 3))
    code = network.encode(images((1, 16, 24))).detach().numpy().reshape(2, 3, 24)
    found = network.unit_values(images((1, 16, 24))).detach().numpy()
    wanted = [[max(channel, key=abs) for channel in image] for image in code]
    np.testing.assert_array_equal(found, wanted)
