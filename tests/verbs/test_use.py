"""A model and its inputs, as every verb but `train` starts with them."""

from pathlib import Path

import pytest

from aectl.config.kinds import classifiers, with_a_code
from aectl.errors import ConfigError, DataError, ModelFileError
from aectl.verbs.use import use_of


@pytest.mark.parametrize(
    ("kind", "verb", "kinds", "said"),
    [
        ("dense", "classify", classifiers(), "classify needs a classifier; .* is an autoencoder"),
        ("classifier", "encode", with_a_code(), "encode needs an autoencoder; .* is a classifier"),
    ],
)
def test_a_model_of_another_kind_is_refused(request, kind, verb, kinds, said):
    with pytest.raises(ModelFileError, match=said):
        use_of(request.getfixturevalue(kind), verb, kinds, None, {}, "cpu", 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"null": True}, "--null"),
        ({"max_pixels": 5}, "--max-pixels"),
        ({"truncated": "keep"}, "--truncated"),
    ],
)
def test_options_of_image_files_have_no_effect_on_text(given, said):
    model = Path(__file__).parents[1] / "formats" / "3-text.safetensors"
    text = use_of(model, "encode", with_a_code(), "x.txt", given, "cpu", 1)
    with pytest.raises(ConfigError, match=f"{said}.* has no effect with"):
        text.refuse({})
    use_of(model, "encode", with_a_code(), "x.txt", {}, "cpu", 1).refuse({"layer": False})


def test_the_inputs_are_found_when_they_are_asked_for(dense):
    missing = use_of(dense, "encode", with_a_code(), "no such folder/", {}, "cpu", 1)
    with pytest.raises(DataError, match="no such folder"):
        _ = missing.stream
    there = use_of(dense, "encode", with_a_code(), "digits:test", {"batch_size": 50}, "cpu", 1)
    assert there.key() == {"labelled": True, "batch_size": 50}
    with there.results(lambda network, batches, to_tensor: map(to_tensor, batches)) as tensors:
        shapes = [tuple(tensor.shape) for tensor in tensors]
    assert shapes == [(64, 1, 8, 8)] * 8  # 360 images, padded to whole vectors
