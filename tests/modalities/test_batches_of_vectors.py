"""How many vectors a model processes at a time."""

import pytest

from aectl.config.configuration import Config
from aectl.config.shapes import VectorShape
from aectl.modalities.vector_stream import batch_size
from aectl.models.architecture import Architecture
from aectl.models.footprint import ROOM, activation_bytes


def architecture(units, features):
    config = Config.from_options(
        {"modality": "vectors", "hidden": str(units), "sparsity": "topk", "k": 8}
    )
    return Architecture(config.model, VectorShape(features))


@pytest.mark.parametrize(("units", "features"), [(131_072, 64), (16_384, 768), (500_000, 2)])
def test_vectors_with_long_codes_are_so_few_that_their_memory_is_bounded(units, features):
    wide = architecture(units, features)
    found = batch_size(wide, None)
    assert 32 <= found <= ROOM // activation_bytes(wide)
    assert batch_size(wide, 4096) == 4096


@pytest.mark.parametrize(("features", "wanted"), [(16, 4096), (1024, 1024), (1 << 20, 32)])
def test_others_are_as_many_as_their_length_allows(features, wanted):
    assert batch_size(architecture(8, features), None) == wanted
