"""Folders of dictionary_learning: config.json, and the weights as ae.safetensors.

The package itself writes a pickle, ae.pt. https://github.com/saprmarks/dictionary_learning,
dictionary_learning/dictionary.py and trainers
"""

import dataclasses
from collections.abc import Callable

import torch

from aectl.errors import ModelFileError
from aectl.models.imported.foreign_files import ForeignConfig, ForeignTensors, notes_on
from aectl.models.imported.foreign_model import (
    ForeignDictionary,
    ForeignModel,
    gated_rule,
    jump_rule,
    of_matrices,
)


def read(whole: ForeignConfig, tensors: ForeignTensors) -> ForeignModel:
    """Raises ModelFileError, naming the field or the tensor."""
    config = whole.inner("trainer")
    name = config.text("dict_class", "none")
    if name not in CLASSES:
        raise config.refused("dict_class", f"aectl reads {', '.join(CLASSES)}")
    found = CLASSES[name](config, tensors)
    units, features = found.encoder.shape
    for field, there in (("activation_dim", features), ("dict_size", units)):
        if config.count(field) not in (None, there):
            raise config.refused(field, f"the weights are [{units}, {features}]")
    tensors.refuse_others()
    origin = {"format": "dictionary_learning", "config": dict(whole.values)}
    return found.foreign_model(origin, notes_on(config, tensors))


def _linear(tensors: ForeignTensors, output_bias: str, rule: str, bias: str) -> ForeignDictionary:
    """One of `nn.Linear` layers, whose input is centered on the output's bias."""
    units, features = tensors.matrix_shape("encoder.weight")
    mean = tensors.take(output_bias, features)
    return ForeignDictionary(
        encoder=tensors.take("encoder.weight", units, features),
        bias=tensors.take(bias, units),
        decoder=tensors.take("decoder.weight", features, units),
        output_bias=mean,
        center=mean,
        rule=rule,
    )


def _autoencoder(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    """As `from_pretrained` loads it, with columns of the decoder of length 1."""
    found = _linear(tensors, "bias", "l1", "encoder.bias")
    norms = found.decoder.norm(dim=0)
    return found if torch.allclose(norms, torch.ones_like(norms)) else found.with_unit_columns()


def _new(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    found = _linear(tensors, "decoder.bias", "l1", "encoder.bias")
    return dataclasses.replace(found, center=None)


def _gated(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    found = _linear(tensors, "decoder_bias", "gated", "gate_bias")
    units = len(found.bias)
    r, magnitude_bias = tensors.take("r_mag", units), tensors.take("mag_bias", units)
    return dataclasses.replace(found, of_rule=gated_rule(r, magnitude_bias, found.bias))


def _jumprelu(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    found = of_matrices(tensors, "jumprelu")
    rule = jump_rule(tensors.take("threshold", len(found.bias)))
    return dataclasses.replace(found, center=None, of_rule=rule)


def _topk(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    found = _linear(tensors, "b_dec", "topk", "encoder.bias")
    tensors.left.pop("threshold", None)  # of another use of the same weights
    return dataclasses.replace(found, k=_k(config, tensors))


def _batch_topk(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    found = _linear(tensors, "b_dec", "batch-topk", "encoder.bias")
    return _with_threshold(found, config, tensors)


def _matryoshka(config: ForeignConfig, tensors: ForeignTensors) -> ForeignDictionary:
    """With all groups of units."""
    tensors.left.pop("group_sizes", None)
    return _with_threshold(of_matrices(tensors, "batch-topk"), config, tensors)


CLASSES: dict[str, Callable[[ForeignConfig, ForeignTensors], ForeignDictionary]] = {
    "AutoEncoder": _autoencoder,
    "AutoEncoderNew": _new,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batch_topk,
    "MatryoshkaBatchTopKSAE": _matryoshka,
    "GatedAutoEncoder": _gated,
    "JumpReluAutoEncoder": _jumprelu,
}
"""The readers of the dictionaries by the names of their classes."""


def _with_threshold(
    found: ForeignDictionary, config: ForeignConfig, tensors: ForeignTensors
) -> ForeignDictionary:
    """One whose units are active above a threshold; before the training, it is -1."""
    rule = {"threshold": tensors.take("threshold").clamp(min=0)}
    return dataclasses.replace(found, k=_k(config, tensors), of_rule=rule)


def _k(config: ForeignConfig, tensors: ForeignTensors) -> int:
    """The number of active units, in the config and, in newer versions, among the tensors."""
    asked, stored = config.count("k"), tensors.left.pop("k", None)
    if stored is not None and (stored.numel() != 1 or stored.is_floating_point()):
        raise ModelFileError(f"{tensors.path}: k is no whole number")
    there = None if stored is None else int(stored)
    if asked is None or there not in (None, asked):
        raise config.refused("k", f"{tensors.path.name} has {there or 'none'}")
    return asked
