"""Filters against torch's gradients, numpy's standard deviation and Pillow's reduction."""

import numpy as np
import pytest
import torch
import warm
from PIL import Image
from test_inspection import images

from aectl.inference import filters
from aectl.inference.filters import filters_of
from aectl.models.codes import BatchTopK, Code, TopK
from aectl.models.networks import Autoencoder, Classifier


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Autoencoder((1, 6, 6), [10], code=TopK("relu", 3)).eval()


@pytest.mark.parametrize("at_once", [1, 100, 1 << 22])
def test_the_deviation_of_each_pixel_is_numpy_s(at_once, monkeypatch):
    monkeypatch.setattr(filters, "AT_ONCE", at_once)
    shown = images(37).images
    shown[:, 0, 2, 3] = 255
    found = filters.standard_deviation(shown)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (shown / 255).std(0), rtol=1e-6, atol=1e-9)
    assert found[0, 2, 3] == 0


def test_filters_of_a_deep_network_are_means_over_images_of_torch_s_gradients():
    torch.manual_seed(0)
    deep, shown = Autoencoder((1, 6, 6), [12, 10]).eval(), images(5).images
    wanted = np.mean([image_gradients(deep, image) for image in shown], 0)
    found = filters_of(deep, shown, 4, 6)
    np.testing.assert_allclose(found, (wanted * (shown / 255).std(0))[:4], rtol=1e-4, atol=1e-7)


def image_gradients(network, image):
    """The gradient of each answer of a network to an image, (units, ...), as torch has it."""
    x = torch.from_numpy(image[None]).float() / 255
    return torch.func.jacrev(network.filter_responses)(x)[0, :, 0].detach().numpy()


def silent(code):
    """A classifier on a code of which an image makes two units active, and the mean image none."""
    encoder = Autoencoder((1, 6, 6), [36], code=code).encoder
    with torch.no_grad():
        encoder.to_code.weight.copy_(torch.eye(36))
        encoder.to_code.bias.fill_(-0.5)
    return Classifier((1, 6, 6), [5], 3, encoder=encoder).eval()


@pytest.mark.parametrize("code", [Code("relu"), BatchTopK("relu", 2), TopK("relu", 1)])
def test_filters_of_a_classifier_on_a_code_are_not_grey(code):
    torch.manual_seed(0)
    network = silent(code)
    if isinstance(code, BatchTopK):
        code.threshold.fill_(0.2)
    pixels = np.zeros((18, 1, 36), np.uint8)
    for number in range(18):
        pixels[number, 0, [number, number + 18]] = 255
    pixels = pixels.reshape(18, 1, 6, 6)
    mean = pixels.mean(0)
    found = filters_of(network, pixels, 400, 6)
    assert (np.abs(found).max((1, 2, 3)) > 0).all()
    wanted = np.mean([image_gradients(network, image) for image in pixels], 0)
    np.testing.assert_allclose(found, wanted * (pixels / 255).std(0), rtol=1e-4, atol=1e-7)
    if not isinstance(code, TopK):
        assert (image_gradients(network, mean) == 0).all()


def test_filters_of_a_single_layer_are_its_weights_in_units_of_each_pixel_s_deviation(network):
    shown = images(50).images
    weights = network.encoder.to_code.weight.detach().numpy().reshape(10, 1, 6, 6)
    found = filters_of(network, shown, 7, 6)
    np.testing.assert_allclose(found, weights[:7] * (shown / 255).std(0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("layers", [[10], [12, 10]])
def test_filters_are_the_same_where_the_network_sees_one_image_at_a_time(layers):
    torch.manual_seed(0)
    network, shown = Autoencoder((1, 6, 6), layers).eval(), images(50).images
    wanted = filters_of(network, shown, 7, 6)
    network.one_at_a_time = True
    np.testing.assert_allclose(filters_of(network, shown, 7, 6), wanted, rtol=1e-4, atol=1e-6)


def test_large_filters_are_made_smaller_as_pillow_makes_them(network):
    shown = images(50).images
    whole, small = filters_of(network, shown, 7, 6), filters_of(network, shown, 7, 3)
    wanted = [Image.fromarray(one[0]).resize((3, 3), Image.Resampling.BILINEAR) for one in whole]
    np.testing.assert_allclose(small[:, 0], np.stack(wanted), rtol=1e-4, atol=1e-6)


MEASURE = """
import resource
import numpy as np, torch
from aectl.inference.filters import filters_of
from aectl.models.networks import ConvAutoencoder
network = ConvAutoencoder((3, 512, 512), [2, 2, 2, 2, 32])
network.one_at_a_time = True
images = np.random.default_rng(0).integers(0, 256, (1, 3, 512, 512), dtype=np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
filters_of(network, images, 32, 64)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_filters_of_a_large_image_take_the_memory_of_one_unit_at_a_time():
    assert int(warm.python(MEASURE)) < 32 * 3  # MiB: an image has 3, and there are 32 units
