"""What a report shows, held against the same found by hand."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from aectl.data.images.image_batches import in_memory
from aectl.data.images.image_set import ImageSet
from aectl.inference import apply as inference
from aectl.inference.inspection import Inspection
from aectl.inference.maps import MAPS
from aectl.inference.metrics import ClassificationMetrics, ReconstructionMetrics
from aectl.inference.unit_values import BINS
from aectl.models.codes import TopK
from aectl.models.networks import Autoencoder, Classifier, MapAutoencoder

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
    assert findings.count == 7001
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


def test_the_units_of_a_map_are_its_channels_at_all_places():
    torch.manual_seed(0)
    network, shown = MapAutoencoder((1, 16, 16), [4, 5, 3], "silu").eval(), images(40, side=16)
    found = inspected(network, shown)
    code, _ = by_hand(network, shown)
    of_channels = code.reshape(40, 3, 16)
    assert (found.units.total, len(found.units.filters), found.units.drawn) == (3, 3, True)
    np.testing.assert_allclose(found.code.rho_hat, of_channels.mean((0, 2)), rtol=1e-4, atol=1e-7)
    largest = of_channels.max(2)  # the activation of the code is relu
    for channel, places in enumerate(found.units.strongest):
        order = np.argsort(-largest[:, channel], kind="stable")[:12]
        active = largest[order, channel] > largest[:, channel].min()
        np.testing.assert_array_equal(places[active], order[active])
