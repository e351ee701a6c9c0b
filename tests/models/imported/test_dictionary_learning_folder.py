"""Folders of dictionary_learning, beside the formulas of its classes."""

import numpy as np
import pytest
from foreign import FEATURES, UNITS, K, used, vectors, weights, write

import aectl
from aectl.errors import ModelFileError

NAMES = ("config.json", "ae.safetensors")
RENAMED = {
    "AutoEncoder": {"b_dec": "bias"},
    "AutoEncoderNew": {"b_dec": "decoder.bias"},
    "GatedAutoEncoder": {"b_dec": "decoder_bias", "encoder.bias": "gate_bias"},
}


def linear(dict_class, **more):
    """The tensors of a class of nn.Linear layers."""
    found = weights("encoder.bias")
    found["encoder.weight"], found["decoder.weight"] = found.pop("W_enc").T, found.pop("W_dec").T
    names = RENAMED.get(dict_class, {})
    return {names.get(name, name): value for name, value in found.items()} | more


def matrices(**more):
    return weights("b_enc") | more


def some(seed):
    return np.random.default_rng(seed).normal(0, 0.5, UNITS).astype(np.float32)


OF_K = {"k": np.array(K, np.int32), "threshold": np.array(0.8, np.float32)}
CASES = {
    "AutoEncoder": linear("AutoEncoder"),
    "AutoEncoderNew": linear("AutoEncoderNew"),
    "AutoEncoderTopK": linear("AutoEncoderTopK", **OF_K),
    "BatchTopKSAE": linear("BatchTopKSAE", **OF_K),
    "MatryoshkaBatchTopKSAE": matrices(**OF_K, group_sizes=np.array([10, 30])),
    "GatedAutoEncoder": linear("GatedAutoEncoder", r_mag=some(3), mag_bias=some(4)),
    "JumpReluAutoEncoder": matrices(threshold=some(5)),
}


def config(dict_class, **fields):
    trainer = {"dict_class": dict_class, "activation_dim": FEATURES, "dict_size": UNITS, "k": K}
    return {"trainer": {**trainer, "lr": 0.001, **fields}, "buffer": {"d_submodule": FEATURES}}


def formula(dict_class, tensors, x):
    """dictionary_learning/dictionary.py and trainers, in 64 bits."""
    w = {name: value.astype(float) for name, value in tensors.items()}
    W = w["W_enc"] if "W_enc" in w else w["encoder.weight"].T
    D = w["W_dec"] if "W_dec" in w else w["decoder.weight"].T
    names = ("b_dec", "bias", "decoder.bias", "decoder_bias")
    mean = next(w[name] for name in names if name in w)
    if dict_class not in ("AutoEncoderNew", "JumpReluAutoEncoder"):
        x = x - mean
    p = x @ W + next((w[name] for name in ("encoder.bias", "b_enc") if name in w), 0)
    match dict_class:
        case "AutoEncoder":  # from_pretrained normalises the decoder
            norms = np.linalg.norm(D, axis=1)
            code, D = np.maximum(p, 0) * norms, D / norms[:, None]
        case "AutoEncoderNew":
            code = np.maximum(p, 0)
        case "AutoEncoderTopK":
            p = np.maximum(p, 0)
            code = np.where(p >= np.sort(p, axis=1)[:, -K, None], p, 0)
        case "BatchTopKSAE" | "MatryoshkaBatchTopKSAE":
            code = np.maximum(p, 0) * (np.maximum(p, 0) > w["threshold"])
        case "GatedAutoEncoder":
            gate = p + w["gate_bias"] > 0
            code = gate * np.maximum(np.exp(w["r_mag"]) * p + w["mag_bias"], 0)
        case "JumpReluAutoEncoder":
            code = np.maximum(p * (p > w["threshold"]), 0)
    return code, code @ D + mean


@pytest.mark.parametrize("dict_class", CASES)
def test_the_model_has_the_codes_and_reconstructions_of_the_formula(dict_class, tmp_path):
    folder = write(tmp_path / "sae", config(dict_class), CASES[dict_class], NAMES)
    model = aectl.import_model(folder, tmp_path / "m.safetensors").model
    code, made = used(model, vectors(), tmp_path)
    wanted, reconstructed = formula(dict_class, CASES[dict_class], vectors().astype(float))
    assert ((code != 0) == (wanted != 0)).all()
    np.testing.assert_allclose(code, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made, reconstructed, rtol=1e-5, atol=2e-5)


def test_a_threshold_that_no_training_set_lets_all_positive_values_pass(tmp_path):
    tensors = {**CASES["BatchTopKSAE"], "threshold": np.array(-1, np.float32)}
    folder = write(tmp_path / "sae", config("BatchTopKSAE"), tensors, NAMES)
    model = aectl.import_model(folder, tmp_path / "m.safetensors").model
    code, _ = used(model, vectors(), tmp_path)
    wanted, _ = formula("BatchTopKSAE", tensors, vectors().astype(float))
    np.testing.assert_allclose(code, wanted, rtol=1e-5, atol=1e-5)


REFUSED = {
    "class": ({"dict_class": "CrossCoder"}, "trainer.dict_class is 'CrossCoder': aectl reads Auto"),
    "no class": ({"dict_class": None}, "trainer.dict_class is None"),
    "k": ({"k": 6}, "trainer.k is 6: ae.safetensors has 5"),
    "no k": ({"k": None}, "trainer.k is None: ae.safetensors has 5"),
    "width": ({"activation_dim": 13}, "trainer.activation_dim is 13: the weights are [40, 12]"),
}


@pytest.mark.parametrize(("fields", "said"), REFUSED.values(), ids=REFUSED)
def test_a_config_that_does_not_fit_is_refused_by_its_field(fields, said, tmp_path):
    tensors = CASES["AutoEncoderTopK"]
    write(tmp_path / "sae", config(**{"dict_class": "AutoEncoderTopK", **fields}), tensors, NAMES)
    with pytest.raises(ModelFileError) as caught:
        aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors")
    assert said in str(caught.value)


def test_a_k_that_is_no_whole_number_is_refused(tmp_path):
    tensors = {**CASES["AutoEncoderTopK"], "k": np.array([5, 6])}
    write(tmp_path / "sae", config("AutoEncoderTopK"), tensors, NAMES)
    with pytest.raises(ModelFileError, match="k is no whole number"):
        aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors")
