"""Shapes of inputs in the description of an architecture, of images, text and vectors."""

import pytest

from aectl.config.kinds import KINDS
from aectl.config.shapes import TextShape, VectorShape
from aectl.errors import ModelFileError
from aectl.models.architecture import INPUT_SPECS

IMAGES, TEXT, VECTORS = (INPUT_SPECS[name] for name in ("images", "text", "vectors"))
NONE = {"shape": None, "length": None, "tokens": None, "width": None}
VALID = {
    "grey": (IMAGES, {"shape": [1, 28, 30]}, (1, 28, 30)),
    "colour": (IMAGES, {"shape": [3, 1, 4096]}, (3, 1, 4096)),
    "text": (TEXT, {"length": 20, "tokens": 300}, TextShape(20, 300)),
    "the shortest text": (TEXT, {"length": 1, "tokens": 4}, TextShape(1, 4)),
    "vectors": (VECTORS, {"width": 100_000}, VectorShape(100_000)),
    "text of versions 1 and 2": (TEXT, {"shape": [1, 1, 9], "tokens": 300}, TextShape(9, 300)),
}
INVALID = {
    "no shape": (IMAGES, {}, "not a shape of images"),
    "two sides": (IMAGES, {"shape": [28, 28]}, "not a shape of images"),
    "two channels": (IMAGES, {"shape": [2, 28, 28]}, "not a shape of images"),
    "no rows": (IMAGES, {"shape": [1, 0, 28]}, "not a shape of images"),
    "a side too long": (IMAGES, {"shape": [1, 28, 4097]}, "not a shape of images"),
    "a fraction": (IMAGES, {"shape": [1, 28, 28.0]}, "not a shape of images"),
    "a truth": (IMAGES, {"shape": [True, 28, 28]}, "not a shape of images"),
    "images with tokens": (IMAGES, {"shape": [1, 28, 28], "tokens": 4}, "have no tokens"),
    "images with a length": (IMAGES, {"shape": [1, 28, 28], "length": 4}, "have no tokens"),
    "no length": (TEXT, {"tokens": 300}, "not a shape of images"),
    "no tokens": (TEXT, {"length": 20}, "cannot have None tokens"),
    "special tokens alone": (TEXT, {"length": 20, "tokens": 3}, "cannot have 3 tokens"),
    "too many tokens": (TEXT, {"length": 20, "tokens": 2**17 + 1}, "cannot have 131073 tokens"),
    "a length of 0": (TEXT, {"length": 0, "tokens": 300}, "not a length"),
    "a length too long": (TEXT, {"length": 4097, "tokens": 300}, "not a length"),
    "text with a shape": (TEXT, {"length": 9, "tokens": 300, "shape": [1, 1, 9]}, "no shape"),
    "images with a width": (IMAGES, {"shape": [1, 28, 28], "width": 4}, "or width"),
    "text with a width": (TEXT, {"length": 9, "tokens": 300, "width": 9}, "no width"),
    "vectors without a width": (VECTORS, {}, "None is not a number of features"),
    "vectors of no width": (VECTORS, {"width": 0}, "0 is not a number of features"),
    "vectors with a shape": (VECTORS, {"width": 4, "shape": [1, 2, 2]}, "neither shape nor"),
    "text of two rows": (TEXT, {"shape": [1, 2, 9], "tokens": 300}, "not a shape of text"),
}


def test_every_modality_of_a_kind_has_its_inputs():
    assert set(INPUT_SPECS) == {name for kind in KINDS.values() for name in kind.modalities}


@pytest.mark.parametrize(("spec", "sizes", "shape"), VALID.values(), ids=VALID)
def test_a_shape_is_read_and_comes_back(spec, sizes, shape):
    assert spec.shape({**NONE, **sizes}) == shape
    assert spec.shape({**NONE, **spec.sizes(shape)}) == shape


@pytest.mark.parametrize(("spec", "sizes", "reason"), INVALID.values(), ids=INVALID)
def test_a_shape_that_cannot_be_one_is_refused(spec, sizes, reason):
    with pytest.raises(ModelFileError, match=reason):
        spec.shape({**NONE, **sizes})


@pytest.mark.parametrize(
    ("spec", "baselines", "shape"),
    [
        (IMAGES, {"most": [1]}, (1, 2, 2)), (TEXT, {"most": [1, 2]}, TextShape(3, 9)),
        (TEXT, {"most": [1, 2, 9]}, TextShape(3, 9)),
        (TEXT, {"most": [8, 8, 8], "next": []}, TextShape(3, 9)),
    ],
)  # fmt: skip
def test_a_baseline_that_the_model_cannot_write_is_refused(spec, baselines, shape):
    spec.check_baselines({}, shape)
    with pytest.raises(ModelFileError, match="is not a text of it"):
        spec.check_baselines(baselines, shape)


def test_images_have_no_vocabulary_and_text_has_one():
    assert IMAGES.vocabulary(None, (1, 2, 2)) is None
    assert IMAGES.described_vocabulary(None) == {}
    with pytest.raises(ModelFileError, match="not a text model"):
        IMAGES.vocabulary({}, (1, 2, 2))
    with pytest.raises(ModelFileError, match="vocabulary is not described"):
        TEXT.vocabulary(None, TextShape(3, 9))


INVALID_COLUMNS = {
    "no list": ("ab", "not a list of names"),
    "a number": (["a", 1], "not a list of names"),
    "too few": (["a"], "each of 2 columns once"),
    "one twice": (["a", "a"], "each of 2 columns once"),
}


@pytest.mark.parametrize(("names", "reason"), INVALID_COLUMNS.values(), ids=INVALID_COLUMNS)
def test_columns_that_do_not_name_each_feature_are_refused(names, reason):
    shape = VectorShape(2)
    described = VECTORS.preprocessing(shape, None, ("b", "a"))
    assert VECTORS.columns(described, shape) == ("b", "a")
    assert VECTORS.columns(VECTORS.preprocessing(shape, None, ()), shape) == ()
    with pytest.raises(ModelFileError, match=reason):
        VECTORS.columns({**described, "columns": names}, shape)
