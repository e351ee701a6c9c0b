"""The kinds of model that `--model` names, with their traits: a new kind is a new row.

Its network is a row of `models.build.NETWORKS`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from math import prod

from aectl.config.shapes import Sides, halved

IMAGES, TEXT, VECTORS = "images", "text", "vectors"
"""The modalities: kinds of input."""

VECTOR, MAP, SHORTER_TEXT, WORDS = "vector", "map", "text", "words"
"""The bottlenecks: a code is a vector, a map (channels, height, width), a shorter text, or some of
the text's own words."""

SHORTER = WORDS, SHORTER_TEXT
"""Bottlenecks that are texts."""

FORMER = {SHORTER_TEXT: WORDS}
"""Bottlenecks that only models of older versions have, each with the one that took its place."""

CHOICES = "learnt", "first", "random", "idf"
"""The ways to choose words of a text."""

WIDEST, WIDEST_CLASSIFIER = 1_000_000, 2048
"""The maximum width of a layer, and of the default layers of a classifier."""

USUAL_UNITS = 400
"""Units of a code of patches."""

USUAL_MAPS = 64, 64
"""Maps of each convolution of a winner-take-all autoencoder."""

MAP_STAGES, FEWEST_CHANNELS = 3, 3
"""The default stages of a map: at least so many, and more for a code of fewer channels."""

MOST_PLACES, WIDEST_CODE = 64, 2048
"""The default stages of a convolutional vector end at so many places; its width is bounded too."""

DENSE_FACTOR, VECTOR_FACTOR, MAP_FACTOR = 2.0, 8.0, 16.0

USUAL_LR = 0.003

Widths = Callable[[int, Sides, float | None], tuple[int, ...]]
"""Gives the default widths of the hidden layers from the width of the input, the height and the
width of an image, and the factor by which the code is narrower (None: the usual one)."""


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    - `modalities`: the possible kinds of input.
    - `has_code`: whether it encodes and reconstructs; otherwise it predicts classes.
    - `convolutional`: whether all widths but the last are numbers of channels; `map_widths` and
      `map_factor`: the default widths and factor where the code is a map.
    - `dropout`: whether its layers can have dropout.
    - `mirrored`: whether each layer of the decoder has a counterpart in the encoder, so that it can
      use its weights (`--tied`); `stacked`: whether it can be trained with it alone (`--stack`).
    - `full_batch`: whether `--optimizer lbfgs` can train it; `auxiliary`: whether `--aux-k` can.
    - `patches`: whether it is trained on whitened patches of images, and not on whole images.
    - `winners`: whether its code is maps in each of which one activation wins.
    - `pooled`: whether its features are pooled over places of an image, and so cannot be decoded.
    - `lr_of_k`: the default learning rate of codes of which k units stay active.
    - `fewest_widths`: the minimum number of hidden layers.
    - `usual_widths`: their default widths, `widths_text` in words; if these depend only on the
      bottleneck, `bottlenecks` holds them instead. `factor`: the default factor by which the code
      is narrower than the input.
    - `defaults`: the defaults of options that differ from those of other kinds.
    """

    modalities: tuple[str, ...]
    has_code: bool
    convolutional: bool = False
    dropout: bool = False
    mirrored: bool = False
    stacked: bool = False
    patches: bool = False
    winners: bool = False
    pooled: bool = False
    full_batch: bool = True
    auxiliary: bool = True
    lr_of_k: float = USUAL_LR
    fewest_widths: int = 1
    usual_widths: Widths | None = None
    widths_text: str = ""
    factor: float = 1.0
    map_widths: Widths | None = None
    map_factor: float = 1.0
    bottlenecks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)

    @property
    def codes(self) -> tuple[str, ...]:
        """The possible bottlenecks, also those that only models of older versions have."""
        return (MAP, VECTOR) if self.map_widths else tuple(self.bottlenecks) or (VECTOR,)

    def widths(
        self, width: int, factor: float | None, bottleneck: str, sides: Sides = (1, 1)
    ) -> tuple[int, ...]:
        """The default widths of the hidden layers, for an input of `width` numbers; an image has
        these `sides`.
        """
        if bottleneck == MAP and self.map_widths:
            return self.map_widths(width, sides, factor)
        if self.usual_widths is None:
            return self.bottlenecks[bottleneck]
        widths = self.usual_widths(width, sides, factor)
        return widths if factor else tuple(min(WIDEST, one) for one in widths)


def places(sides: Sides, stages: int) -> int:
    """The number of places of a map after a number of halving stages."""
    return prod(halved(side, stages) for side in sides)


def _code(width: float, factor: float) -> int:
    return max(1, round(width / factor))


def _channels() -> Iterator[int]:
    """The default channels of the halving stages."""
    yield from (32, 64)
    while True:
        yield 128


def _map_widths(width: int, sides: Sides, factor: float | None) -> tuple[int, ...]:
    """Three stages, or more if the code would have fewer than three channels."""
    code = width / (factor or MAP_FACTOR)
    for stages in count(MAP_STAGES):
        there = places(sides, stages)
        if there == 1 or code / there >= FEWEST_CHANNELS:
            break
    return *islice(_channels(), stages), _code(code, there)


def _vector_widths(width: int, sides: Sides, factor: float | None) -> tuple[int, ...]:
    """Two stages, or more until a bounded number of places is left for the dense layer."""
    stages = next(number for number in count(2) if places(sides, number) <= MOST_PLACES)
    code = _code(width, factor or VECTOR_FACTOR)
    return 32, *[64] * (stages - 1), code if factor else min(code, WIDEST_CODE)


KINDS: dict[str, Kind] = {
    "autoencoder": Kind(
        (IMAGES, VECTORS),
        has_code=True,
        dropout=True,
        mirrored=True,
        stacked=True,
        usual_widths=lambda width, _, factor: (_code(width, factor or DENSE_FACTOR),),
        widths_text="half the input's width",
        factor=DENSE_FACTOR,
    ),
    "conv-autoencoder": Kind(
        (IMAGES,),
        has_code=True,
        convolutional=True,
        fewest_widths=2,
        usual_widths=_vector_widths,
        widths_text="32, 64, 128 and as many channels as give a sixteenth of it (--bottleneck "
        "vector: 32, 64 and an eighth, at most 2,048)",
        factor=VECTOR_FACTOR,
        map_widths=_map_widths,
        map_factor=MAP_FACTOR,
        defaults={"bottleneck": MAP},
    ),
    "patch-autoencoder": Kind(
        (IMAGES,),
        has_code=True,
        dropout=True,
        mirrored=True,
        patches=True,
        pooled=True,
        usual_widths=lambda *_: (USUAL_UNITS,),
        widths_text=str(USUAL_UNITS),
        defaults={"sparsity": "omp-1", "batch_size": 1000, "lr": 0.01, "whitening": 0.5},
    ),
    "conv-wta-autoencoder": Kind(
        (IMAGES,),
        has_code=True,
        winners=True,
        pooled=True,
        full_batch=False,
        usual_widths=lambda *_: USUAL_MAPS,
        widths_text=", ".join(map(str, USUAL_MAPS)),
        defaults={
            "sparsity": "wta",
            "rate": 0.2,
            "center": False,
            "features": "code",
            "pool": "max",
            "grid": (7, 7),
            "overlap": 1,
            "batch_size": 100,
            "lr": 0.002,
        },
    ),
    "classifier": Kind(
        (IMAGES, TEXT, VECTORS),
        has_code=False,
        dropout=True,
        fewest_widths=0,
        usual_widths=lambda width, *_: (min(2 * width, WIDEST_CLASSIFIER),) * 2,
        widths_text=f"two layers of twice the input's width, at most {WIDEST_CLASSIFIER:,}",
        defaults={"dropout": 0.5, "lr": 0.001},
    ),
    "text-autoencoder": Kind(
        (TEXT,),
        has_code=True,
        full_batch=False,
        auxiliary=False,
        lr_of_k=0.0015,
        bottlenecks={VECTOR: (256, 256), WORDS: (256,), SHORTER_TEXT: (256,)},
        widths_text="256, 256 (--bottleneck words: 256)",
        defaults={"code_activation": "tanh", "clip_grad": 20.0, "batch_size": 128},
    ),
}

USUAL = "autoencoder"
"""The default kind."""


def modalities() -> tuple[str, ...]:
    """The kinds of input that some kind of model reads."""
    return tuple(dict.fromkeys(one for kind in KINDS.values() for one in kind.modalities))


def usual_modality(kind: str) -> str:
    """The kind of input that a kind of model reads, or the usual one of several; of a kind that
    does not exist, which the config refuses, that of the default."""
    return KINDS.get(kind, KINDS[USUAL]).modalities[0]


def of_several_modalities() -> tuple[str, ...]:
    """The kinds of model that can read one of several kinds of input."""
    return tuple(name for name, kind in KINDS.items() if len(kind.modalities) > 1)


def with_a_code() -> tuple[str, ...]:
    """The kinds that encode and reconstruct."""
    return tuple(name for name, kind in KINDS.items() if kind.has_code)


def classifiers() -> tuple[str, ...]:
    """The kinds that predict classes."""
    return tuple(name for name, kind in KINDS.items() if not kind.has_code)


def bottlenecks() -> tuple[str, ...]:
    """The bottlenecks between encoder and decoder that some kind can be trained with."""
    ways = (way for kind in KINDS.values() for way in kind.codes if way not in FORMER)
    return tuple(dict.fromkeys(ways))


def choosing_bottleneck() -> tuple[str, ...]:
    """The kinds that can have one of several bottlenecks."""
    return tuple(name for name, kind in KINDS.items() if len(kind.codes) > 1)


def standing_on_encoders() -> tuple[str, ...]:
    """The kinds whose input can be what another model encodes."""
    return tuple(name for name, kind in KINDS.items() if kind.pooled or not kind.has_code)


def reading(modality: str) -> tuple[str, ...]:
    """The kinds of model whose input can be of a modality."""
    return tuple(name for name, kind in KINDS.items() if modality in kind.modalities)


def encoding(modality: str) -> tuple[str, ...]:
    """The kinds of model that encode a modality."""
    return tuple(name for name in reading(modality) if KINDS[name].has_code)


def reading_pixels() -> tuple[str, ...]:
    """The kinds of model that are trained on the pixels of whole images."""
    return tuple(name for name in reading(IMAGES) if not KINDS[name].patches)


def encoding_pixels() -> tuple[str, ...]:
    """The kinds of model that encode images, trained on their pixels."""
    return tuple(name for name in reading_pixels() if KINDS[name].has_code)


def narrowing() -> tuple[str, ...]:
    """The kinds of model of images whose code has a default width that follows from the input."""
    return tuple(name for name in encoding_pixels() if not KINDS[name].pooled)


def of_any_size() -> tuple[str, ...]:
    """The kinds of model of images whose weights need not follow from the size of an image."""
    return tuple(name for name in encoding(IMAGES) if KINDS[name].map_widths or KINDS[name].patches)


def dense() -> tuple[str, ...]:
    """The kinds of model that encode images, with a weight for each pixel and unit."""
    return tuple(name for name in narrowing() if name not in of_any_size())


def defaults(option: str) -> tuple[tuple[str, str, object], ...]:
    """The defaults of an option that differ between kinds of model, as `Option.instead`."""
    return tuple(
        ("model", name, kind.defaults[option])
        for name, kind in KINDS.items()
        if option in kind.defaults
    )


def widths_text() -> str:
    """The default widths of the hidden layers of every kind, in words."""
    told = {name: kind.widths_text for name, kind in KINDS.items() if kind.widths_text}
    return "; ".join(text if name == USUAL else f"{name}: {text}" for name, text in told.items())


def factors_text() -> str:
    """The default factors by which codes are narrower than the input, in words."""
    usual = KINDS[USUAL].factor
    others = [
        f"{kind.map_factor:g} with --model {name} ({kind.factor:g} with --bottleneck {VECTOR})"
        for name, kind in KINDS.items()
        if kind.map_widths
    ]
    return "; ".join([f"{usual:g}", *others])
