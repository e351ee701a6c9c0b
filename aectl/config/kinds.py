"""The kinds of model that `--model` names, with their traits: a new kind is a new row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

IMAGES, TEXT = "images", "text"
"""The modalities: kinds of input."""

VECTOR = "vector"

WIDEST_CLASSIFIER = 2048

Widths = Callable[[int, float | None], tuple[int, ...]]
"""Gives the default widths of the hidden layers from the width of the input and the factor by which
the code is narrower, if one is given."""


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    - `modalities`: the possible kinds of input.
    - `has_code`: whether it encodes and reconstructs; otherwise it predicts classes.
    - `convolutional`: whether all widths but the last are numbers of channels.
    - `full_batch`: whether `--optimizer lbfgs` can train it; `auxiliary`: whether `--aux-k` can.
    - `fewest_widths`: the minimum number of hidden layers.
    - `usual_widths`: their default widths; if these depend only on the bottleneck, `bottlenecks`
      holds them instead.
    """

    modalities: tuple[str, ...]
    has_code: bool
    convolutional: bool = False
    full_batch: bool = True
    auxiliary: bool = True
    fewest_widths: int = 1
    usual_widths: Widths | None = None
    bottlenecks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def widths(self, width: int, factor: float | None, bottleneck: str) -> tuple[int, ...]:
        """The default widths of the hidden layers, for an input of `width` numbers."""
        if self.usual_widths is None:
            return self.bottlenecks[bottleneck]
        return self.usual_widths(width, factor)


def _code(width: int, factor: float) -> int:
    return max(1, round(width / factor))


KINDS: dict[str, Kind] = {
    "autoencoder": Kind(
        (IMAGES,), has_code=True, usual_widths=lambda width, factor: (_code(width, factor or 2),)
    ),
    "conv-autoencoder": Kind(
        (IMAGES,),
        has_code=True,
        convolutional=True,
        fewest_widths=2,
        usual_widths=lambda width, factor: (32, 64, _code(width, factor or 8)),
    ),
    "classifier": Kind(
        (IMAGES, TEXT),
        has_code=False,
        fewest_widths=0,
        usual_widths=lambda width, _: (min(2 * width, WIDEST_CLASSIFIER),) * 2,
    ),
    "text-autoencoder": Kind(
        (TEXT,),
        has_code=True,
        full_batch=False,
        auxiliary=False,
        bottlenecks={VECTOR: (256, 256), TEXT: (256,)},
    ),
}


def names() -> tuple[str, ...]:
    """The names of all kinds."""
    return tuple(KINDS)


def with_a_code() -> tuple[str, ...]:
    """The kinds that encode and reconstruct."""
    return tuple(name for name, kind in KINDS.items() if kind.has_code)


def of_classes() -> tuple[str, ...]:
    """The kinds that predict classes."""
    return tuple(name for name, kind in KINDS.items() if not kind.has_code)


def bottlenecks() -> tuple[str, ...]:
    """The bottlenecks between encoder and decoder that some kind can have."""
    return tuple(dict.fromkeys(way for kind in KINDS.values() for way in kind.bottlenecks))


def reading(modality: str) -> tuple[str, ...]:
    """The kinds of model whose input can be of a modality."""
    return tuple(name for name, kind in KINDS.items() if modality in kind.modalities)


def encoding(modality: str) -> tuple[str, ...]:
    """The kinds of model that encode a modality."""
    return tuple(name for name in reading(modality) if KINDS[name].has_code)
