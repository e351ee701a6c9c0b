"""Folders of sparsify (EleutherAI): cfg.json and sae.safetensors.

code = topk(relu(W (x - b_dec) + b)), x_hat = code W_dec + b_dec.
https://github.com/EleutherAI/sparsify, sparsify/sparse_coder.py
"""

from aectl.models.imported.foreign_files import ForeignConfig, ForeignTensors, notes_on
from aectl.models.imported.foreign_model import ForeignDictionary, ForeignModel

REFUSED = {
    "transcode": "it predicts other vectors than its inputs, and is no autoencoder",
    "skip_connection": "aectl has no linear path beside the code",
    "signed": "aectl keeps positive activations alone",
}
"""The reasons against flags that are set."""


def read(config: ForeignConfig, tensors: ForeignTensors) -> ForeignModel:
    """Raises ModelFileError, naming the field or the tensor."""
    for name, why in REFUSED.items():
        if config.flag(name, False):
            raise config.refused(name, why)
    if config.text("activation", "topk") != "topk":
        raise config.refused("activation", "aectl reads topk")
    units, features = tensors.matrix_shape("encoder.weight")
    for name, there in (("d_in", features), ("num_latents", units)):
        given = config.get(name)
        if given not in (None, 0, there):
            raise config.refused(name, f"encoder.weight is [{units}, {features}]")
    k = config.needed_count("k")
    output_bias = tensors.take("b_dec", features)
    found = ForeignDictionary(
        encoder=tensors.take("encoder.weight", units, features),
        bias=tensors.take("encoder.bias", units),
        decoder=tensors.take("W_dec", units, features).T,
        output_bias=output_bias,
        center=output_bias,
        rule="topk",
        k=k,
    )
    tensors.refuse_others()
    for name in ("expansion_factor", "normalize_decoder", "multi_topk"):
        config.get(name)  # of training alone
    origin = {"format": "sparsify", "config": dict(config.values)}
    return found.foreign_model(origin, notes_on(config, tensors))
