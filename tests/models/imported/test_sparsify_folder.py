"""Folders of sparsify, beside its formula and, where it is installed, the library itself."""

import numpy as np
import pytest
from foreign import FEATURES, UNITS, K, used, vectors, weights, write

import aectl
from aectl.errors import ModelFileError

CONFIG = {
    "activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": UNITS,
    "k": K, "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": FEATURES,
}  # fmt: skip
OLD = {"expansion_factor": 32, "k": K, "num_latents": 0, "signed": False, "d_in": FEATURES}
NAMES = ("cfg.json", "sae.safetensors")


def tensors():
    found = weights("encoder.bias")
    found["encoder.weight"] = found.pop("W_enc").T
    return found


def formula(x):
    """sparsify/sparse_coder.py and fused_encoder.py, in 64 bits."""
    w = {name: value.astype(float) for name, value in tensors().items()}
    p = np.maximum((x - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"], 0)
    code = np.where(p >= np.sort(p, axis=1)[:, -K, None], p, 0)
    return code, code @ w["W_dec"] + w["b_dec"]


@pytest.mark.parametrize("config", [CONFIG, OLD], ids=["1.3", "older"])
def test_the_model_has_the_codes_and_reconstructions_of_the_formula(config, tmp_path):
    folder = write(tmp_path / "sae", config, tensors(), NAMES)
    done = aectl.import_model(folder, tmp_path / "m.safetensors")
    code, made = used(done.model, vectors(), tmp_path)
    wanted, reconstructed = formula(vectors())
    assert done.notes == ()
    np.testing.assert_allclose(code, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made, reconstructed, rtol=1e-5, atol=1e-5)


def test_the_library_itself_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSIFY_DISABLE_TRITON", "1")  # which needs a GPU
    sparsify = pytest.importorskip("sparsify", reason="eai-sparsify is not installed")
    torch = pytest.importorskip("torch")
    folder = write(tmp_path / "sae", CONFIG, tensors(), NAMES)
    with torch.no_grad():
        found = sparsify.SparseCoder.load_from_disk(folder)(torch.tensor(vectors()))
    wanted = np.zeros((len(vectors()), UNITS), np.float32)
    np.put_along_axis(wanted, found.latent_indices.numpy(), found.latent_acts.numpy(), 1)
    model = aectl.import_model(folder, tmp_path / "m.safetensors").model
    code, made = used(model, vectors(), tmp_path)
    np.testing.assert_allclose(code, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made, found.sae_out.numpy(), rtol=1e-5, atol=1e-5)


REFUSED = {
    "transcode": ({"transcode": True}, "transcode is True: it predicts other vectors"),
    "skip": ({"skip_connection": True}, "skip_connection is True: aectl has no linear path"),
    "signs": ({"signed": True}, "signed is True: aectl keeps positive activations alone"),
    "groups": ({"activation": "groupmax"}, "activation is 'groupmax': aectl reads topk"),
    "latents": ({"num_latents": 41}, "num_latents is 41: encoder.weight is [40, 12]"),
    "width": ({"d_in": "12"}, "d_in is '12': encoder.weight is [40, 12]"),
    "k": ({"k": None}, "k is None: it must be a whole number of at least 1"),
    "k of nothing": ({"k": 0}, "k is 0: it must be a whole number of at least 1"),
}


@pytest.mark.parametrize(("fields", "said"), REFUSED.values(), ids=REFUSED)
def test_a_config_that_aectl_cannot_express_is_refused_by_its_field(fields, said, tmp_path):
    write(tmp_path / "sae", CONFIG | fields, tensors(), NAMES)
    with pytest.raises(ModelFileError) as caught:
        aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors")
    assert said in str(caught.value)


def test_a_tensor_that_the_config_does_not_explain_is_refused(tmp_path):
    more = {**tensors(), "W_skip": np.eye(FEATURES, dtype=np.float32)}
    write(tmp_path / "sae", CONFIG, more, NAMES)
    with pytest.raises(ModelFileError, match=r"does not have: W_skip \[12, 12\]"):
        aectl.import_model(tmp_path / "sae", tmp_path / "m.safetensors")
