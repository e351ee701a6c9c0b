"""Folders of SAELens, which `aectl.models.imported.sae_lens_folder` reads back.

SAELens has no scaling of features, and one bias for the center of the input and the reconstruction:
both are folded into its weights, so that codes and reconstructions are the same.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from aectl.config.kinds import VECTORS
from aectl.config.spelling import all_spelt
from aectl.errors import ConfigError
from aectl.files import replacing, writing
from aectl.models import tensor_file
from aectl.models.imported.recognition import SAE_LENS
from aectl.models.model_card import ModelCard

if TYPE_CHECKING:
    from torch import Tensor

    from aectl.models.autoencoder import Autoencoder
    from aectl.models.networks import Network
    from aectl.outputs.exports import Exported, Runner

VERSION = "6.54.12"
"""The version of SAELens whose format this is."""

NORMALIZATIONS = {"unit-norm": "constant_norm_rescale", "layer-norm": "layer_norm"}
"""The scalings of each vector by their names in SAELens; those of features are folded."""


def refusal(card: ModelCard) -> str:
    """The reason for which SAELens has no such model; "" where it has."""
    model = card.architecture.config
    if card.architecture.kind != "autoencoder" or card.architecture.modality != VECTORS:
        return "it is no dense autoencoder of vectors"
    if len(card.architecture.hidden) != 1:
        return f"it has {len(card.architecture.hidden)} hidden layers, not one"
    wanted = {"output_activation": "linear", "missing": "refuse"}
    wanted["code_activation"] = "linear" if model.sparsity == "omp-1" else "relu"
    for name, value in wanted.items():
        if getattr(model, name) != value:
            return f"its {name.replace('_', '-')} is {getattr(model, name)}, not {value}"
    return ""


def check(card: ModelCard) -> None:
    """Raises ConfigError for a model that SAELens cannot have."""
    if why := refusal(card):
        raise ConfigError(f"SAELens has no such model: {why}")


def write(exported: "Exported", path: Path) -> None:
    """Writes the folder of the network of a graph."""
    graph: Any = exported.module
    write_folder(path, graph.network, exported.card)


def running(path: Path) -> "Runner":
    """Reads the folder back, to compute codes and reconstructions of vectors from its numbers."""
    import torch

    from aectl.models.imported import recognition
    from aectl.models.scaling import scaled, unscaled

    network: Any = recognition.read(path, None).network()

    @torch.inference_mode()
    def run(inputs: NDArray[Any]) -> list[NDArray[Any]]:
        vectors = torch.from_numpy(inputs)
        code = network.encode(scaled(network.scaling, vectors))
        made = unscaled(network.scaling, network.decode(code), vectors)
        return [code.numpy(), made.numpy()]

    return run


def versions() -> dict[str, str]:
    """That of SAELens whose format it is."""
    return {"sae_lens": VERSION}


def write_folder(folder: Path, network: "Network", card: ModelCard) -> None:
    """Writes the config and the weights of a model into a folder, which is made if need be.

    Raises OutputError, and ConfigError for a model that SAELens cannot have.
    """
    check(card)
    folded: Any = network
    layers = _folded(folded, card)
    architecture, fields, parameters = _rule(folded, layers, card)
    config = {
        "architecture": architecture,
        "d_in": layers.encoder.shape[0],
        "d_sae": layers.encoder.shape[1],
        **fields,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": layers.centered,
        "normalize_activations": NORMALIZATIONS.get(card.architecture.config.scale, "none"),
        "reshape_activations": "none",
        "metadata": _told(card),
    }
    tensors = {
        "W_enc": layers.encoder, "W_dec": layers.decoder, "b_dec": layers.output_bias, **parameters
    }  # fmt: skip
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / SAE_LENS.weights, durable=True) as temporary:
        tensor_file.write(temporary, tensors, {"format": "pt"})
    with replacing(folder / SAE_LENS.config, durable=True) as temporary:
        temporary.write_text(json.dumps(all_spelt(config), indent=2) + "\n", "utf-8")


@dataclass(frozen=True)
class _Folded:
    """The layers for vectors as they are: (features, units), (units,), (units, features) and
    (features,); `centered`: whether the bias of the output is subtracted from the input."""

    encoder: "Tensor"
    bias: "Tensor"
    decoder: "Tensor"
    output_bias: "Tensor"
    centered: bool


def _folded(network: "Autoencoder", card: ModelCard) -> _Folded:
    """In 64 bits, because biases may be small differences of large numbers."""
    layer, scaling = network.encoder.to_code, network.scaling
    encoder, bias = layer.weight.detach().double(), layer.bias.detach().double()
    decoder = network.decoder.directions.detach().double()
    output_bias = network.decoder.last_bias.detach().double()
    center = network.encoder.center
    centered = center is not None or (scaling is not None and scaling.offset is not None)
    mean = output_bias * 0 if center is None else center.double()
    factor = None if scaling is None else scaling.factor
    if factor is not None:
        encoder, decoder = encoder * factor, decoder / factor.double()[:, None]
        output_bias, mean = output_bias / factor, mean / factor
    if scaling is not None and scaling.offset is not None:
        output_bias, mean = output_bias + scaling.offset, mean + scaling.offset
    if card.architecture.config.scale == "unit-norm":  # SAELens scales to this length
        length = len(output_bias) ** 0.5
        encoder, decoder = encoder / length, decoder * length
        output_bias, mean = output_bias * length, mean * length
    output_bias = output_bias.float()
    if centered:
        bias = bias + encoder @ (output_bias.double() - mean)
    return _Folded(encoder.T.float(), bias.float(), decoder.T.float(), output_bias, centered)


def _rule(
    network: "Autoencoder", layers: _Folded, card: ModelCard
) -> tuple[str, dict[str, Any], dict[str, "Tensor"]]:
    """The architecture in SAELens, the fields of its config, and its tensors of the code."""
    code: Any = network.encoder.code
    return RULES_OF_SAE_LENS.get(card.architecture.config.sparsity, _standard)(code, layers.bias)


def _standard(code: Any, bias: "Tensor") -> tuple[str, dict[str, Any], dict[str, "Tensor"]]:
    return "standard", {}, {"b_enc": bias}


def _topk(code: Any, bias: "Tensor") -> tuple[str, dict[str, Any], dict[str, "Tensor"]]:
    k = min(code.k_at_inference, len(bias))
    return "topk", {"k": k, "rescale_acts_by_decoder_norm": False}, {"b_enc": bias}


def _batch_topk(code: Any, bias: "Tensor") -> tuple[str, dict[str, Any], dict[str, "Tensor"]]:
    threshold = code.threshold.detach().expand(len(bias))
    return "jumprelu", {}, {"b_enc": bias, "threshold": threshold}


def _jumprelu(code: Any, bias: "Tensor") -> tuple[str, dict[str, Any], dict[str, "Tensor"]]:
    threshold = code.log_threshold.detach().exp()
    return "jumprelu", {}, {"b_enc": bias, "threshold": threshold}


def _gated(code: Any, bias: "Tensor") -> tuple[str, dict[str, Any], dict[str, "Tensor"]]:
    r, b = code.r.detach(), code.b.detach()
    magnitude = (b.double() + r.double().exp() * bias.double()).float()
    return "gated", {}, {"b_gate": bias, "r_mag": r, "b_mag": magnitude}


def _omp_1(code: Any, bias: "Tensor") -> tuple[str, dict[str, Any], dict[str, "Tensor"]]:
    return "abstopk", {"k": 1, "rescale_acts_by_decoder_norm": False}, {"b_enc": bias}


RULES_OF_SAE_LENS: dict[
    str, Callable[[Any, "Tensor"], tuple[str, dict[str, Any], dict[str, "Tensor"]]]
] = {
    "topk": _topk,
    "batch-topk": _batch_topk,
    "jumprelu": _jumprelu,
    "gated": _gated,
    "omp-1": _omp_1,
}
"""The rules of sparsity that are more than an activation at inference."""


def _told(card: ModelCard) -> dict[str, Any]:
    """The metadata: the version of the format, and where the model is from."""
    told: dict[str, Any] = {"sae_lens_version": VERSION, "sae_lens_training_version": None}
    told["aectl_weights_sha256"] = card.weights_sha256
    if card.trained_on:
        told["dataset_path"] = " ".join(card.trained_on)
    if card.columns:
        told["aectl_columns"] = list(card.columns)
    return told
