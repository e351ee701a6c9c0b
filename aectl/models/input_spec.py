"""The interface of inputs, as networks take them: their description in files, and their memory."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from aectl.config.model_options import ModelConfig
from aectl.models.vocabulary import Vocabulary

S = TypeVar("S")


class InputSpec(ABC, Generic[S]):
    """The inputs of a modality, with shapes of type S.

    All that reads a description raises ModelFileError for an invalid one.
    """

    @abstractmethod
    def shape(self, sizes: Mapping[str, object]) -> S:
        """The shape in the description of an architecture; absent `sizes` are None."""

    @abstractmethod
    def sizes(self, shape: S) -> dict[str, Any]:
        """The fields of a description that `shape` reads."""

    @abstractmethod
    def preprocessing(
        self, shape: S, value_range: tuple[float, float] | None, columns: Sequence[str]
    ) -> dict[str, Any]:
        """The conversion of a file to an input, as a model file records it; `columns`: the names of
        the features, if they have some."""

    def columns(self, preprocessing: object, shape: S) -> tuple[str, ...]:
        """The names of the features in a model file, if the inputs have some."""
        return ()

    @abstractmethod
    def vocabulary(self, described: object, shape: S) -> Vocabulary | None:
        """The vocabulary in a model file, if the inputs have one; `described` is None without."""

    @abstractmethod
    def described_vocabulary(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        """The field of a model file that `vocabulary` reads, if the inputs have one."""

    @abstractmethod
    def check_baselines(self, baselines: Mapping[str, Sequence[int]], shape: S) -> None:
        """Raises ModelFileError if a baseline in a model file is no output of the model."""

    def check(self, config: ModelConfig, shape: S) -> None:
        """Raises ConfigError for options of a network that inputs of a shape do not allow."""

    def code_size(self, config: ModelConfig, shape: S) -> int:
        """The number of units of a resolved autoencoder's code, or of features made of it."""
        assert config.hidden
        return config.hidden[-1]

    @abstractmethod
    def activation_floats(
        self, config: ModelConfig, shape: S, encoded: int | None, classes: int
    ) -> int:
        """Upper bound of the floats in memory at once while one input is encoded and decoded,
        besides the weights: the input, and the values in and around the largest layer.

        With an encoder before the network, whose own floats are not included, `encoded` is the
        width of its code.
        """

    @abstractmethod
    def measuring_floats(self, shape: S) -> int:
        """Floats for measuring the reconstruction of one input, in addition to the activations."""
