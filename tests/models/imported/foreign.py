"""Folders as other programs write them, with random weights, for the tests."""

import json

import numpy as np
from safetensors.numpy import save_file

import aectl

FEATURES, UNITS, K = 12, 40, 5
SAE_LENS_6 = {
    "d_in": FEATURES, "d_sae": UNITS, "dtype": "float32", "device": "cpu",
    "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
    "metadata": {"sae_lens_version": "6.54.12", "model_name": "gpt2", "hook_name": "blocks.8"},
}  # fmt: skip
SAE_LENS_5 = {
    "architecture": "standard", "d_in": FEATURES, "d_sae": UNITS, "activation_fn_str": "relu",
    "apply_b_dec_to_input": True, "finetuning_scaling_factor": False, "context_size": 128,
    "model_name": "gpt2", "hook_name": "blocks.8.hook_resid_pre", "hook_layer": 8,
    "prepend_bos": True, "dtype": "torch.float32", "device": "cuda", "l1_coefficient": 0.001,
    "normalize_activations": False, "sae_lens_training_version": None,
}  # fmt: skip


def vectors(count=300, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1.2, (count, FEATURES)).astype(np.float32)


def weights(*extra, seed=1):
    """W_enc, W_dec, b_dec, and those named, as SAELens calls them."""
    random = np.random.default_rng(seed)
    shapes = {"W_enc": (FEATURES, UNITS), "W_dec": (UNITS, FEATURES), "b_dec": (FEATURES,)}
    shapes |= dict.fromkeys(extra, (UNITS,))
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def write(folder, config, tensors, names=("cfg.json", "sae_weights.safetensors")):
    """A folder with a config and tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(json.dumps(config))
    save_file(
        {name: np.asarray(one, order="C") for name, one in tensors.items()}, folder / names[1]
    )
    return folder


def used(model, rows, folder):
    """Codes and reconstructions of rows by the public functions of aectl, which read a file."""
    np.save(folder / "rows.npy", rows)
    codes = [one.code for one in aectl.encode(model, str(folder / "rows.npy"))]
    made = [one.reconstruction for one in aectl.reconstruct(model, str(folder / "rows.npy"))]
    return np.concatenate(codes), np.concatenate(made)
