"""A model of another program, in the terms of aectl."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from aectl.config.kinds import VECTORS
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import VectorShape
from aectl.config.sparsity import RULES
from aectl.errors import ConfigError, ModelFileError
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.imported.foreign_files import ForeignTensors
from aectl.models.model_card import ModelCard
from aectl.models.networks import Network
from aectl.models.shape_rules import without_values

NO_THRESHOLD = -110.0
"""A logarithm whose exponential is 0 in 32 bits."""

ORIGIN = "imported"
"""The field of the record of the training that says where a model is from."""


@dataclass(frozen=True)
class ForeignModel:
    """A network of aectl by its description and its weights, both read from another program's file.

    `origin`: the format, and the config that stood in the file; `notes`: sentences for the user.
    """

    architecture: Architecture
    weights: Mapping[str, Tensor]
    origin: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def card(self, source: str) -> ModelCard:
        """The card of the model, read from a `source`.

        Raises ModelFileError where its description is beyond a limit.
        """
        try:
            described = Architecture.from_json(self.architecture.to_json())
        except ConfigError as error:
            raise ModelFileError(f"aectl has no such model: {error}") from None
        return ModelCard(described, training={ORIGIN: {"source": source, **self.origin}})

    def network(self) -> Network:
        """The network, in eval mode. Raises ModelFileError where a number is not finite."""
        for name, value in self.weights.items():
            if not value.isfinite().all():
                raise ModelFileError(f"{name} would contain values that are not finite")
        with without_values():
            network = build_network(self.architecture)
        network.load_state_dict(dict(self.weights), assign=True)
        return network.eval()


@dataclass(frozen=True)
class ForeignDictionary:
    """code = rule(W (x - center) + b), x_hat = D code + d: a sparse autoencoder of vectors.

    `encoder`: W, (units, features); `bias`: b, (units,); `decoder`: D, (features, units);
    `center`: None for none, else subtracted from the input, (features,); `output_bias`: d,
    (features,); `rule`: its name in aectl; `k`: the units of topk or batch-topk that are active;
    `of_rule`: the parameters of the rule, by their names in its class; `scale`: the scaling
    of each vector, as `--scale` names it.
    """

    encoder: Tensor
    bias: Tensor
    decoder: Tensor
    output_bias: Tensor
    center: Tensor | None
    rule: str
    k: int | None = None
    of_rule: Mapping[str, Tensor] = field(default_factory=dict)
    scale: str = "none"

    def with_unit_columns(self, least: float = 0.0) -> "ForeignDictionary":
        """The same, with columns of the decoder of length 1: pre-activations are multiplied by the
        lengths, which are taken to be `least` at least; the rule is applied to the products.
        """
        norms = self.decoder.norm(dim=0).clamp(min=least)
        return dataclasses.replace(
            self,
            encoder=self.encoder * norms[:, None],
            bias=self.bias * norms,
            decoder=self.decoder / norms,
        )

    def with_unit_norm(self, length: float) -> "ForeignDictionary":
        """One for vectors divided by their length, from one for vectors scaled to this `length`."""
        return dataclasses.replace(
            self,
            encoder=self.encoder * length,
            decoder=self.decoder / length,
            output_bias=self.output_bias / length,
            center=None if self.center is None else self.center / length,
            scale="unit-norm",
        )

    def foreign_model(self, origin: Mapping[str, Any], notes: tuple[str, ...]) -> ForeignModel:
        """Raises ModelFileError where aectl has no such model."""
        units, features = self.encoder.shape
        weights = {
            "encoder.layers.0.weight": self.encoder,
            "encoder.layers.0.bias": self.bias,
            "decoder.layers.0.weight": self.decoder,
            "decoder.layers.0.bias": self.output_bias,
            **{f"encoder.code.{name}": value for name, value in self.of_rule.items()},
        }
        if self.center is not None:
            weights["encoder.center"] = self.center
        try:
            config = ModelConfig(
                model="autoencoder", modality=VECTORS, hidden=(units,), sparsity=self.rule,
                k=self.k, code_activation=RULES[self.rule].activation or "relu",
                output_activation="linear", center=self.center is not None,
                scale=self.scale,
            )  # fmt: skip
        except ConfigError as error:
            raise ModelFileError(f"aectl has no such model: {error}") from None
        return ForeignModel(Architecture(config, VectorShape(features)), weights, origin, notes)


def of_matrices(tensors: ForeignTensors, rule: str, bias: str = "b_enc") -> ForeignDictionary:
    """One of the matrices W_enc, (features, units), and W_dec, whose input is centered on the bias
    of the output, b_dec. Raises ModelFileError for tensors that do not fit each other."""
    features, units = tensors.matrix_shape("W_enc")
    output_bias = tensors.take("b_dec", features)
    return ForeignDictionary(
        encoder=tensors.take("W_enc", features, units).T,
        bias=tensors.take(bias, units),
        decoder=tensors.take("W_dec", units, features).T,
        output_bias=output_bias,
        center=output_bias,
        rule=rule,
    )


def jump_rule(threshold: Tensor) -> dict[str, Tensor]:
    """The parameters of the rule jumprelu with these thresholds, (units,), where negative
    pre-activations are 0 in any case: a threshold below 0 is one of 0."""
    log = threshold.double().log().float()
    return {"log_threshold": log.where(~(threshold <= 0), torch.tensor(NO_THRESHOLD))}


def gated_rule(r: Tensor, magnitude_bias: Tensor, gate_bias: Tensor) -> dict[str, Tensor]:
    """The parameters of the rule gated, whose pre-activations contain the bias of the gate: the
    magnitude is exp(r) W x + magnitude_bias, all (units,)."""
    b = magnitude_bias.double() - r.double().exp() * gate_bias.double()
    return {"r": r, "b": b.float()}
