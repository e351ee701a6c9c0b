"""The patch autoencoder, against a plain loop over the patches of each image."""

import numpy as np
import pytest
import torch

from aectl.config.model_options import ModelConfig
from aectl.models.architecture import Architecture
from aectl.models.build import build_network

UNITS = 5
IMAGES = torch.rand(4, 3, 9, 11, generator=torch.Generator().manual_seed(0))
POOLS = {"sum": np.sum, "mean": np.mean, "max": np.max}


def network_of(seed=0, shape=(3, 9, 11), hidden=(UNITS,), **options):
    torch.manual_seed(seed)
    given = {"code_activation": "linear", "patch_size": (4, 3), **options}
    config = ModelConfig(model="patch-autoencoder", hidden=hidden, **given)
    network = build_network(Architecture(config.resolved(1), shape)).eval()
    whitening = network.encoder.whitening
    patches = torch.rand(500, len(whitening.center))
    whitening.fit(patches, 0.1)
    return network


def whitened(network, patch):
    """A patch, (channels, height, width), as the formula in the docstring of `Whitening` has it."""
    p = patch.double().flatten().numpy()
    x = (p - p.mean()) / np.sqrt(p.var() + 10 / 255**2)
    encoder = network.encoder
    return (
        x - encoder.whitening.center.double().numpy()
    ) @ encoder.whitening.matrix.double().numpy()


def responses_of(network, image, stride):
    """The response of each unit at each place: (down, across, units)."""
    (height, width), stride = (4, 3), stride
    weight, bias = (
        p.detach().double().numpy() for p in network.of_patches.encoder.layers[0].parameters()
    )
    columns = network.of_patches.decoder.directions.detach().double().numpy()
    columns = columns / np.linalg.norm(columns, axis=0)
    rows = []
    for top in range(0, image.shape[1] - height + 1, stride):
        rows.append([])
        for left in range(0, image.shape[2] - width + 1, stride):
            x = whitened(network, image[:, top : top + height, left : left + width])
            of_code = network.encoder.patching.threshold is None
            rows[-1].append(weight @ x + bias if of_code else x @ columns)
    return np.array(rows)


def features_of(network, image, stride, pool, grid, threshold):
    found = responses_of(network, image, stride)
    signs = [found]
    if threshold is not None:
        signs = [np.maximum(found - threshold, 0), np.maximum(-found - threshold, 0)]
    if pool == "none":
        return np.concatenate(signs, axis=2).reshape(-1)
    down, across = found.shape[:2]
    made = []
    for row in range(grid[0]):
        for column in range(grid[1]):
            rows = slice(row * down // grid[0], (row + 1) * down // grid[0])
            columns = slice(column * across // grid[1], (column + 1) * across // grid[1])
            made += [POOLS[pool](sign[rows, columns], axis=(0, 1)) for sign in signs]
    return np.concatenate(made)


@pytest.mark.parametrize("pool", [*POOLS, "none"])
@pytest.mark.parametrize("features", ["soft-threshold", "code"])
@pytest.mark.parametrize(("stride", "grid"), [(1, (2, 2)), (2, (3, 1)), (5, (1, 2))])
def test_features_are_those_of_a_plain_loop_over_patches(pool, features, stride, grid):
    network = network_of(pool=pool, features=features, stride=stride, grid=grid, threshold=0.3)
    threshold = 0.3 if features == "soft-threshold" else None
    wanted = [features_of(network, image, stride, pool, grid, threshold) for image in IMAGES]
    made = network.encode(IMAGES).detach().numpy()
    assert made.shape == (4, network.code_size)
    assert not np.signbit(made[made == 0]).any()
    assert np.abs(made - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_the_features_of_an_image_do_not_depend_on_the_others():
    network = network_of()
    alone = torch.cat([network.encode(image[None]) for image in IMAGES])
    assert torch.equal(network.encode(IMAGES), alone)
    assert torch.equal(network.encode(IMAGES.flip(0)).flip(0), alone)


@pytest.mark.parametrize("part", ["whitening.matrix", "of_patches.decoder.layers.0.weight"])
def test_the_features_follow_the_weights(part):
    network, other = network_of(0), network_of(1)
    with torch.inference_mode():
        before, wanted = network.encode(IMAGES), other.encode(IMAGES)
        assert torch.equal(network.encode(IMAGES), before)
    network.load_state_dict(other.state_dict())
    with torch.inference_mode():
        assert torch.equal(network.encode(IMAGES), wanted)
        network.encoder.state_dict()[part][0].mul_(2)
        assert not torch.equal(network.encode(IMAGES), wanted)


def test_the_gradient_of_features_can_be_computed_after_use():
    network, images = network_of(), IMAGES.clone().requires_grad_()
    with torch.inference_mode():
        network.encode(IMAGES)
    network.encode(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_patches_are_undone_from_their_whitened_values():
    network = network_of()
    patches = network.encoder.patches(IMAGES[:1])
    whitening = network.encoder.whitening
    assert (whitening.undone(whitening(patches)) - patches).abs().max() < 1e-5


@pytest.mark.parametrize("stride", [1, 2])
def test_images_come_back_from_a_code_that_keeps_all_of_a_patch(stride):
    network = network_of(hidden=(36,), stride=stride)
    with torch.no_grad():
        for layer in (network.of_patches.encoder.layers[0], network.of_patches.decoder.layers[0]):
            layer.weight.copy_(torch.eye(36))
            layer.bias.zero_()
    made = network.reconstruct(IMAGES)
    covered = made != 0
    assert covered.float().mean() > 0.8
    assert (made - IMAGES)[covered].abs().max() < 1e-4


def test_pooled_features_cannot_be_decoded():
    network = network_of()
    with pytest.raises(NotImplementedError, match="cannot be decoded"):
        network.decode(network.encode(IMAGES))


def test_the_traced_codes_are_those_of_all_patches():
    network = network_of(features="code", pool="none")
    codes, output = network.traced(IMAGES)
    assert torch.allclose(codes.view(4, -1), network.encode(IMAGES), atol=1e-6)
    assert torch.equal(output.clamp(0, 1), network.reconstruct(IMAGES))
    strongest = codes.view(4, -1, UNITS)
    assert torch.equal(network.unit_values(IMAGES).abs(), strongest.abs().amax(1))


@pytest.mark.parametrize("pool", ["sum", "none"])
def test_with_mirror_an_image_and_its_mirror_image_have_the_same_features(pool):
    network, plain = (network_of(pool=pool, mirror=mirror) for mirror in (True, False))
    images = IMAGES[:, :, :, :10]
    network, plain = (
        network_of(pool=pool, mirror=mirror, shape=(3, 9, 10)) for mirror in (True, False)
    )
    made = network.encode(images)
    assert torch.equal(made, network.encode(images.flip(3)))
    wanted = plain.encode(images) + plain.encode(torch.from_numpy(images.numpy()[..., ::-1].copy()))
    assert torch.allclose(made, wanted, rtol=1e-6)
    assert not torch.allclose(made, plain.encode(images))
