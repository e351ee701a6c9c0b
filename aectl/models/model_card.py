"""The card of a model: all that its file contains besides the weights, as JSON."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aectl.config.exports import AUTOENCODER, CLASSIFIER, DECODER, DETECTOR, ENCODER
from aectl.config.kinds import KINDS
from aectl.config.scores import SCORES
from aectl.config.shapes import Shape
from aectl.errors import ConfigError, ModelFileError
from aectl.models import metadata, training_record
from aectl.models.architecture import Architecture
from aectl.models.calibration import Calibration
from aectl.models.vocabulary import Vocabulary

FORMAT_VERSION = 5
"""Version 1 had no digest of the description; 1 and 2 gave text a shape of images; up to 3, the
kind of model settled the kind of input; up to 4, no model was calibrated."""

FIELDS = (
    "format_version", "kind", "architecture", "preprocessing", "classes", "training", "vocabulary",
    "calibration", "weights_sha256", metadata.DIGEST,
)  # fmt: skip


@dataclass(frozen=True)
class ModelCard:
    """The content of a model file besides its weights.

    `value_range`: the values of black and white in image files whose format does not define them;
    `classes`: the names of a classifier's classes; `vocabulary`: that of a model of text;
    `training`: the options, the data and the versions of the training run, as JSON values;
    `weights_sha256`: the `digest` of the weights, if the file has one; `format_version`: that of
    the file, or the current one; `columns`: the names of the features of vectors, if they have
    some; `calibration`: that of an anomaly score, if it is calibrated.
    """

    architecture: Architecture
    classes: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str | None = None
    vocabulary: Vocabulary | None = None
    value_range: tuple[float, float] | None = None
    columns: tuple[str, ...] = ()
    calibration: Calibration | None = None
    format_version: int = FORMAT_VERSION

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the model's input images."""
        return self.architecture.shape

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the model that can be exported; the first is the default."""
        if self.classes:
            return (CLASSIFIER,)
        pooled = KINDS[self.architecture.kind].pooled
        whole = () if self.architecture.stacked else (AUTOENCODER,)
        found = self.calibration
        detects = found is not None and found.score in SCORES and SCORES[found.score].exported
        return ENCODER, *whole, *(DECODER,) * (not pooled), *(DETECTOR,) * detects

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the training; empty if the file does not contain them."""
        options: Mapping[str, Any] = self.training.get("options", {})
        return options

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The words that name the training data; empty if the file does not contain them."""
        words = self.options.get("dataset", ())
        return tuple(filter(None, [words] if isinstance(words, str) else words))

    @property
    def models_before(self) -> tuple[str, ...]:
        """The models that this one was made from, which learnt from data that it does not name."""
        return tuple(filter(None, (self.options.get(name) for name in ("load", "encoder"))))

    @property
    def held_out(self) -> frozenset[str]:
        """The digests of the paths of the files that were held out; empty if that is unknown."""
        return frozenset(self.training.get(training_record.HELD_OUT, ()))

    def to_json(self) -> dict[str, Any]:
        """The content of the metadata's key `aectl`."""
        spec, shape = self.architecture.input_spec, self.architecture.input
        digest = {"weights_sha256": self.weights_sha256} if self.weights_sha256 else {}
        calibration = {"calibration": self.calibration.to_json()} if self.calibration else {}
        return {
            "format_version": self.format_version,
            "kind": self.architecture.kind,
            "architecture": self.architecture.to_json(),
            "preprocessing": spec.preprocessing(shape, self.value_range, self.columns),
            "classes": self.classes,
            "training": self.training,
            **spec.described_vocabulary(self.vocabulary),
            **calibration,
            **digest,
        }

    @classmethod
    def from_json(cls, described: object) -> "ModelCard":
        """The inverse of `to_json`. Raises ModelFileError for anything else."""
        if not isinstance(described, dict):
            raise ModelFileError("its description is not a JSON object")
        version = _version(described.get("format_version"))
        metadata.refuse_unknown(described, FIELDS, "its description")
        _sha256(described.get(metadata.DIGEST))
        try:
            architecture = Architecture.from_json(described.get("architecture"))
        except ConfigError as error:
            raise ModelFileError(f"its architecture is invalid: {error}") from None
        spec = architecture.input_spec
        card = cls(
            architecture,
            _classes(described.get("classes"), architecture.classes),
            training_record.checked(described.get("training")),
            _sha256(described.get("weights_sha256")),
            spec.vocabulary(described.get("vocabulary"), architecture.input),
            _value_range(described.get("preprocessing")),
            spec.columns(described.get("preprocessing"), architecture.input),
            Calibration.from_json(described.get("calibration")),
            version,
        )
        spec.check_baselines(card.training.get("baselines", {}), architecture.input)
        wanted = card.to_json()
        for name in ("kind", "preprocessing"):
            if described.get(name) != wanted[name]:
                raise ModelFileError(f"its {name} does not fit its architecture")
        return card


def _version(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ModelFileError(f"its format version is {metadata.shown(value)}")
    if value > FORMAT_VERSION:
        raise ModelFileError(
            f"it has format version {value}, and this aectl reads up to"
            f" {FORMAT_VERSION}: update aectl to read it"
        )
    return value


def _classes(value: object, count: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ModelFileError("its classes are not a list of names")
    if len(value) != count:
        raise ModelFileError(f"it names {len(value)} classes for {count} outputs")
    if len(set(value)) != count:
        raise ModelFileError("two of its classes have the same name")
    return tuple(value)


def _sha256(value: object) -> str | None:
    if value is None or (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)):
        return value
    raise ModelFileError(f"{metadata.shown(value)} is not a SHA-256 digest")


def _value_range(preprocessing: object) -> tuple[float, float] | None:
    """The values of black and white; older files have none. Raises ModelFileError."""
    if not isinstance(preprocessing, dict) or "value_range" not in preprocessing:
        return None
    given = preprocessing["value_range"]
    if (
        not isinstance(given, list)
        or len(given) != 2
        or not all(type(value) is float and math.isfinite(value) for value in given)
        or not given[0] < given[1]
    ):
        raise ModelFileError(f"its value range is {given!r}, not two increasing numbers")
    return given[0], given[1]
