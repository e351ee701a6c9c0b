"""Features that are pooled over an image, whatever network responds there."""

import numpy as np
import pytest
import torch
from test_conv_wta_autoencoder import IMAGES
from test_conv_wta_autoencoder import network_of as winners
from test_patch_autoencoder import network_of as patches

NETWORKS = {
    "winners": winners,
    "patches": lambda **options: patches(shape=IMAGES.shape[1:], **options),
}
each_network = pytest.mark.parametrize("network_of", NETWORKS.values(), ids=NETWORKS)


@each_network
@pytest.mark.parametrize("pool", ["sum", "mean", "max", "none"])
def test_features_of_mirror_images_are_added(network_of, pool):
    network, plain = network_of(mirror=True, pool=pool), network_of(pool=pool)
    wanted = plain.encode(IMAGES) + plain.encode(IMAGES.flip(3))
    assert torch.equal(network.encode(IMAGES), wanted)
    assert torch.equal(network.encode(IMAGES.flip(3)), wanted)


@each_network
@pytest.mark.parametrize("options", [{}, {"mirror": True}, {"features": "code"}])
@pytest.mark.parametrize("power", [0.5, 0.3])
def test_features_of_both_signs_are_raised_to_a_power(network_of, options, power):
    network, plain = network_of(power=power, **options), network_of(**options)
    wanted = plain.encode(IMAGES).double().detach().numpy()
    found = network.encode(IMAGES).double().detach().numpy()
    np.testing.assert_allclose(found, np.sign(wanted) * np.abs(wanted) ** power, rtol=1e-5)


@each_network
@pytest.mark.parametrize("options", [{}, {"mirror": True}, {"power": 0.3}])
def test_the_features_of_an_image_do_not_depend_on_the_others(network_of, options):
    network = network_of(**options)
    alone = torch.cat([network.encode(image[None]) for image in IMAGES])
    assert torch.equal(network.encode(IMAGES), alone)
    assert torch.equal(network.encode(IMAGES.flip(0)).flip(0), alone)
