"""Damaged model files: bytes, headers that lie, descriptions that are none, wrong types."""

import copy
import json
import math
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
import typed_models
from damage import DAMAGES

from aectl.config.model_options import ModelConfig
from aectl.config.scores import OF_IMAGES
from aectl.config.shapes import TextShape
from aectl.inference.anomaly_scores import Evidence, score_named
from aectl.models import model_file
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.calibration import Calibration
from aectl.models.model_card import ModelCard
from aectl.models.vocabulary import Vocabulary

SHAPE = (1, 6, 5)
DENSE = Architecture(ModelConfig(hidden=(7, 3), dropout=0.1), SHAPE)
WORDS = Vocabulary.learnt(["one word and another word"], 300)
OF_TEXTS = ModelConfig(model="text-autoencoder", hidden=(4, 3))
TEXT_SHAPE = TextShape(5, len(WORDS))
THROUGH_VECTOR = Architecture(OF_TEXTS, TEXT_SHAPE)
THROUGH_TEXT = ModelConfig(model="text-autoencoder", hidden=(4,), bottleneck="text")
KEPT_WORDS = ModelConfig(model="text-autoencoder", hidden=(4,), bottleneck="words")
ARCHITECTURES = (
    DENSE,
    Architecture(ModelConfig(hidden=(6,), tied=True, sparsity="topk", k=2), SHAPE),
    Architecture(ModelConfig(hidden=(6,), sparsity="batch-topk", k=2), SHAPE),
    Architecture(ModelConfig(hidden=(6,), sparsity="jumprelu"), SHAPE),
    Architecture(ModelConfig(model="conv-autoencoder", hidden=(4, 3)), (3, 8, 6)),
    Architecture(
        ModelConfig(
            model="conv-wta-autoencoder",
            hidden=(4, 3),
            sparsity="wta",
            features="code",
            whitening=0.1,
        ),
        SHAPE,
    ),
    Architecture(ModelConfig(model="classifier", hidden=(4,)), SHAPE, 10, DENSE),
    THROUGH_VECTOR,
    Architecture(THROUGH_TEXT, TEXT_SHAPE),
    Architecture(KEPT_WORDS, TEXT_SHAPE),
    Architecture(ModelConfig(model="classifier", hidden=(4,)), TEXT_SHAPE, 3, THROUGH_VECTOR),
    DENSE,
)
CALIBRATED = len(ARCHITECTURES) - 1
"""The last one, whose file keeps a calibration."""

TRAINING = {
    "command": "aectl train --sparse",
    "options": {
        "dataset": "digits", "size": [6, 5], "validation": 0.1, "hidden": [7, 3], "sparsity": "kl",
        "rho": 0.05, "center": False, "epochs": 3, "seed": 1,
    },
    "images": 7, "data_sha256": "ab" * 32, "seconds": 1.5, "finished": "2026-01-01T00:00:00+00:00",
    "device": "cpu", "threads": 1, "versions": {"aectl": "0.1.0", "torch": "2.6.0"},
}  # fmt: skip
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**400, 1.5, 1e308, float("nan"), "", "x" * 70_000, "F32",
    [], {}, [[]], [0, 2**62], [-1, -1], "a\nb", "\ud800",
)  # fmt: skip


@cache
def written(number: int) -> bytes:
    """A sound file of one of the architectures."""
    architecture = ARCHITECTURES[number]
    torch.manual_seed(0)
    classes = tuple("0123456789")[: architecture.classes]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        vocabulary = WORDS if architecture.modality == "text" else None
        calibration, tensors = calibrated() if number == CALIBRATED else (None, None)
        card = ModelCard(
            architecture, classes, TRAINING, vocabulary=vocabulary, calibration=calibration
        )
        model_file.save(path, build_network(architecture), card, calibrated=tensors)
        return path.read_bytes()


def calibrated() -> tuple[Calibration, dict[str, torch.Tensor]]:
    """A calibration of the score that combines all others."""
    score, maps = score_named("fisher", OF_IMAGES), torch.rand(12, *SHAPE[1:])
    errors = maps.mean((1, 2), dtype=torch.float64)
    codes = torch.rand(12, 3)
    score.fit(Evidence(errors, codes, map=maps, region=errors, dissimilarity=errors))
    size = {"shape": [*SHAPE]}
    calibration = Calibration("fisher", 0.05, 20, 12, ("good",), size)
    return calibration, {"scores": torch.arange(20.0), **score.tensors()}


def put_together(header: bytes, weights: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + weights


def with_a_changed_header(content: bytes, chance: Random) -> bytes:
    """A value somewhere in the header or in the description in it is a strange one, or gone."""
    length = int.from_bytes(content[:8], "little")
    header, weights = json.loads(content[8 : 8 + length]), content[8 + length :]
    described = json.loads(header["__metadata__"]["aectl"])
    for _ in range(chance.choice((1, 1, 3))):
        change(chance.choice((header, described, described, described)), chance)
    if isinstance(header.get("__metadata__"), dict):
        header["__metadata__"]["aectl"] = json.dumps(described)
    return put_together(json.dumps(header).encode(), weights)


def change(value: Any, chance: Random) -> None:
    """Changes something in a JSON object or list, in place."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = chance.choice(keys)
    if isinstance(value[key], dict | list) and value[key] and chance.random() < 0.75:
        change(value[key], chance)
    elif isinstance(value, dict) and chance.random() < 0.2:
        value[str(chance.choice(STRANGE))[:90]] = value.pop(key)
    elif chance.random() < 0.2:
        del value[key]
    else:
        value[key] = copy.deepcopy(chance.choice(STRANGE))


def with_a_huge_header(content: bytes, chance: Random) -> bytes:
    """A header that is long, deep, or says that it is."""
    kind = chance.randrange(4)
    if kind == 0:
        return put_together(b'{"__metadata__":{"aectl":"' + b"x" * 10**7 + b'"}}', b"")
    if kind == 1:
        return put_together(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b"")
    if kind == 2:
        nested = json.dumps("[" * 50_000)
        return put_together(b'{"__metadata__":{"aectl":' + nested.encode() + b"}}", b"")
    return chance.choice((2**20, 2**40, 2**63, 2**64 - 1)).to_bytes(8, "little") + content[8:]


def load_all(path: Path) -> None:
    """Uses a sound model of each kind: modules that are loaded only once are no file's fault."""
    for number in range(len(ARCHITECTURES)):
        path.write_bytes(written(number))
        typed_models.use(path, within=math.inf)


def damaged_model(number: int) -> bytes:
    """The damaged model file of this number; every other one is sound but for types."""
    chance = Random(number)
    content = written(number // 2 % len(ARCHITECTURES))
    kind = chance.random()
    if number % 2:
        return typed_models.typed_model(content, number)
    if kind < 0.02:
        return with_a_huge_header(content, chance)
    if kind < 0.6:
        return with_a_changed_header(content, chance)
    for _ in range(chance.choice((1, 1, 2))):
        content = chance.choice(DAMAGES)(content, chance) or b"\0"
    return content
