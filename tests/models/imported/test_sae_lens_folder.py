"""Folders of SAELens, beside its formulas and, where it is installed, the library itself."""

import json

import numpy as np
import pytest
from foreign import (
    FEATURES,
    SAE_LENS_5,
    SAE_LENS_6,
    UNITS,
    K,
    used,
    vectors,
    weights,
    write,
)

import aectl
from aectl.errors import ModelFileError

WIDE = {"k": K, "rescale_acts_by_decoder_norm": True}
OLD_TOPK = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}


def six(architecture, **fields):
    return {**SAE_LENS_6, "architecture": architecture, **fields}


CASES = {
    "standard": (six("standard"), weights("b_enc")),
    "standard, not centered": (six("standard", apply_b_dec_to_input=False), weights("b_enc")),
    "of a constant norm": (
        six("standard", normalize_activations="constant_norm_rescale"), weights("b_enc"),
    ),
    "of a constant norm, not centered": (
        six("topk", k=K, normalize_activations="constant_norm_rescale", apply_b_dec_to_input=False),
        weights("b_enc"),
    ),
    "layer norm": (six("standard", normalize_activations="layer_norm"), weights("b_enc")),
    "topk": (six("topk", k=K), weights("b_enc")),
    "topk, by norm": (six("topk", **WIDE), weights("b_enc")),
    "topk of few positive": (six("topk", k=UNITS), weights("b_enc")),
    "abstopk": (six("abstopk", k=1), weights("b_enc")),
    "jumprelu": (six("jumprelu"), weights("b_enc", "threshold")),
    "gated": (six("gated"), weights("b_gate", "b_mag", "r_mag")),
    "batchtopk": (
        six("batchtopk", **{**WIDE, "k": 5.5}),
        {**weights("b_enc"), "topk_threshold": np.array(0.7)},
    ),
    "heads": (six("standard", reshape_activations="hook_z"), weights("b_enc")),
    "version 5": (SAE_LENS_5, weights("b_enc")),
    "version 5, topk": ({**SAE_LENS_5, **OLD_TOPK}, weights("b_enc")),
    "version 5, fine-tuned": (
        {**SAE_LENS_5, "finetuning_scaling_factor": True}, weights("b_enc", "scaling_factor")
    ),
    "version 5, factors of 1": (
        SAE_LENS_5, {**weights("b_enc"), "scaling_factor": np.ones(UNITS, np.float32)}
    ),
    "version 5, jumprelu": (
        {**SAE_LENS_5, "architecture": "jumprelu", "apply_b_dec_to_input": False},
        weights("b_enc", "log_threshold"),
    ),
    "version 2, without architecture": (
        {n: v for n, v in SAE_LENS_5.items() if n not in ("architecture", "activation_fn_str")},
        weights("b_enc"),
    ),
}  # fmt: skip


def formula(config, tensors, rows):
    """Codes and reconstructions as sae_lens/saes defines them, in 64 bits."""
    w = {name: value.astype(float) for name, value in tensors.items()}
    x, length, mean = rows.astype(float), 1.0, 0.0
    if config["normalize_activations"] == "constant_norm_rescale":
        length = FEATURES**0.5 / np.linalg.norm(x, axis=1, keepdims=True)
    if config["normalize_activations"] == "layer_norm":
        mean, deviation = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
        x, length = (x - mean) / (deviation + 1e-5), 1 / deviation
    else:
        x = x * length
    x = x - w["b_dec"] * config["apply_b_dec_to_input"]
    p = x @ w["W_enc"] + w.get("b_enc", 0)
    norms = (
        np.linalg.norm(w["W_dec"], axis=1)
        if config.get("rescale_acts_by_decoder_norm")
        else np.ones(UNITS)
    )
    p = p * norms
    architecture = config.get("architecture", "standard")
    if config.get("activation_fn_str") == "topk":
        architecture, config = "topk", {**config, **config["activation_fn_kwargs"]}
    match architecture:
        case "standard":
            code = np.maximum(p, 0)
        case "topk":
            least = np.sort(p, axis=1)[:, -config["k"], None]
            code = np.maximum(np.where(p >= least, p, 0), 0)
        case "abstopk":
            code = np.where(abs(p) == abs(p).max(1, keepdims=True), p, 0)
        case "jumprelu":
            threshold = np.exp(w["log_threshold"]) if "log_threshold" in w else w["threshold"]
            code = np.maximum(p, 0) * (p > threshold)
        case "gated":
            magnitude = x @ (w["W_enc"] * np.exp(w["r_mag"])) + w["b_mag"]
            code = (p + w["b_gate"] > 0) * np.maximum(magnitude, 0)
        case "batchtopk":
            code = p * (p > w["topk_threshold"])
    factors = w.get("scaling_factor", 1.0)
    return code, ((code * factors / norms) @ w["W_dec"] + w["b_dec"]) / length + mean


@pytest.mark.parametrize(("config", "tensors"), CASES.values(), ids=CASES)
def test_the_model_has_the_codes_and_reconstructions_of_the_formula(config, tensors, tmp_path):
    folder = write(tmp_path / "sae", config, tensors)
    model = aectl.import_model(folder, tmp_path / "m.safetensors").model
    rows = vectors()
    code, made = used(model, rows, tmp_path)
    wanted, reconstructed = formula(config, tensors, rows)
    assert ((code != 0) == (wanted != 0)).all()
    np.testing.assert_allclose(code, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made, reconstructed, rtol=1e-5, atol=2e-5)
    assert len({tuple(row) for row in (code != 0).tolist()}) > 10


INFERENCE = {
    name: case
    for name, case in CASES.items()
    if name not in ("batchtopk", "version 5, fine-tuned", "version 5, jumprelu", "heads")
}
"""Those that SAE.load_from_disk of version 6 reads: it drops factors, and no checkpoints."""


@pytest.mark.parametrize(("config", "tensors"), INFERENCE.values(), ids=INFERENCE)
def test_the_library_itself_gives_the_same(config, tensors, tmp_path):
    sae_lens = pytest.importorskip("sae_lens", reason="sae-lens is not installed")
    torch = pytest.importorskip("torch")
    folder = write(tmp_path / "sae", config, tensors)
    sae = sae_lens.SAE.load_from_disk(folder)
    rows = vectors()
    with torch.no_grad():
        wanted = sae.encode(torch.tensor(rows)).numpy()
        reconstructed = sae(torch.tensor(rows)).numpy()
    model = aectl.import_model(folder, tmp_path / "m.safetensors").model
    code, made = used(model, rows, tmp_path)
    assert ((code != 0) == (wanted != 0)).all()
    np.testing.assert_allclose(code, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made, reconstructed, rtol=1e-5, atol=2e-5)


def test_thresholds_of_0_and_below_let_every_positive_value_pass(tmp_path):
    tensors = weights("b_enc", "threshold")
    tensors["threshold"] = np.resize(np.array([0, -1, -0.01], np.float32), UNITS)
    write(tmp_path / "sae", six("jumprelu"), tensors)
    model = aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors").model
    code, _ = used(model, vectors(), tmp_path)
    np.testing.assert_allclose(code, formula(six("jumprelu"), tensors, vectors())[0], atol=1e-5)
    assert (code >= 0).all()


def test_a_threshold_that_is_no_number_is_not_taken_for_0(tmp_path):
    tensors = weights("b_enc", "threshold")
    tensors["threshold"][1] = np.nan
    write(tmp_path / "sae", six("jumprelu"), tensors)
    with pytest.raises(ModelFileError, match="log_threshold would contain values that are not"):
        aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors")


REFUSED = {
    "transcoder": ({"architecture": "transcoder"}, "architecture is 'transcoder': aectl reads"),
    "temporal": ({"architecture": "temporal"}, "architecture is 'temporal'"),
    "matching pursuit": ({"architecture": "matching_pursuit"}, "architecture is 'matching"),
    "signs": ({"architecture": "abstopk", "k": 2}, "k is 2: aectl keeps the sign of one unit"),
    "no k": ({"architecture": "topk"}, "k is None: it must be a whole number"),
    "activation": ({"activation_fn": "tanh-relu"}, "activation_fn is 'tanh-relu': aectl reads"),
    "gated topk": ({**OLD_TOPK, "architecture": "gated"}, "activation_fn_str is 'topk'"),
    "arguments": (
        {**OLD_TOPK, "activation_fn_kwargs": {"k": 3, "postact_fn": "tanh"}},
        "activation_fn_kwargs is {'k': 3, 'postact_fn': 'tanh'}: aectl knows k alone",
    ),
    "a norm that is not there": (
        {"normalize_activations": "expected_average_only_in"}, "fold_activation_norm_scaling_factor"
    ),
    "an old norm": ({"normalize_activations": True}, "normalize_activations is True: its inputs"),
    "whitening": ({"normalize_activations": "covariance_whitening"}, "fold_activation_whitening"),
    "another norm": ({"normalize_activations": "l2"}, "normalize_activations is 'l2'"),
    "a list": ({"normalize_activations": ["none"]}, "normalize_activations is ['none']"),
    "shape": ({"reshape_activations": "flatten"}, "reshape_activations is 'flatten'"),
    "dtype": ({"dtype": "float8"}, "dtype is 'float8'"),
    "width": ({"d_in": FEATURES + 1}, "d_in is 13: W_enc in sae_weights.safetensors is [12"),
    "factors": ({"finetuning_scaling_factor": True}, "has no such factors"),
    "a word": ({"apply_b_dec_to_input": "false"}, "apply_b_dec_to_input is 'false': it must be tr"),
    "a number": ({"architecture": 3}, "architecture is 3: it must be a string"),
    "too many": ({"architecture": "topk", "k": UNITS + 1}, "--k is 41, and the code has 40 units"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "said"), REFUSED.values(), ids=REFUSED)
def test_a_config_that_aectl_cannot_express_is_refused_by_its_field(fields, said, tmp_path):
    write(tmp_path / "sae", {**SAE_LENS_6, "architecture": "standard", **fields}, weights("b_enc"))
    with pytest.raises(ModelFileError) as caught:
        aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors")
    assert said in str(caught.value)
    assert not (tmp_path / "m.safetensors").exists()


def altered(**changes):
    tensors = weights("b_enc")
    for name, value in changes.items():
        tensors[name] = value
    return {name: value for name, value in tensors.items() if value is not None}


DAMAGED = {
    "missing": (altered(b_enc=None), "has no tensor 'b_enc', but W_dec [40, 12]"),
    "more": (altered(W_skip=np.ones((3, 2), "f4")), "does not have: W_skip [3, 2]"),
    "shape": (altered(W_dec=np.ones((12, 40), "f4")), "W_dec is float32 [12, 40], not numbers"),
    "no matrix": (altered(W_enc=np.ones(4, "f4")), "W_enc is [4], and no matrix"),
    "empty": (altered(W_enc=np.ones((0, 40), "f4")), "W_enc is [0, 40], and no matrix"),
    "integers": (altered(b_enc=np.ones(40, "i4")), "b_enc is int32 [40], not numbers [40]"),
    "infinite": (altered(b_enc=np.full(40, np.inf, "f4")), "not finite"),
    "too large for 32 bits": (altered(b_enc=np.full(40, 1e200)), "not finite"),
    "a factor": (altered(scaling_factor=np.full(40, 2, "f4")), "finetuning_scaling_factor is None"),
}


@pytest.mark.parametrize(("tensors", "said"), DAMAGED.values(), ids=DAMAGED)
def test_tensors_that_are_not_those_of_the_architecture_are_refused(tensors, said, tmp_path):
    write(tmp_path / "sae", six("standard"), tensors)
    with pytest.raises(ModelFileError) as caught:
        aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors")
    assert said in str(caught.value)


def test_what_has_no_effect_is_told_in_a_line_and_kept_in_the_model(aectl, tmp_path):
    halves = {name: value.astype(np.float16) for name, value in weights("b_enc").items()}
    write(tmp_path / "sae", {**SAE_LENS_5, "dtype": "bfloat16", "x\ny": 1}, halves)
    done = aectl("import", tmp_path / "sae", "--out", tmp_path / "m.safetensors")
    assert (done.status, done.out) == (0, f"{tmp_path}/m.safetensors\n")
    assert done.err.splitlines() == [
        "SAELens computes it in bfloat16 (dtype), and aectl in float32",
        "cfg.json: not used: context_size, model_name, hook_name, hook_layer, prepend_bos,"
        " l1_coefficient and 2 more",
        "its weights are float16; aectl stores and computes float32",
    ]
    told = json.loads(aectl("info", tmp_path / "m.safetensors", "--json").out)
    assert told["training"]["imported"]["format"] == "SAELens"
    assert told["training"]["imported"]["config"]["hook_name"] == "blocks.8.hook_resid_pre"
