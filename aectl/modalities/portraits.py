"""A model's section of a report page: facts about it and its training, and its inspection."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aectl.modalities import modality_of

if TYPE_CHECKING:
    from aectl.modalities.measurement import Measurement
    from aectl.models.model_card import ModelCard
    from aectl.outputs.page import Portrait

FACTS = {
    "images": "training images",
    "patches": "training patches",
    "texts": "training texts",
    "vectors": "training vectors",
    "seconds": "training seconds",
    "device": "device",
    "threads": "threads",
    "finished": "finished",
    "data_sha256": "data, SHA-256",
}
"""Facts about the training in a model's card, and their titles on the page."""


def portrait(
    name: str,
    measured_on: str,
    measurement: "Measurement",
    inspection: Any,
    metrics: Sequence[Mapping[str, float]],
    methods: Sequence[str] = (),
) -> "Portrait":
    """A model's section of a page, from its metrics and its inspection."""
    from aectl.outputs.page import Portrait

    card, measured = measurement.card, measurement.collected
    unknown = getattr(measured, "unknown", None)
    left_out = f"; {unknown.total():,} of unknown classes left out" if unknown else ""
    of_code = None if card.classes else measured
    options, noun = card.options, measurement.modality.noun
    return Portrait(
        name,
        facts(card),
        str(card.training.get("command", "")),
        metrics,
        measurement.metrics(),
        f"measured on {measurement.count:,} {noun} of {measured_on}{left_out}",
        noun,
        measurement.progress.awaited(
            partial(inspection.findings, of_code, methods), "drawing the page"
        ),
        card.classes,
        options.get("rho") if options.get("sparsity") == "kl" else None,
    )


def facts(card: "ModelCard") -> dict[str, str]:
    """Titles and texts of the facts about a model and its training."""
    said, options = card.training, card.options
    network = card.architecture
    below = f" on the code of a trained {network.encoder.kind}" if network.encoder else ""
    versions = said.get("versions", {})
    lines = {
        "network": f"{network.kind}{below}, {modality_of(card).network(network)}",
        "trained on": " ".join(card.trained_on),
        "epochs, seed": f"{options.get('epochs', '?')}, {options.get('seed', '?')}",
        **{title: str(said.get(name, "")) for name, title in FACTS.items()},
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "weights, SHA-256": card.weights_sha256 or "",
    }
    return {title: text for title, text in lines.items() if text}
