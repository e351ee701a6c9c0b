"""Folders of SAELens: cfg.json and sae_weights.safetensors, of version 6 and of older ones.

x' = x - b_dec (with `apply_b_dec_to_input`), code = rule(x' W_enc + b_enc),
x_hat = code W_dec + b_dec. https://github.com/decoderesearch/SAELens, sae_lens/saes
"""

import dataclasses
import math
from collections.abc import Callable, Iterator

import torch

from aectl.models.imported.foreign_files import ForeignConfig, ForeignTensors, notes_on
from aectl.models.imported.foreign_model import (
    ForeignDictionary,
    ForeignModel,
    gated_rule,
    jump_rule,
    of_matrices,
)

SHORTEST = 1e-8
"""The least length of a row of the decoder that SAELens divides by."""

HEADS = "its inputs are the outputs of all heads, one after the other (reshape_activations)"

BY_NORM = "rescale_acts_by_decoder_norm"
RESCALED = {"topk": False, "omp-1": False, "batch-topk": True}
"""Its value where it is absent, by rules; it has no meaning for others."""

DTYPES = ("float32", "float64", "float16", "bfloat16")

NOT_TAKEN = {
    "expected_average_only_in": (
        "its inputs are multiplied by a number that is not in this folder; SAELens folds it into"
        " the weights with fold_activation_norm_scaling_factor, and save_model writes them"
    ),
    "covariance_whitening": (
        "its inputs are whitened with numbers that are not in this folder; SAELens folds them into"
        " the weights with fold_activation_whitening, and save_model writes them"
    ),
}
"""The reasons against values of `normalize_activations`."""


def read(config: ForeignConfig, tensors: ForeignTensors) -> ForeignModel:
    """Raises ModelFileError, naming the field or the tensor."""
    found = _rule_of(config)(config, tensors)
    if found.rule in RESCALED and config.flag(BY_NORM, RESCALED[found.rule]):
        found = found.with_unit_columns(SHORTEST)
    found = _fine_tuned(config, tensors, found)
    match _normalization(config):
        case "constant_norm_rescale":
            found = found.with_unit_norm(math.sqrt(found.encoder.shape[1]))
        case "layer_norm":
            found = dataclasses.replace(found, scale="layer-norm")
    tensors.refuse_others()
    notes = [*_notes(config), *notes_on(config, tensors)]
    origin = {"format": "SAELens", "config": dict(config.values)}
    return found.foreign_model(origin, tuple(notes))


def _rule_of(config: ForeignConfig) -> Callable[[ForeignConfig, ForeignTensors], ForeignDictionary]:
    """The reader of the architecture. Raises ModelFileError for one that aectl has not."""
    name = config.text("architecture", "standard")
    if name not in ARCHITECTURES:
        raise config.refused("architecture", f"aectl reads {', '.join(ARCHITECTURES)}")
    for field in ("activation_fn", "activation_fn_str"):  # up to version 5
        activation = config.text(field, "relu")
        if activation == "topk" and name in ("standard", "topk"):
            return _topk
        if activation != "relu":
            raise config.refused(field, "aectl reads relu, and topk of a standard architecture")
    return ARCHITECTURES[name]


def _plain(
    config: ForeignConfig, tensors: ForeignTensors, rule: str, bias: str
) -> ForeignDictionary:
    features, units = tensors.matrix_shape("W_enc")
    for name, there in (("d_in", features), ("d_sae", units)):
        if config.count(name) not in (None, there):
            raise config.refused(name, f"W_enc in {tensors.path.name} is [{features}, {units}]")
    found = of_matrices(tensors, rule, bias)
    centered = config.flag("apply_b_dec_to_input", True)
    return found if centered else dataclasses.replace(found, center=None)


def _standard(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    return _plain(config, tensors, "l1", "b_enc")


def _topk(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    return dataclasses.replace(_plain(config, tensors, "topk", "b_enc"), k=_k(config))


def _abstopk(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    if _k(config) != 1:
        raise config.refused(
            "k", "aectl keeps the sign of one unit alone, with architecture abstopk"
        )
    return _plain(config, tensors, "omp-1", "b_enc")


def _batchtopk(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    """A checkpoint of a training; the trained model has the architecture jumprelu."""
    k = config.get("k")
    if type(k) not in (int, float) or k <= 0:
        raise config.refused("k", "it must be a number above 0")
    found = _plain(config, tensors, "batch-topk", "b_enc")
    threshold = {"threshold": tensors.take("topk_threshold").clamp(min=0)}
    return dataclasses.replace(found, k=max(1, round(k)), of_rule=threshold)


def _jumprelu(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    found = _plain(config, tensors, "jumprelu", "b_enc")
    units = len(found.bias)
    if "log_threshold" in tensors:
        rule = jump_rule(tensors.take("log_threshold", units).double().exp())
    else:
        rule = jump_rule(tensors.take("threshold", units))
    return dataclasses.replace(found, of_rule=rule)


def _gated(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    found = _plain(config, tensors, "gated", "b_gate")
    units = len(found.bias)
    r, magnitude_bias = tensors.take("r_mag", units), tensors.take("b_mag", units)
    return dataclasses.replace(found, of_rule=gated_rule(r, magnitude_bias, found.bias))


ARCHITECTURES: dict[str, Callable[[ForeignConfig, ForeignTensors], ForeignDictionary]] = {
    "standard": _standard,
    "topk": _topk,
    "jumprelu": _jumprelu,
    "gated": _gated,
    "abstopk": _abstopk,
    "batchtopk": _batchtopk,
    "matryoshka_batchtopk": _batchtopk,
}
"""The readers of the architectures by their names in SAELens."""


def _k(config: ForeignConfig) -> int:
    """The number of active units; up to version 5, an argument of the activation."""
    arguments = config.inner("activation_fn_kwargs")
    old = arguments.count("k")
    if arguments.unread:
        raise config.refused("activation_fn_kwargs", "aectl knows k alone")
    return old or config.needed_count("k")


def _fine_tuned(
    config: ForeignConfig, tensors: ForeignTensors, found: ForeignDictionary
) -> ForeignDictionary:
    """With the factors of the units that a fine-tuning of older versions found, if it has some."""
    field = "finetuning_scaling_factor"
    asked, factors = config.flag(field, False), torch.ones(())
    there = [name for name in ("scaling_factor", field) if name in tensors]
    for name in there:
        factors = tensors.take(name, len(found.bias))
    if asked and not there:
        raise config.refused(field, f"{tensors.path.name} has no such factors")
    if not asked and not torch.allclose(factors, torch.ones_like(factors)):
        raise config.refused(field, f"{there[-1]} in {tensors.path.name} is not 1")
    return dataclasses.replace(found, decoder=found.decoder * factors) if asked else found


def _normalization(config: ForeignConfig) -> str:
    """The scaling of each vector. Raises ModelFileError for one that needs other numbers."""
    given = config.get("normalize_activations")
    if given in (None, False):  # in older versions
        return "none"
    if given is True:
        given = "expected_average_only_in"
    if given not in ("none", "constant_norm_rescale", "layer_norm"):
        why = NOT_TAKEN.get(given) if isinstance(given, str) else None
        raise config.refused("normalize_activations", why or "aectl does not know it")
    return str(given)


def _notes(config: ForeignConfig) -> Iterator[str]:
    """Sentences on what SAELens does to the inputs, and on its type of numbers."""
    for name in ("device", "metadata"):
        config.get(name)
    reshaped = config.text("reshape_activations", "none")
    if reshaped not in ("none", "hook_z"):
        raise config.refused("reshape_activations", "aectl knows none and hook_z")
    if reshaped == "hook_z":
        yield HEADS
    dtype = config.text("dtype", "float32").removeprefix("torch.")
    if dtype not in DTYPES:
        raise config.refused("dtype", f"aectl knows {', '.join(DTYPES)}")
    if dtype != "float32":
        yield f"SAELens computes it in {dtype} (dtype), and aectl in float32"
