"""What a report shows, held against the same found by hand."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from aectl.data.images.datasets import ImageSet
from aectl.data.inputs import in_memory
from aectl.inference import apply as inference
from aectl.inference.filters import filters_of
from aectl.inference.inspection import BINS, MAPS, Inspection
from aectl.inference.metrics import ClassificationMetrics, ReconstructionMetrics
from aectl.models.codes import BatchTopK, Code, TopK
from aectl.models.networks import Autoencoder, Classifier

CPU = torch.device("cpu")


def images(count, seed=0, side=6):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 1, side, side), dtype=np.uint8)
    return ImageSet("drawn", pixels, rng.integers(0, 3, count), ("a", "b", "c"))


def inspected(network, shown, size=64):
    metrics = ReconstructionMetrics(network.active_above)
    inspection = Inspection(network)
    for measured in inference.measure(
        network, in_memory(shown, size), inference.on_device(network, CPU), metrics
    ):
        inspection.add(measured)
    return inspection.findings(metrics)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Autoencoder((1, 6, 6), [10], code=TopK("relu", 3)).eval()


def by_hand(network, shown):
    x = torch.from_numpy(shown.images).float() / 255
    with torch.no_grad():
        code = network.encode(x)
        mse = (network.decode(code) - x).square().flatten(1).mean(1)
    return code.numpy(), mse.numpy()


def test_the_galleries_hold_the_best_the_median_and_the_worst(network):
    shown = images(500)
    _, mse = by_hand(network, shown)
    galleries = inspected(network, shown).galleries
    order = np.argsort(mse)
    wanted = {"best": order[:12], "worst": order[::-1][:12]}
    for name, places in wanted.items():
        assert galleries[name].shown.paths == [f"drawn/{place}" for place in places]
        np.testing.assert_allclose(galleries[name].mse, mse[places], rtol=1e-5)
        np.testing.assert_array_equal(galleries[name].shown.images, shown.images[places])
    middle = np.argsort(np.abs(mse - np.median(mse)))[:12]
    assert set(galleries["median"].shown.paths) == {f"drawn/{place}" for place in middle}


def test_a_reconstruction_stands_beside_its_own_original(network):
    gallery = inspected(network, images(100)).galleries["worst"]
    given = gallery.shown.images / 255
    with torch.inference_mode():
        made = network.reconstruct(torch.from_numpy(given).float()).numpy()
    np.testing.assert_allclose(gallery.reconstructions, made * 255, atol=0.51)
    np.testing.assert_allclose(((made - given) ** 2).mean((1, 2, 3)), gallery.mse, rtol=1e-4)


def test_units_are_shown_with_the_images_that_activate_them_most(network):
    shown = images(300)
    code, _ = by_hand(network, shown)
    units = inspected(network, shown).units
    assert units.total == 10
    for unit in range(10):
        active = np.count_nonzero(code[:, unit])
        order = np.argsort(-code[:, unit])[: min(12, active)]
        found = [place for place in units.strongest[unit].tolist() if place >= 0]
        assert found == order.tolist()
        np.testing.assert_allclose(units.values[unit, : len(found)], code[order, unit], rtol=1e-5)


def test_histograms_count_the_activations_other_than_0(network):
    shown = images(300)
    code, _ = by_hand(network, shown)
    units = inspected(network, shown).units
    for unit in range(10):
        there = code[:, unit][code[:, unit] != 0]
        assert units.counts[unit].sum() == len(there)
        if not len(there):
            continue
        wanted, edges = np.histogram(there, BINS)
        assert np.abs(units.counts[unit] - wanted).sum() <= 2  # a value may lie on an edge
        assert (units.low[unit], units.high[unit]) == pytest.approx((edges[0], edges[-1]))


def test_a_dead_unit_has_no_images_and_no_counts(network):
    with torch.no_grad():
        network.encoder.to_code.bias[4] = -1e6
    findings = inspected(network, images(50))
    assert (findings.units.strongest[4] == -1).all()
    assert findings.units.counts[4].sum() == 0
    assert findings.code.active[4] == 0


def test_the_code_s_means_are_over_all_images(network):
    shown = images(300)
    code, _ = by_hand(network, shown)
    found = inspected(network, shown).code
    np.testing.assert_allclose(found.rho_hat, code.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.active, (code != 0).mean(0))
    np.testing.assert_array_equal(found.l0, (code != 0).sum(1))


def test_the_sample_is_spread_evenly_over_a_long_stream():
    network = Autoencoder((1, 2, 2), [2]).eval()
    findings = inspected(network, images(7001, side=2), size=97)
    places = [int(path.partition("/")[2]) for path in findings.sample.paths]
    assert findings.images == 7001
    assert places == list(range(0, 7001, 4))


def test_the_median_of_a_long_stream_is_that_of_all_images():
    network = Autoencoder((1, 2, 2), [2]).eval()
    shown = images(7001, side=2)
    _, mse = by_hand(network, shown)
    found = inspected(network, shown).galleries["median"]
    for path, error in zip(found.shown.paths, found.mse, strict=True):
        assert error == pytest.approx(mse[int(path.partition("/")[2])], rel=1e-5)
        assert abs((mse < error).mean() - 0.5) < 0.01


def test_pca_lays_codes_out_along_the_directions_of_largest_variance():
    features = np.random.default_rng(0).normal(size=(200, 7)) * [9, 5, 1, 1, 1, 1, 1]
    wanted = PCA(2).fit_transform(features)
    found = MAPS["pca"](features.astype(np.float32))
    for column in range(2):
        sign = np.sign(found[:, column] @ wanted[:, column])
        np.testing.assert_allclose(sign * found[:, column], wanted[:, column], atol=0.02)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (2, 2)])
def test_pca_of_next_to_nothing_is_still_two_numbers_each(shape):
    assert MAPS["pca"](np.ones(shape, np.float32)).shape == (shape[0], 2)


def test_tsne_keeps_apart_what_lies_apart():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    features[30:] += 50
    found = MAPS["tsne"](features)
    centres = found[:30].mean(0), found[30:].mean(0)
    nearest = [np.argmin([np.linalg.norm(point - centre) for centre in centres]) for point in found]
    assert nearest == [0] * 30 + [1] * 30


def test_the_mistakes_of_a_classifier_are_those_of_its_confusion():
    torch.manual_seed(0)
    network = Classifier((1, 6, 6), [8], 3).eval()
    shown = images(40)
    metrics, inspection = ClassificationMetrics(3), Inspection(network, shown.classes)
    batches = in_memory(shown, 16)
    for measured in inference.measure_labels(
        network, batches, inference.on_device(network, CPU), metrics, shown.classes
    ):
        inspection.add(measured)
    findings = inspection.findings()
    confusion = np.array(metrics.result()["confusion"])
    np.fill_diagonal(confusion, 0)
    assert confusion.any()
    found = np.zeros((3, 3), int)
    for mistake in findings.mistakes:
        found[mistake.label, mistake.prediction] += 1
        place = int(findings.mistaken.paths[mistake.place].partition("/")[2])
        assert shown.labels[place] == mistake.label
        with torch.no_grad():
            x = torch.from_numpy(shown.images[[place]]).float() / 255
            probabilities = network(x).softmax(1)[0]
        assert probabilities.argmax() == mistake.prediction
        assert probabilities.max().item() == pytest.approx(mistake.probability, rel=1e-5)
    np.testing.assert_array_equal(found, np.minimum(confusion, 12))


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
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 32 * 3  # MiB: an image has 3, and there are 32 units
