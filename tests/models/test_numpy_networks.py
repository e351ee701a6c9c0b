"""Dense networks in NumPy, against those of torch with the same weights."""

import dataclasses
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from aectl.config.model_options import ACTIVATIONS, ModelConfig
from aectl.config.sparsity import RULES
from aectl.errors import ModelFileError
from aectl.models import model_file
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.model_card import ModelCard
from aectl.models.numpy_networks import ROWS, below, covers, load, shapes_of

SHAPE = (1, 5, 6)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (2 * ROWS + 7, *SHAPE), dtype=np.uint8)
FLOATS = torch.from_numpy(PIXELS).float() / 255
OF_CODE = {"topk": {"k": 3, "alpha": 2.0}, "batch-topk": {"k": 3}}


def of_rule(rule, of_code=None, hidden=(11, 16), **options):
    named = {"code_activation": of_code or RULES[rule].activation or "relu"}
    config = ModelConfig(hidden=hidden, sparsity=rule, **OF_CODE.get(rule, {}), **named, **options)
    return Architecture(config.resolved(30), SHAPE)


def of_classes(encoder=None, **options):
    config = ModelConfig(model="classifier", hidden=(6,), **options)
    return Architecture(config.resolved(30), SHAPE, 4, encoder)


DESCRIBED = {
    **{rule: of_rule(rule) for rule in RULES},
    **{
        f"none {inner} {outer}": of_rule("none", outer, activation=inner)
        for inner, outer in zip(ACTIVATIONS, ACTIVATIONS[::-1], strict=True)
    },
    "topk linear": of_rule("topk", "linear"),
    "one layer": of_rule("none", hidden=(4,)),
    "tied": of_rule("none", tied=True),
    "not centred": of_rule("none", center=False),
    "few active": of_rule("topk", hidden=(2048,)),
    "classifier": of_classes(),
    "standardized": of_classes(standardize=True),
    "on an encoder": of_classes(of_rule("jumprelu", center=True), standardize=True),
    "logistic": Architecture(ModelConfig(model="classifier", hidden=()), SHAPE, 2),
}  # fmt: skip


def saved(described, path, change=None):
    """Saves a network whose tensors are all random, and returns it."""
    torch.manual_seed(0)
    network = build_network(described).eval()
    for name, tensor in itertools.chain(network.named_parameters(), network.named_buffers()):
        with torch.no_grad():
            tensor.copy_(torch.randn_like(tensor) * 0.4)
            if name.endswith(("threshold", "deviation")):
                tensor.abs_().add_(0.1)
    tensors = dict(network.state_dict())
    if change:
        change(tensors)
    classes = tuple("abcd"[: described.classes])
    model_file.save(path, network, ModelCard(described, classes=classes), tensors)
    return network


def used(loaded, layer=None):
    if hasattr(loaded.network, "probabilities"):
        return loaded.apply(loaded.network.probabilities, PIXELS, 255)
    return loaded.apply(lambda x: loaded.network.encode(x, layer), PIXELS, 255)


@pytest.mark.parametrize("described", DESCRIBED.values(), ids=DESCRIBED)
def test_outputs_and_shapes_are_those_of_the_network_of_torch(described, tmp_path):
    network = saved(described, tmp_path / "m.safetensors")
    assert covers(described)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes_of(described) == shapes
    found = load(tmp_path / "m.safetensors")
    with torch.no_grad():
        if described.classes:
            wanted = network.probabilities(FLOATS).numpy()
        else:
            wanted = network.encode(FLOATS).numpy()
    made = used(found)
    assert made.dtype == np.float32
    assert np.ptp(made) > 0.1
    assert not np.signbit(made[made == 0]).any() or np.signbit(wanted[wanted == 0]).any()
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=3e-6)


def test_the_output_of_a_hidden_layer_is_that_of_the_network_of_torch(tmp_path):
    network = saved(of_rule("topk", hidden=(11, 9, 16)), tmp_path / "m.safetensors")
    found = load(tmp_path / "m.safetensors")
    for layer in (1, 2):
        with torch.no_grad():
            wanted = network.encode(FLOATS, layer).numpy()
        np.testing.assert_allclose(used(found, layer), wanted, rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("name", ["topk", "none tanh tanh", "kl", "on an encoder"])
def test_an_output_is_the_same_to_the_last_bit_whatever_inputs_are_beside_it(name, tmp_path):
    described = of_rule("none", "tanh", activation="tanh") if " tanh" in name else DESCRIBED[name]
    saved(described, tmp_path / "m.safetensors")
    found = load(tmp_path / "m.safetensors")
    whole = used(found)
    use = getattr(found.network, "probabilities", None) or found.network.encode
    for size in (1, 3, ROWS, ROWS + 1):
        parts = [PIXELS[n : n + size] for n in range(0, len(PIXELS), size)]
        made = np.concatenate([found.apply(use, part, 255) for part in parts])
        assert np.array_equal(made, whole)
    order = RNG.permutation(len(PIXELS))
    assert np.array_equal(found.apply(use, PIXELS[order], 255), whole[order])


@pytest.mark.parametrize("hidden", [(1,), (3,), (40, 7), (300, 5)])
@pytest.mark.parametrize("most", [1, 37, 85, ROWS])
def test_so_it_is_with_any_number_of_units_and_of_rows_that_fit_into_memory(hidden, most, tmp_path):
    saved(of_rule("none", "linear", hidden=hidden), tmp_path / "m.safetensors")
    found = dataclasses.replace(load(tmp_path / "m.safetensors"), most_rows=most)
    whole, order = used(found), RNG.permutation(len(PIXELS))
    assert found.rows <= most
    assert np.array_equal(found.apply(found.network.encode, PIXELS[order], 255), whole[order])


@pytest.mark.parametrize("kernels", ["Haswell", "SkylakeX", "Sandybridge"])
@pytest.mark.parametrize("threads", [1, 2])
def test_so_it_is_with_matrix_products_of_other_processors(kernels, threads, tmp_path):
    """OpenBLAS reads the variable; other libraries, and other processors, use their own kernels."""
    saved(of_rule("none", "linear", hidden=(40, 17)), tmp_path / "m.safetensors")
    np.save(tmp_path / "pixels.npy", PIXELS)
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernels, "OPENBLAS_NUM_THREADS": f"{threads}"}
    script = (
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from aectl.models.numpy_networks import load\n"
        "found, pixels = load(Path('m.safetensors')), np.load('pixels.npy')\n"
        "whole = found.apply(found.network.encode, pixels, 255)\n"
        "alone = [found.apply(found.network.encode, one[None], 255) for one in pixels]\n"
        "assert np.array_equal(np.concatenate(alone), whole)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)


def without(name):
    return lambda tensors: tensors.pop(name)


DAMAGES = {
    "a layer of the decoder lacks": without("decoder.layers.1.weight"),
    "there is one more": lambda tensors: tensors.update(more=torch.zeros(2)),
    "of another shape": lambda tensors: tensors.update(
        {"encoder.layers.0.weight": torch.zeros(11, 29)}
    ),
    "not finite": lambda tensors: tensors.update(
        {"decoder.layers.1.bias": torch.full((30,), torch.inf)}
    ),
}


@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES)
def test_what_torch_would_refuse_is_refused_in_the_same_words(change, tmp_path):
    saved(of_rule("none"), tmp_path / "m.safetensors", change)
    with pytest.raises(ModelFileError) as refused:
        model_file.load(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError) as found:
        load(tmp_path / "m.safetensors")
    assert str(found.value) == str(refused.value)


@pytest.mark.parametrize(
    "described",
    [
        Architecture(ModelConfig(model="conv-autoencoder").resolved(30, (5, 6)), SHAPE),
        of_classes(Architecture(ModelConfig(model="patch-autoencoder").resolved(30), SHAPE)),
    ],
    ids=["conv", "on patches"],
)
def test_other_networks_are_left_to_torch(described):
    assert not covers(described)


def test_the_tensors_of_a_part_have_the_names_that_they_have_there():
    assert below("a", {"a.b": 1, "ab": 2, "c.a.b": 3}) == {"b": 1}
