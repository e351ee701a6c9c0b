"""Damaged folders of models of other programs: bytes, fields and tensors of the wrong kind."""

import json
import shutil
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from damage import DAMAGES
from safetensors.numpy import save

import aectl
from aectl.models.imported.recognition import FOLDERS

D, U = 5, 8
SIZES = {"d_in": D, "d_sae": U, "k": 2}
STRANGE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**63, 10**400, 1.5, 1e308, float("nan"), "", "x", "topk",
    "layer_norm", "constant_norm_rescale", "x" * 70_000, [], {}, [[1]], {"k": 2}, {"k": {"k": 1}},
    "a\0b", "\ud800", "../../x",
)  # fmt: skip
ARRAYS = (
    np.zeros((0, U), "f4"), np.zeros(()), np.ones((U, D), "f4"), np.ones(U), np.ones(U, "i4"),
    np.full(U, np.nan, "f4"), np.full(U, 1e300), np.ones((1,) * 30, "f2"), np.ones((D, U), "u1"),
)  # fmt: skip


@cache
def sound() -> tuple[tuple[int, dict[str, Any], dict[str, Any]], ...]:
    """Formats by their places in FOLDERS, configs and tensors."""
    random = np.random.default_rng(0)
    W, D_, units, mean = (random.normal(size=s).astype("f4") for s in ((D, U), (U, D), U, D))
    sae = {"W_enc": W, "W_dec": D_, "b_dec": mean, "b_enc": units}
    gated = {**sae, "b_gate": units, "r_mag": units, "b_mag": units}
    del gated["b_enc"]
    layers = {"encoder.weight": W.T, "encoder.bias": units, "b_dec": mean}
    top = {"k": np.array(2), "threshold": np.array(0.5, "f4"), "decoder.weight": D_.T}
    config = {**SIZES, "normalize_activations": "none", "apply_b_dec_to_input": True}
    trainer = {"activation_dim": D, "dict_size": U, "k": 2, "dict_class": "BatchTopKSAE"}
    old = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 2}}
    old["finetuning_scaling_factor"] = True
    return (
        (0, {**config, "architecture": "topk", "rescale_acts_by_decoder_norm": True}, sae),
        (0, {**config, "architecture": "jumprelu"}, {**sae, "threshold": units}),
        (0, {**config, "architecture": "gated"}, gated),
        (0, {**config, **old}, {**sae, "scaling_factor": units}),
        (1, {"k": 2, "d_in": D, "num_latents": U, "transcode": False}, {**layers, "W_dec": D_}),
        (2, {"trainer": trainer}, {**layers, **top}),
    )


def damaged_folder(number: int) -> bytes:
    """The number of a format, the length of a config, the config, and the tensors."""
    chance = Random(number)
    place, config, tensors = sound()[number % len(sound())]
    config, tensors = json.loads(json.dumps(config)), dict(tensors)
    way = chance.randrange(4)
    inside = config.get("trainer", config)
    if way == 0:
        inside[chance.choice([*inside, "more"])] = chance.choice(STRANGE)
    if way == 1:
        tensors[chance.choice([*tensors, "more"])] = chance.choice(ARRAYS)
    written = json.dumps(config).encode()
    weights = save({name: np.asarray(one, order="C") for name, one in tensors.items()})
    if way == 2:
        written = chance.choice(DAMAGES)(written, chance)
    if way == 3:
        weights = chance.choice(DAMAGES)(weights, chance)
    return bytes([place]) + len(written).to_bytes(4, "little") + written + weights


def make_model(path: Path) -> None:
    """Imports the folder that the file holds, and loads the model."""
    content = path.read_bytes()
    one, end = FOLDERS[content[0]], 5 + int.from_bytes(content[1:5], "little")
    folder = path.with_name("folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / one.config).write_bytes(content[5:end])
    (folder / one.weights).write_bytes(content[end:])
    made = aectl.import_model(folder, path.with_name("m.safetensors"), overwrite=True)
    assert all("\n" not in note for note in made.notes)
    aectl.load(made.model)
