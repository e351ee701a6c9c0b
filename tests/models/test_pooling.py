"""Features that are pooled over an image, whatever network responds there."""

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
@pytest.mark.parametrize("mirror", [False, True])
def test_the_features_of_an_image_do_not_depend_on_the_others(network_of, mirror):
    network = network_of(mirror=mirror)
    alone = torch.cat([network.encode(image[None]) for image in IMAGES])
    assert torch.equal(network.encode(IMAGES), alone)
    assert torch.equal(network.encode(IMAGES.flip(0)).flip(0), alone)
