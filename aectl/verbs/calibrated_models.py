"""Models that keep the calibration of an anomaly score in their files."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config.scores import SCORES, USUAL_ALARM_RATE, mapped, needed, refuse_score
from aectl.errors import DataError, ModelFileError
from aectl.modalities import modality_of
from aectl.models import model_file
from aectl.models.calibration import NORMAL, PIXELS, Calibration, size_in_json

if TYPE_CHECKING:
    from torch import Tensor

    from aectl.inference.anomaly_scores import AnomalyScore
    from aectl.inference.calibrating import Calibrated
    from aectl.models.model_card import ModelCard
    from aectl.training.run import Run


def calibrated_card(
    card: "ModelCard", found: "Calibrated", score: str, alarm_rate: float, words: Sequence[str]
) -> "ModelCard":
    """The card of a model with its calibration on normal inputs that words name."""
    spec, shape = card.architecture.input_spec, card.architecture.input
    calibration = Calibration(
        score, float(alarm_rate), len(found.normal), found.fitted_to, tuple(words),
        size_in_json(spec.sizes(shape)),
    )  # fmt: skip
    return dataclasses.replace(card, calibration=calibration)


def tensors_of(found: "Calibrated") -> "Mapping[str, Tensor]":
    """The tensors of a calibration, as a model file has them."""
    import torch

    own = {NORMAL: torch.from_numpy(found.normal.scores), **found.score.tensors()}
    of_pixels = tensors_of(found.pixels) if found.pixels else {}
    return own | {f"{PIXELS}{name}": tensor for name, tensor in of_pixels.items()}


def calibration_of(path: Path, card: "ModelCard") -> "Calibrated":
    """The calibration that a model file keeps. Raises ModelFileError, and ConfigError for a score
    that does not exist."""
    from aectl.inference.anomaly_scores import marking_score, score_named

    assert card.calibration is not None
    name, given = card.calibration.score, modality_of(card).evidence(card)
    refuse_score(name, given, str(path))
    tensors = dict(model_file.load_calibration(path))
    of_pixels = {name: tensors.pop(name) for name in [*tensors] if name.startswith(PIXELS)}
    try:
        card.calibration.refuse_other_size(card.architecture.input_spec.sizes(card.shape))
        found = _restored(score_named(name, given), tensors)
        pixels = None
        if of_pixels:
            named = {name.removeprefix(PIXELS): tensor for name, tensor in of_pixels.items()}
            pixels = _restored(marking_score(mapped(card.calibration.score)), named)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    return found._replace(fitted_to=card.calibration.fitted_to, pixels=pixels)


def _restored(score: "AnomalyScore", tensors: "dict[str, Tensor]") -> "Calibrated":
    """A score with its tensors and those of its normal scores. Raises ModelFileError."""
    from aectl.inference.calibrating import Calibrated
    from aectl.inference.conformal import NormalScores

    normal = tensors.pop(NORMAL, None)
    if normal is None or normal.ndim != 1 or not len(normal):
        raise ModelFileError("its calibration has no scores of normal inputs")
    score.restore(tensors)
    return Calibrated(score, NormalScores.of(normal.numpy()), 0, [])


def calibration_of_run(run: "Run", card: "ModelCard") -> "Calibrated | None":
    """The calibration of a trained model on what it held out, with the usual score, fitted to what
    it learnt; None where nothing was held out, another model may have learnt from it before, or it
    fails, and then `run.uncalibrated` tells why."""
    if not _may_calibrate(run, card) or card.models_before:
        return None
    try:
        return _calibration(run, card)
    except (ModelFileError, DataError) as error:  # weights that overflow, too few inputs
        run.uncalibrated = str(error)
        return None


def _calibration(run: "Run", card: "ModelCard") -> "Calibrated":
    """The same. Raises DataError for too few inputs, and ModelFileError for weights that
    overflow."""
    from aectl.inference.anomaly_scores import Evidence, score_named
    from aectl.inference.apply import on_device
    from aectl.inference.calibrating import Calibrating

    modality, network = modality_of(card), run.network
    name, given = modality.usual_score(card), modality.evidence(card)
    score, needs, count = score_named(name, given), needed(name, given), 0
    to_tensor: Any = on_device(network, run.device, partial(modality.tensor, network))
    if SCORES[name].fitted:
        learnt = modality.examine(network, modality.learnt(run, card), to_tensor, needs)
        reference = Evidence.joined([one.evidence for one in learnt]).finite()
        count = reference.inputs
        score.fit(reference)
    calibrating = Calibrating(score, False, needs)
    for examined in modality.examine(network, modality.held_out(run, card), to_tensor, needs):
        calibrating.add(examined)
    return calibrating.result()._replace(fitted_to=count)


def left_uncalibrated(run: "Run") -> str | None:
    """A notice where a trained model is not calibrated on what it held out: another model may have
    learnt from it before, or calibrating failed."""
    card, why = run.card(), run.uncalibrated
    if _may_calibrate(run, card) and card.models_before:
        before = " and ".join(card.models_before)
        why = f"{before} may have learnt from what was held out"
    return why and f"not calibrated: {why}; aectl detect --calibrate takes other normal inputs"


def _may_calibrate(run: "Run", card: "ModelCard") -> bool:
    """Whether training calibrates a model: an autoencoder that holds out inputs."""
    return not card.classes and len(run.held_out) > 0


def card_of_run(card: "ModelCard", found: "Calibrated") -> "ModelCard":
    """The card of a trained model that is calibrated on what it held out."""
    words = [f"{word}, held out" for word in card.trained_on]
    score = modality_of(card).usual_score(card)
    return calibrated_card(card, found, score, USUAL_ALARM_RATE, words)
