"""State dicts of dense autoencoders, beside the networks of PyTorch that they are of."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from foreign import used
from safetensors.torch import save_file
from torch import nn

import aectl
from aectl.errors import ConfigError, ModelFileError

VECTORS = "modality = 'vectors'\n"
IMAGES = "size = [2, 3]\nchannels = 1\noutput-activation = 'sigmoid'\n"
SIX = np.random.default_rng(0).normal(0.2, 1, (50, 6)).astype(np.float32)


def network(*widths, act=nn.ReLU, last=nn.Identity):
    """Encoder and decoder as most tutorials write them."""
    torch.manual_seed(0)

    def stack(sizes, end):
        layers = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), act()]
        return nn.Sequential(*layers[:-1], end())

    return nn.ModuleDict({"encoder": stack(widths, act), "decoder": stack(widths[::-1], last)})


def of_keras(made, names=("dense", "dense_1")):
    """The same, as the weights of Keras."""
    linear = [one for one in made.modules() if isinstance(one, nn.Linear)]
    found = {}
    for name, one in zip(names, linear, strict=True):
        found[f"{name}/kernel"], found[f"{name}/bias"] = one.weight.t(), one.bias
    return found


def imported(tensors, like, folder):
    save_file(
        {k: v.detach().contiguous().clone() for k, v in tensors.items()}, folder / "w.safetensors"
    )
    (folder / "like.toml").write_text(like)
    out = folder / "m.safetensors"
    return aectl.import_model(folder / "w.safetensors", out, like=folder / "like.toml").model


def through(made, rows):
    with torch.no_grad():
        code = made["encoder"](torch.tensor(rows))
        return code.numpy(), made["decoder"](code).numpy()


DEEP = network(6, 5, 3)
CASES = {
    "PyTorch": (DEEP, DEEP.state_dict(), VECTORS + "hidden = [5, 3]"),
    "PyTorch, of other activations": (
        network(6, 4, act=nn.Tanh), network(6, 4, act=nn.Tanh).state_dict(),
        VECTORS + "hidden = [4]\nactivation = 'tanh'\ncode-activation = 'tanh'",
    ),
    "layers in a row": (
        DEEP,
        {f"net.{n}.{k}": v for n, one in enumerate(
            m for m in DEEP.modules() if isinstance(m, nn.Linear)
        ) for k, v in one.state_dict().items()},
        VECTORS + "hidden = [5, 3]",
    ),
    "as wide as its input": (
        network(6, 6), network(6, 6).state_dict(), VECTORS + "hidden = [6]"
    ),
    "ten layers of one width": (
        network(*[6] * 6), network(*[6] * 6).state_dict(), VECTORS + "hidden = [6, 6, 6, 6, 6]"
    ),
    "Keras": (network(6, 4), of_keras(network(6, 4)), VECTORS + "hidden = [4]"),
    "Keras, of models in models": (
        network(6, 6), of_keras(network(6, 6), ("encoder/dense", "decoder/dense_1")),
        VECTORS + "hidden = [6]",
    ),
    "names that tell nothing but shapes": (
        network(6, 4),
        {
            f"{name}.{part[0]}": value
            for name, side in (("p", "encoder"), ("q", "decoder"))
            for part, value in network(6, 4)[side][0].state_dict().items()
        },
        VECTORS + "hidden = [4]",
    ),
    "an autoencoder by name": (
        network(6, 6),
        {f"autoencoder.{name}": value for name, value in network(6, 6).state_dict().items()},
        VECTORS + "hidden = [6]",
    ),
    "all of one name": (
        network(6, 4), of_keras(network(6, 4), ("sae_encoder/fc", "sae_encoder/fc_1")),
        VECTORS + "hidden = [4]",
    ),
    "half": (
        network(6, 4).half().float(), network(6, 4).half().state_dict(), VECTORS + "hidden = [4]"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("made", "tensors", "like"), CASES.values(), ids=CASES)
def test_the_model_is_the_network_of_the_state_dict(made, tensors, like, tmp_path):
    model = imported(tensors, like, tmp_path)
    code, back = used(model, SIX, tmp_path)
    wanted, reconstructed = through(made, SIX)
    np.testing.assert_allclose(code, wanted, atol=1e-5)
    np.testing.assert_allclose(back, reconstructed, atol=1e-5)


def test_layers_without_a_bias_have_one_of_0(tmp_path):
    first, second = nn.Linear(6, 4, bias=False), nn.Linear(4, 6, bias=False)
    state = {"encoder.weight": first.weight, "decoder.weight": second.weight}
    model = imported(state, VECTORS + "hidden = [4]", tmp_path)
    made = nn.ModuleDict({"encoder": nn.Sequential(first, nn.ReLU()), "decoder": second})
    np.testing.assert_allclose(used(model, SIX, tmp_path)[1], through(made, SIX)[1], atol=1e-5)


def test_a_tied_decoder_has_the_weights_of_the_encoder_and_its_own_biases(tmp_path):
    first, bias = nn.Linear(6, 4), torch.arange(6.0)
    state = {"encoder.0.weight": first.weight, "encoder.0.bias": first.bias, "decoder.bias": bias}
    like = VECTORS + "hidden = [4]\ntied = true"
    model = imported(state, like, tmp_path)
    with torch.no_grad():
        wanted = first(torch.tensor(SIX)).relu() @ first.weight + bias
    np.testing.assert_allclose(used(model, SIX, tmp_path)[1], wanted, atol=1e-5)


def test_a_rule_of_sparsity_is_that_of_the_config(tmp_path):
    made = network(6, 9)
    like = VECTORS + "hidden = [9]\nsparsity = 'topk'\nk = 2"
    code, _ = used(imported(made.state_dict(), like, tmp_path), SIX, tmp_path)
    full, _ = through(made, SIX)
    wanted = np.where(full >= np.sort(full, axis=1)[:, -2, None], full, 0)
    np.testing.assert_allclose(code, wanted, atol=1e-5)


def test_a_network_of_images_takes_their_pixels(aectl, tmp_path):
    made = network(64, 8, last=nn.Sigmoid)
    like = "hidden = [8]\nsize = 8\nchannels = 1\noutput-activation = 'sigmoid'\n"
    model = imported(made.state_dict(), like, tmp_path)
    done = aectl("eval", model, "--dataset", "digits:test", "--json")
    assert done.status == 0, done.err
    from sklearn.datasets import load_digits

    pixels = np.round(load_digits().images[-360:] * (255 / 16)).astype(np.uint8) / 255
    rows = pixels.reshape(360, 64).astype(np.float32)
    mse = ((through(made, rows)[1] - rows) ** 2).mean()
    assert f'"mse": {mse:.4f}'[:-1] in done.out


W, B = torch.ones, torch.zeros
REFUSED = {
    "other widths": (
        network(6, 5).state_dict(), "hidden = [4]",
        "its matrices do not fit, with hidden = [4]: it has decoder.0.bias [6], decoder.0.w",
    ),
    "one layer more": (network(6, 5, 3).state_dict(), "hidden = [5]", "its matrices do not fit"),
    "a layer that is missing": (
        {"encoder.weight": W(4, 6), "encoder.bias": B(4)}, "hidden = [4]", "do not fit"
    ),
    "no order": (
        {"a.weight": W(6, 6), "b.weight": W(6, 6)}, "hidden = [6]",
        "the order of a.weight, b.weight does not follow from their names",
    ),
    "names of different kinds": (
        {"out.weight": W(6, 6), "in1.weight": W(6, 6)}, "hidden = [6]",
        "the order of out.weight, in1.weight does not follow from their names",
    ),
    "one side alone named": (
        {"fc.weight": W(6, 6), "decoder.weight": W(6, 6)}, "hidden = [6]",
        "the order of fc.weight, decoder.weight does not follow from their names",
    ),
    "the widths of the other side": (
        network(4, 6).state_dict(), "hidden = [4]",
        "decoder.0.weight would be a layer of the encoder",
    ),
    "no direction": (
        {"a.w": W(6, 6), "a.b": B(6), "b.w": W(6, 6)}, "hidden = [6]",
        "a.w [6, 6] may be (outputs, inputs) or (inputs, outputs); call it NAME.weight or NAME.ke",
    ),
    "no layers": (
        {"W1": W(4, 6), "b1": B(4), "W2": W(6, 4), "b2": B(6)}, "hidden = [4]",
        "a layer has one matrix and one bias; it has W1 [4, 6], W2 [6, 4], b1 [4], b2 [6]",
    ),
    "a bias of another size": (
        {"a.weight": W(4, 6), "a.bias": B(6)}, "hidden = [4]", "has 4 outputs, and a bias of 6"
    ),
    "a bias alone": (
        {**network(6, 4).state_dict(), "mean.bias": B(6)}, "hidden = [4]",
        "mean.bias belongs to no matrix",
    ),
    "a norm": (
        {**network(6, 4).state_dict(), "norm.running_mean": B(4), "norm.running_var": B(4)},
        "hidden = [4]", "norm has norm.running_mean [4], norm.running_var [4]",
    ),
    "a convolution": ({"conv.weight": W(4, 1, 3, 3)}, "hidden = [4]", "conv.weight [4, 1, 3, 3]"),
    "counts": (
        {"a.weight": W(4, 6).long(), "a.bias": B(4)}, "hidden = [4]", "a.weight is int64 [4, 6]"
    ),
    "tied biases": (
        {"e.weight": W(4, 6), "e.bias": B(4), "d.bias": B(5)}, "hidden = [4]\ntied = true",
        "its biases without a matrix are not those of the decoder",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("tensors", "like", "said"), REFUSED.values(), ids=REFUSED)
def test_what_names_and_shapes_do_not_settle_is_refused(tensors, like, said, tmp_path):
    with pytest.raises(ModelFileError) as caught:
        imported(tensors, VECTORS + like, tmp_path)
    assert said in str(caught.value)


LIKE = {
    "no widths": (VECTORS, "does not say hidden"),
    "no shape": ("hidden = [4]", "does not say size and channels of the images; for vectors"),
    "another kind": ("hidden = [4]\nmodel = 'classifier'", "describes a dense autoencoder"),
    "a mean": (VECTORS + "hidden = [4]\ncenter = true", "center: a state dict has no mean"),
    "a scaling": (VECTORS + "hidden = [4]\nscale = 'standard'", "scale: a state dict has no scal"),
    "missing values": (VECTORS + "hidden = [4]\nmissing = 'mean'", "missing: a state dict has no"),
    "thresholds": (VECTORS + "hidden = [4]\nsparsity = 'jumprelu'", "sparsity jumprelu has param"),
    "a word": ("hiden = [4]", "no option 'hiden'; did you"),
    "no TOML": ("hidden: 4", "is not a TOML file"),
}


@pytest.mark.parametrize(("like", "said"), LIKE.values(), ids=LIKE)
def test_a_config_that_does_not_describe_a_dense_network_is_refused(like, said, tmp_path):
    with pytest.raises(ConfigError) as caught:
        imported(network(6, 4).state_dict(), like, tmp_path)
    assert said in str(caught.value)


def test_colours_of_keras_are_refused_because_their_channels_are_last(tmp_path):
    like = "hidden = [4]\nsize = [1, 2]\nchannels = 3\n"
    with pytest.raises(ModelFileError, match="takes images of 3 channels as"):
        imported(of_keras(network(6, 4)), like, tmp_path)
    imported(network(6, 4).state_dict(), like, tmp_path)
