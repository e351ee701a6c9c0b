"""Vectors, as networks take them."""

from collections.abc import Mapping, Sequence
from typing import Any

from aectl.config.model_options import ModelConfig
from aectl.config.shapes import VectorShape
from aectl.config.sparsity import RULES
from aectl.errors import ModelFileError
from aectl.models.dense_floats import floats_of_layers
from aectl.models.input_spec import InputSpec
from aectl.models.metadata import shown
from aectl.models.vocabulary import Vocabulary

WIDEST_VECTOR = 1_000_000


class VectorSpec(InputSpec[VectorShape]):
    """Vectors of numbers."""

    def shape(self, sizes: Mapping[str, object]) -> VectorShape:
        """Reads the field `width`."""
        if any(sizes[name] is not None for name in ("shape", "length", "tokens")):
            raise ModelFileError("its input is vectors, which have neither shape nor tokens")
        features = sizes["width"]
        if type(features) is not int or not 1 <= features <= WIDEST_VECTOR:
            raise ModelFileError(f"{features!r} is not a number of features")
        return VectorShape(features)

    def sizes(self, shape: VectorShape) -> dict[str, Any]:
        """The field `width`."""
        return {"width": shape.features}

    def preprocessing(
        self, shape: VectorShape, value_range: tuple[float, float] | None, columns: Sequence[str]
    ) -> dict[str, Any]:
        """The number of features and, if they have some, their names."""
        return {"features": shape.features, **({"columns": list(columns)} if columns else {})}

    def columns(self, preprocessing: object, shape: VectorShape) -> tuple[str, ...]:
        """The field `columns`, if there is one: a different name for each feature."""
        if not isinstance(preprocessing, dict) or "columns" not in preprocessing:
            return ()
        names = preprocessing["columns"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ModelFileError("its columns are not a list of names")
        if len(names) != shape.features or len(set(names)) < len(names):
            raise ModelFileError(f"it does not name each of {shape.features} columns once")
        return tuple(names)

    def vocabulary(self, described: object, shape: VectorShape) -> None:
        """None."""
        if described is not None:
            raise ModelFileError("it has a vocabulary, but is not a text model")

    def described_vocabulary(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        """None."""
        return {}

    def check_baselines(self, baselines: Mapping[str, Sequence[int]], shape: VectorShape) -> None:
        """Refuses all: a model file holds baselines of text only."""
        for name in baselines:
            raise ModelFileError(f"training.baselines.{shown(name)} is not a text of it")

    def activation_floats(
        self, config: ModelConfig, shape: VectorShape, encoded: int | None, classes: int
    ) -> int:
        """Those of the layers."""
        below = shape.features if encoded is None else encoded
        widths = [below, *(config.hidden or ()), *([classes] if classes else [])]
        of_code = RULES[config.sparsity].floats
        return floats_of_layers(widths, shape.features, of_code, False, not classes)

    def measuring_floats(self, shape: VectorShape) -> int:
        """The first vector as 32-bit floats, and the sum of all as 64-bit floats."""
        return 3 * shape.features
