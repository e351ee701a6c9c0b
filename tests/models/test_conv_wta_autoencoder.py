"""The convolutional winner-take-all autoencoder, against torch's own convolutions and loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aectl.config.configuration import Config
from aectl.config.model_options import ModelConfig
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch

SHAPE = (3, 7, 8)
IMAGES = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))
POOLS = {"sum": np.sum, "mean": np.mean, "max": np.max}
OPTIONS = {
    "model": "conv-wta-autoencoder", "hidden": (4, 6), "sparsity": "wta", "features": "code",
    "kernel_size": 3, "filter_size": 5, "rate": 0.4, "grid": (2, 3), "pool": "max",
}  # fmt: skip


def network_of(**options):
    torch.manual_seed(0)
    config = ModelConfig(**{**OPTIONS, **options})
    network = build_network(Architecture(config.resolved(1), SHAPE)).eval()
    if network.encoder.whitening is not None:
        network.encoder.whitening.fit(torch.rand(400, *SHAPE).flatten(1), 0.1)
    if config.center:
        network.trained.encoder.center.fill_(0.3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def input_of(network):
    """The images as its first convolution takes them, in numpy, by the formulas of `Whitening`."""
    x = IMAGES.double().flatten(1).numpy()
    whitening = network.encoder.whitening
    if whitening is not None:
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 10 / 255**2)
        x = (x - whitening.center.numpy()) @ whitening.matrix.double().numpy()
    if network.trained.encoder.center is not None:
        x = x - 0.3
    return torch.from_numpy(x).view_as(IMAGES)


def maps_of(network):
    """The activations of the maps: (images, maps, height, width)."""
    x = input_of(network)
    for layer in network.trained.encoder.layers:
        x = F.relu(F.conv2d(x, layer.weight.double(), layer.bias.double(), padding="same"))
    return x.detach().numpy()


KINDS = {"plain": {}, "whitened": {"whitening": 0.1}, "centred": {"center": True}}
each_kind = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


@each_kind
@pytest.mark.parametrize(
    ("pool", "overlap"), [("sum", 0), ("mean", 0), ("max", 0), ("none", 0), ("max", 1), ("sum", 2)]
)
def test_features_are_pooled_maps(options, pool, overlap):
    network = network_of(pool=pool, overlap=overlap, **options)
    maps = maps_of(network)
    if pool == "none":
        wanted = np.moveaxis(maps, 1, -1).reshape(5, -1)
    else:
        rows, columns = ((0, 3), (3, 7)), ((0, 2), (2, 5), (5, 8))
        found = [
            POOLS[pool](
                maps[:, :, max(0, y - overlap) : b + overlap, max(0, x - overlap) : d + overlap],
                axis=(2, 3),
            )
            for y, b in rows
            for x, d in columns
        ]
        wanted = np.concatenate(found, axis=1)
    made = network.encode(IMAGES).detach().numpy()
    assert made.shape == (5, network.code_size)
    assert np.abs(made - wanted).max() < 1e-5 * np.abs(wanted).max()
    alone = torch.cat([network.encode(image[None]) for image in IMAGES])
    assert np.array_equal(alone.detach().numpy(), made)


@each_kind
def test_the_largest_activation_of_each_map_draws_its_filter_if_it_reaches_the_threshold(options):
    network = network_of(**options)
    maps = maps_of(network)
    threshold = np.median(maps.max((2, 3)))
    network.trained.encoder.code.threshold.fill_(threshold)
    winners = np.zeros((5, 6))
    canvas = np.zeros((5, 3, 7 + 4, 8 + 4))
    filters = network.filters().double().detach().numpy()
    for image, unit in np.ndindex(5, 6):
        place = np.unravel_index(maps[image, unit].argmax(), (7, 8))
        value = maps[image, unit][place]
        if value > threshold:
            winners[image, unit] = value
            canvas[image, :, place[0] : place[0] + 5, place[1] : place[1] + 5] += (
                value * filters[unit]
            )
    assert np.count_nonzero(winners) == 15
    bias = network.trained.decoder.bias.double().detach().numpy()
    wanted = (canvas[:, :, 2:-2, 2:-2] + bias[:, None, None]).reshape(5, -1)
    whitening = network.encoder.whitening
    if whitening is not None:
        x = IMAGES.double().flatten(1).numpy()
        wanted = wanted @ np.linalg.inv(whitening.matrix.double().numpy())
        wanted = (wanted + whitening.center.numpy()) * np.sqrt(
            x.var(1, keepdims=True) + 10 / 255**2
        ) + x.mean(1, keepdims=True)
    code, output = network.traced(IMAGES)
    assert np.abs(code.detach().numpy() - winners).max() < 1e-5
    assert np.abs(output.flatten(1).detach().numpy() - wanted).max() < 1e-4
    assert torch.equal(network.unit_values(IMAGES), code)
    assert torch.equal(network.reconstruct(IMAGES), output.clamp(0, 1))


@each_kind
def test_gradients_through_the_winners_are_finite_differences(options):
    if "whitening" not in options:
        options = {**options, "output_activation": "sigmoid"}  # clamp has another's gradient
    network = network_of(**options).double()
    config = Config.from_options({**OPTIONS, **options})
    whole = objective(config, network.trained, network.below).train()
    batch = Batch(IMAGES.double(), None)
    parameters = list(network.trained.parameters())
    slopes = torch.autograd.grad(whole(batch).loss, parameters)
    chance = torch.Generator().manual_seed(0)
    for parameter, slope in zip(parameters, slopes, strict=True):
        values = parameter.data.view(-1)
        for place in torch.randint(len(values), (5,), generator=chance).tolist():
            before, found = values[place].item(), []
            for step in (1e-6, -1e-6):
                values[place] = before + step
                found.append(whole(batch).loss.item())
            values[place] = before
            wanted = (found[0] - found[1]) / 2e-6
            assert abs(slope.view(-1)[place].item() - wanted) < 1e-5 * max(1, abs(wanted))


def test_pooled_features_cannot_be_decoded():
    network = network_of()
    with pytest.raises(NotImplementedError, match="cannot be decoded"):
        network.decode(network.encode(IMAGES))
