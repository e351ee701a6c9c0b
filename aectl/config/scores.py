"""The anomaly scores that `--score` names: a new one is a new row, with a class.

The rows name the classes, so that the options can list the scores before any library is loaded.
"""

from collections.abc import Collection
from typing import NamedTuple

from aectl.config.declaration import near_miss
from aectl.errors import ConfigError

ERROR, CODE, DIFFERENCE, PLACES, MAP = "error", "code", "difference", "places", "map"
REGION, DISSIMILARITY = "region", "dissimilarity"
"""Evidence that scores are made of: the error of a reconstruction; the code as a vector; the
difference between a vector and its reconstruction; the code at each place of an image; of a
reconstructed image, the error of each pixel, and the error and the structural dissimilarity of its
worst regions."""

OF_ALL = ERROR, CODE
OF_VECTORS = *OF_ALL, DIFFERENCE
OF_IMAGES = *OF_ALL, MAP, REGION, DISSIMILARITY

CALLED = {
    ERROR: "reconstructions",
    CODE: "codes that are vectors",
    DIFFERENCE: "reconstructed vectors",
    PLACES: "a code at each place of an image",
    MAP: "reconstructed images",
    REGION: "reconstructed images",
    DISSIMILARITY: "reconstructed images",
}
"""The evidence, as messages name it."""

MARKED_BY = {
    MAP: "aectl.inference.unusual_region:HighestPixel",
    PLACES: "aectl.inference.unusual_places:HighestPlace",
}
"""The scores whose thresholds mark what is unusual in an image, by the evidence that heat maps are
made of."""


class ScoreTraits(NamedTuple):
    """An anomaly score: its class, `inference.anomaly_scores.AnomalyScore`, the evidence that it
    is made of, whether it compares an input with reference inputs, whether it combines all other
    scores that a model has, and whether a detector with it can be exported."""

    made_by: str
    needs: tuple[str, ...]
    fitted: bool
    combines: bool = False
    exported: bool = True


SCORES = {
    "error": ScoreTraits("aectl.inference.anomaly_scores:ReconstructionError", (ERROR,), False),
    "region": ScoreTraits(
        "aectl.inference.anomaly_scores:WorstRegions", (REGION,), False, exported=False
    ),
    "unusual-region": ScoreTraits("aectl.inference.unusual_region:UnusualRegion", (MAP,), True),
    "ssim": ScoreTraits(
        "aectl.inference.anomaly_scores:Dissimilarity", (DISSIMILARITY,), False, exported=False
    ),
    "mahalanobis": ScoreTraits("aectl.inference.code_distances:Mahalanobis", (CODE,), True),
    "neighbours": ScoreTraits("aectl.inference.code_distances:Neighbours", (CODE,), True),
    "cosine": ScoreTraits("aectl.inference.code_distances:Cosine", (CODE,), True),
    "places": ScoreTraits("aectl.inference.unusual_places:UnusualPlaces", (PLACES,), True),
    "code-and-error": ScoreTraits(
        "aectl.inference.code_distances:CodeAndError", (CODE, DIFFERENCE), True
    ),
    "fisher": ScoreTraits(
        "aectl.inference.fisher:Fisher", OF_ALL, True, combines=True, exported=False
    ),
}

USUAL_ALARM_RATE = 0.01
LEAST_ALARM_RATE = 1e-9


def combined(given: Collection[str]) -> list[str]:
    """The scores that others combine, of a model that gives some evidence."""
    return [
        name
        for name, traits in SCORES.items()
        if not traits.combines and set(traits.needs) <= {*given}
    ]


def needed(name: str, given: Collection[str]) -> set[str]:
    """The evidence that a score is made of, of a model that gives some."""
    parts = combined(given) if SCORES[name].combines else [name]
    return {one for part in parts for one in SCORES[part].needs}


def mapped(name: str) -> str:
    """The evidence that heat maps are made of with a score."""
    return PLACES if SCORES[name].needs == (PLACES,) else MAP


def refuse_score(name: str, given: Collection[str], model: str) -> None:
    """Raises ConfigError for a score that does not exist, or that needs other evidence than the
    `given` one of a model."""
    if name not in SCORES:
        known = ", ".join(SCORES)
        raise ConfigError(f"no score '{name}'{near_miss(name, SCORES)}; --score is one of {known}")
    for one in SCORES[name].needs:
        if one not in given:
            raise ConfigError(f"--score {name} needs {CALLED[one]}, which {model} does not have")


def refuse_alarm_rate(rate: float) -> None:
    """Raises ConfigError for a rate that is no probability, or that no normal inputs support."""
    if not 0 < rate < 1:
        raise ConfigError(f"--alarm-rate must lie between 0 and 1, both excluded; {rate:g} given")
    if rate < LEAST_ALARM_RATE:
        raise ConfigError(f"--alarm-rate must be at least {LEAST_ALARM_RATE:g}; {rate:g} given")
