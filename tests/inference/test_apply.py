"""Uses of networks batch by batch, against numpy and Pillow; padding changes no bit."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import aectl.inference.apply as inference
from aectl.config.model_options import ModelConfig
from aectl.data.images.image_batches import in_memory
from aectl.data.images.image_set import ImageSet
from aectl.errors import DataError, ModelFileError
from aectl.inference.metrics import ClassificationMetrics, ReconstructionMetrics
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.codes import Code, TopK
from aectl.models.networks import Autoencoder, Classifier

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")


def images(count, seed=0, side=5):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 1, side, side), dtype=np.uint8)
    return ImageSet("drawn", pixels, rng.integers(0, 3, count), CLASSES)


def autoencoder(**options):
    torch.manual_seed(0)
    return Autoencoder((1, 5, 5), (9, 4), code=Code("sigmoid"), **options)


def classifier():
    torch.manual_seed(0)
    return Classifier((1, 5, 5), (9,), 3)


def used(use, network, shown, size, *further):
    batches, to_tensor = in_memory(shown, size), inference.on_device(network, CPU)
    return list(use(network, batches, to_tensor, *further))


def to_floats(shown):
    return torch.from_numpy(shown.images).float() / 255


def test_each_pixel_becomes_its_255th_part():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    found = inference.to_tensor(pixels, CPU)
    assert found.dtype == torch.float32
    wanted = np.arange(256, dtype=np.float32) / np.float32(255)
    assert np.array_equal(found.numpy().ravel(), wanted)


@pytest.mark.parametrize(("size", "rows"), [(1, 32), (32, 32), (33, 64), (250, 256)])
def test_a_batch_is_padded_to_whole_vectors_unless_inputs_come_one_by_one(size, rows):
    network = autoencoder()
    (batch,) = in_memory(images(1), size)
    assert inference.rows_of(batch, network) == rows
    network.one_at_a_time = True
    assert inference.rows_of(batch, network) == 1


POOLED = {
    "patches": ModelConfig(
        model="patch-autoencoder", hidden=(7,), patch_size=(3, 2), code_activation="linear",
    ),
    "maps": ModelConfig(
        model="conv-wta-autoencoder", hidden=(3, 4), kernel_size=3, filter_size=3,
        output_activation="sigmoid", sparsity="wta", features="code",
    ),
}  # fmt: skip


@pytest.mark.parametrize("config", POOLED.values(), ids=POOLED)
def test_what_is_pooled_depends_on_no_other_image_and_is_never_padded(config):
    torch.manual_seed(0)
    network = build_network(Architecture(config.resolved(1), (1, 5, 5)))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    found = {}
    for size in (1, 7, 32):
        metrics = ReconstructionMetrics(active_above=0)
        shown = images(33)
        encoded = used(inference.encode, network, shown, size)
        made = used(inference.reconstruct, network, shown, size)
        measured = used(inference.measure, network, shown, size, metrics)
        assert sum(len(one.code) for one in encoded) == 33
        found[size] = [
            np.concatenate([one.code.numpy() for one in encoded]),
            np.concatenate([one.reconstruction for one in made]),
            np.concatenate([one.mse for one in measured]),
        ]
        assert found[size][1].std() > 0.01
    for size in (7, 32):
        assert all(map(np.array_equal, found[1], found[size]))


def test_a_batch_is_padded_with_black():
    (batch,) = in_memory(images(3), 10)
    found = inference.image_tensor(batch, 5, CPU)
    assert torch.equal(found[:3], to_floats(images(3)))
    assert not found[3:].any()
    assert found.shape == (5, 1, 5, 5)


@pytest.mark.parametrize("layer", [None, 1])
def test_codes_are_the_network_s_to_the_last_bit_whatever_the_batch_is(layer):
    network, shown = autoencoder(), images(70)
    found = {}
    for size in (1, 7, 32):
        results = used(inference.encode, network, shown, size, layer)
        assert [path for r in results for path in r.paths] == [f"drawn/{n}" for n in range(70)]
        found[size] = torch.cat([result.code[: len(result.paths)] for result in results])
    assert torch.equal(found[1], found[7])
    assert torch.equal(found[1], found[32])
    with torch.no_grad():
        torch.testing.assert_close(found[1], network.encode(to_floats(shown), layer))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_results_that_are_not_finite_are_refused(value):
    inference.refuse_overflow(torch.ones(2), np.array([3e38], np.float32))
    with pytest.raises(ModelFileError, match="weights are too large"):
        inference.refuse_overflow(torch.ones(2), torch.tensor([1.0, value]))


@pytest.mark.parametrize("activation", ["clamp", "sigmoid", "linear"])
def test_an_output_that_overflows_is_marked_where_its_activation_would_hide_it(activation):
    network = autoencoder(output_activation=activation)
    code = torch.full((2, 4), 0.5)
    with torch.no_grad():
        usual = inference.decoded(network, code)
        assert torch.equal(usual, network.decode(code))
        network.decoder.last_bias[7] = -torch.inf
        found = inference.decoded(network, code).flatten(1)
    assert found.isnan().nonzero().tolist() == [[0, 7], [1, 7]]
    kept = [pixel for pixel in range(25) if pixel != 7]
    assert torch.equal(found[:, kept], usual.flatten(1)[:, kept])


def test_reconstructions_are_the_network_s_without_the_padding():
    network, shown = autoencoder(), images(40)
    results = used(inference.reconstruct, network, shown, 16)
    assert [len(result.reconstruction) for result in results] == [16, 16, 8]
    with torch.no_grad():
        wanted = network.reconstruct(to_floats(shown)).numpy()
    made = np.concatenate([result.reconstruction for result in results])
    np.testing.assert_allclose(made, wanted, atol=1e-6)
    assert np.array_equal(np.concatenate([r.originals for r in results]), shown.images)


def test_a_code_that_overflows_is_refused_though_the_image_is_finite():
    network = Autoencoder((1, 5, 5), (4, 3), "tanh", code=TopK("relu", 1))
    with torch.no_grad():
        network.encoder.to_code.bias.fill_(torch.inf)
        network.decoder.directions.fill_(1.0)
        assert network.reconstruct(to_floats(images(3))).isfinite().all()
    with pytest.raises(ModelFileError, match="too large"):
        used(inference.reconstruct, network, images(3), 16)


def test_metrics_and_the_mse_of_each_image_are_numpy_s():
    network, shown = autoencoder(), images(40)
    metrics = ReconstructionMetrics(network.active_above)
    results = used(inference.measure, network, shown, 16, metrics)
    with torch.no_grad():
        off = network.double().reconstruct(to_floats(shown).double()).numpy() - shown.images / 255
    each = np.square(off).mean((1, 2, 3))
    np.testing.assert_allclose(np.concatenate([r.mse for r in results]), each, rtol=1e-5)
    assert metrics.images == 40
    assert metrics.result()["mse"] == pytest.approx(each.mean(), rel=1e-6)


def probabilities(network, shown):
    """The softmax of the logits, by numpy."""
    with torch.no_grad():
        logits = network.double()(to_floats(shown).double()).numpy()
    network.float()
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def test_the_most_probable_classes_come_first_with_their_probabilities():
    network, shown = classifier(), images(40)
    results = used(inference.classify, network, shown, 16, 2)
    wanted = probabilities(network, shown)
    order = np.argsort(-wanted, 1)[:, :2]
    assert np.array_equal(np.concatenate([r.predictions for r in results]), order)
    found = np.concatenate([r.probabilities for r in results])
    np.testing.assert_allclose(found, np.take_along_axis(wanted, order, 1), rtol=1e-5)


def labelled(shown, classes, known, skip=False):
    """The metrics and the results of a classifier that knows some classes."""
    metrics = ClassificationMetrics(len(known), skip)
    shown = dataclasses.replace(shown, classes=classes)
    results = used(inference.measure_labels, classifier(), shown, 16, metrics, known)
    return metrics, results


def test_the_error_is_the_fraction_of_other_labels_than_the_most_probable():
    shown = images(40)
    metrics, results = labelled(shown, CLASSES, CLASSES)
    predicted = probabilities(classifier(), shown).argmax(1)
    wrong = np.count_nonzero(predicted != shown.labels)
    assert metrics.result()["error"] == pytest.approx(100 * wrong / 40)
    assert np.array_equal(np.concatenate([r.classified[0] for r in results]), predicted)


def test_labels_are_matched_by_their_names():
    shown = images(40)
    turned, _ = labelled(shown, ("c", "a", "b"), CLASSES)
    names = np.array(["c", "a", "b"])[shown.labels]
    predicted = np.array(CLASSES)[probabilities(classifier(), shown).argmax(1)]
    assert turned.result()["accuracy"] == pytest.approx((names == predicted).mean())


def test_inputs_of_unknown_classes_are_left_out_and_counted_if_asked():
    shown = images(40)
    metrics, results = labelled(shown, ("a", "b", "x"), CLASSES, skip=True)
    others = np.count_nonzero(shown.labels == 2)
    assert metrics.result()["unknown"] == others == metrics.unknown["x"]
    assert sum(len(result.paths) for result in results) == 40 - others
    with pytest.raises(DataError, match=r"the label 'x' is not one of the model's 3 .*a, b, c;"):
        labelled(shown, ("a", "b", "x"), CLASSES)


def test_a_set_without_a_known_class_or_without_labels_is_refused():
    with pytest.raises(DataError, match="40 labelled inputs, and the model knows none"):
        labelled(images(40), ("x", "y", "z"), CLASSES, skip=True)
    with pytest.raises(DataError, match="the input has none"):
        labelled(dataclasses.replace(images(4), labels=None), (), CLASSES)


def test_a_file_becomes_the_tensor_that_pillow_reads(tmp_path):
    pixels = images(1).images[0, 0]
    Image.fromarray(pixels).save(tmp_path / "x.png")
    found = inference.Preprocessing((1, 5, 5))(tmp_path / "x.png")
    assert found.shape == (1, 5, 5)
    read = np.asarray(Image.open(tmp_path / "x.png"))
    np.testing.assert_allclose(found[0], read / 255, rtol=1e-6)
