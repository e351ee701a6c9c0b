"""Codes and images as arrays: a linear network with the components of scikit-learn's PCA is PCA."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from aectl.errors import ModelFileError
from aectl.inference import arrays
from aectl.models.codes import Code, TopK
from aectl.models.networks import Autoencoder

DIGITS = np.round(load_digits().images[:600, None] * (255 / 16)).astype(np.uint8)
"""More than two blocks."""

FLAT = DIGITS.reshape(len(DIGITS), -1) / 255


@pytest.fixture(scope="module")
def pca():
    return PCA(5).fit(FLAT)


@pytest.fixture
def network(pca):
    made = Autoencoder((1, 8, 8), (5,), code=Code("linear"), output_activation="linear")
    components = torch.from_numpy(pca.components_)
    with torch.no_grad():
        made.encoder.to_code.weight.copy_(components)
        made.encoder.to_code.bias.copy_(-components @ torch.from_numpy(pca.mean_))
        made.decoder.directions.copy_(components.t())
        made.decoder.last_bias.copy_(torch.from_numpy(pca.mean_))
    return made


def close(found, wanted):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.reshape(len(found), -1), wanted, atol=1e-5)


@pytest.mark.parametrize("alone", [False, True])
def test_codes_and_reconstructions_are_those_of_pca(network, pca, alone):
    network.one_at_a_time = alone
    few = slice(0, 40 if alone else None)
    codes = arrays.codes_of(network, DIGITS[few])
    close(codes, pca.transform(FLAT[few]))
    close(arrays.decode_codes(network, codes), pca.inverse_transform(pca.transform(FLAT[few])))
    made = arrays.reconstruct_images(network, DIGITS[few])
    assert made.shape == DIGITS[few].shape
    close(made, pca.inverse_transform(pca.transform(FLAT[few])))


def test_images_between_two_lie_on_the_line_between_their_reconstructions(network, pca):
    made = arrays.interpolate(network, DIGITS[[3, 8]], 5)
    first, last = pca.inverse_transform(pca.transform(FLAT[[3, 8]]))
    close(made, [first + share * (last - first) for share in (0, 0.25, 0.5, 0.75, 1)])


def test_a_traversed_unit_has_each_value_in_turn_and_the_others_their_own(network, pca):
    values = np.array([-2.0, 0.5], np.float32)
    made = arrays.traverse(network, DIGITS[[3, 8]], 2, values)
    wanted = []
    for code in pca.transform(FLAT[[3, 8]]):
        for value in (-2.0, 0.5):
            changed = code.copy()
            changed[2] = value
            wanted.append(pca.inverse_transform(changed[None])[0])
    close(made, wanted)


@pytest.mark.parametrize(
    ("activation", "is_active"),
    [
        ("relu", lambda before: before > 0),
        ("sigmoid", lambda before: 1 / (1 + np.exp(-before)) > 0.1),
        ("tanh", lambda before: before != 0),
    ],
)
def test_a_unit_is_dead_if_no_image_of_any_block_activates_it(activation, is_active):
    bias = np.array([-9.0, -0.5, 0, 0, 1e-3, -0.999])
    network = Autoencoder((1, 8, 8), (6,), code=Code(activation))
    with torch.no_grad():
        network.encoder.to_code.weight.copy_(torch.eye(64)[10:16])
        network.encoder.to_code.bias.copy_(torch.from_numpy(bias))
    pixels = DIGITS.copy()
    pixels.reshape(600, 64)[:, 15] = [255, *[0] * 599]  # the last unit is active in the first block
    wanted = ~is_active(pixels.reshape(600, 64)[:, 10:16] / 255 + bias).any(0)
    assert arrays.dead_units(network, pixels).tolist() == wanted.tolist()
    assert wanted[0] == (activation != "tanh")


def test_units_that_lose_every_competition_are_dead():
    network = Autoencoder((1, 8, 8), (3,), code=TopK("relu", 1))
    with torch.no_grad():
        network.encoder.to_code.weight.zero_()
        network.encoder.to_code.bias.copy_(torch.tensor([1.0, 3.0, 2.0]))
    assert arrays.dead_units(network, DIGITS[:10]).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "use",
    [
        lambda network: arrays.reconstruct_images(network, DIGITS[:2]),
        lambda network: arrays.interpolate(network, DIGITS[:2], 2),
        lambda network: arrays.traverse(network, DIGITS[:2], 0, np.array([1], np.float32)),
    ],
)
def test_results_that_overflow_are_refused(network, use):
    torch.nn.init.constant_(network.decoder.directions.data, 3e38)
    with pytest.raises(ModelFileError, match="overflows 32-bit floats"):
        use(network)


def test_codes_too_large_for_the_decoder_give_images_that_are_not_finite():
    network = Autoencoder((1, 2, 2), (1,), output_activation="clamp")
    torch.nn.init.constant_(network.decoder.directions.data, 10.0)
    made = arrays.decode_codes(network, np.array([[1.0], [3e38]], np.float32))
    assert np.isfinite(made).all((1, 2, 3)).tolist() == [True, False]
