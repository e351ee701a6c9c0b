"""Uses of networks of text, against losses and comparisons by hand."""

import numpy as np
import pytest
import torch
from torch.nn import CrossEntropyLoss

from aectl.config.model_options import ModelConfig
from aectl.config.shapes import END, PAD, TextShape
from aectl.data.named_inputs import Position
from aectl.data.text.text_batches import TextBatch
from aectl.errors import ModelFileError
from aectl.inference import apply, apply_text
from aectl.inference.metrics import TextMetrics
from aectl.inference.text_comparison import TextComparison
from aectl.models import footprint
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.vocabulary import Vocabulary

CPU = torch.device("cpu")
LINES = ["the cat sat on the mat", "the cat ate", "a mat", "he sat", "the hat"]
VOCABULARY = Vocabulary.learnt(LINES, 270)
LENGTH = 8
BOTTLENECKS = {
    "vector": {"hidden": (6, 5)},
    "text": {"hidden": (6,), "bottleneck": "text"},
    "words": {"hidden": (6,), "bottleneck": "words"},
}


def network_of(bottleneck):
    torch.manual_seed(0)
    config = ModelConfig(model="text-autoencoder", **BOTTLENECKS[bottleneck])
    network = build_network(Architecture(config, TextShape(LENGTH, len(VOCABULARY)))).eval()
    if bottleneck == "words":
        network.split_words(VOCABULARY)
    return network


def batch_of(lines, size=4):
    rows = [row[:LENGTH] for row in VOCABULARY.encode(lines)]
    tokens = np.array([[*row, *[PAD] * (LENGTH - len(row))] for row in rows])
    paths = [f"x:{n}" for n in range(len(lines))]
    return TextBatch(
        paths, lines, *[[None] * len(lines)] * 2, tokens, size, Position(len(lines), "")
    )


def to_tensor(network):
    return apply.on_device(network, CPU, apply_text.token_tensor)


def test_tokens_are_padded_with_the_first_text():
    found = apply_text.token_tensor(batch_of(LINES[:2]), 4, CPU)
    wanted = batch_of(LINES[:2]).tokens[[0, 1, 0, 0]]
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_texts_stand_beside_their_reconstructions_in_order(bottleneck):
    network = network_of(bottleneck)
    batches = [batch_of(LINES[:4]), batch_of(LINES[4:])]
    results = list(apply_text.reconstruct(network, batches, to_tensor(network), VOCABULARY))
    assert [len(result.reconstruction) for result in results] == [4, 1]
    assert [text for result in results for text in result.original][1:] == LINES[1:]
    for result, batch in zip(results, batches, strict=True):
        with torch.no_grad():
            written = network.decode(network.encode(torch.from_numpy(batch.tokens)))
        assert result.reconstruction == [VOCABULARY.decode(row) for row in written.tolist()]
        assert (result.shorter is None) == (bottleneck == "vector")


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_a_code_that_is_not_finite_is_refused(bottleneck):
    network = network_of(bottleneck)
    torch.nn.init.constant_(network.embedding.weight.data, torch.nan)
    with pytest.raises(ModelFileError, match="too large"):
        list(apply_text.reconstruct(network, [batch_of(LINES)], to_tensor(network), VOCABULARY))


def measured(network, lines):
    metrics = TextMetrics(comparison=TextComparison(VOCABULARY.decode))
    results = list(
        apply_text.measure(network, [batch_of(lines, len(lines))], to_tensor(network), metrics)
    )
    return metrics.result(), np.concatenate([result.token_accuracy for result in results])


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_metrics_are_those_of_each_text_by_itself(bottleneck):
    """Every token is compared and every probability summed, text by text."""
    network = network_of(bottleneck)
    found, accuracies = measured(network, LINES)
    nats, ends, right, tokens = 0.0, 0, 0, 0
    for line, accuracy in zip(LINES, accuracies, strict=True):
        row = next(VOCABULARY.encode([line]))[:LENGTH]
        padded = torch.tensor([[*row, *[PAD] * (LENGTH - len(row))]])
        with torch.no_grad():
            code = network.encode(padded)
            logits, written = network.predict(code, padded)[0], network.decode(code)[0].tolist()
        ended = torch.tensor([*row, END])
        nats += CrossEntropyLoss(reduction="sum")(logits[: len(ended)], ended).item()
        ends += len(ended)
        same = sum(a == b for a, b in zip(row, written, strict=False))
        assert accuracy == pytest.approx(same / len(row))
        right, tokens = right + same, tokens + len(row)
    assert found["token_accuracy"] == pytest.approx(right / tokens)
    assert found["cross_entropy"] == pytest.approx(nats / ends, rel=1e-5)
    assert ("compression_ratio" in found) == (bottleneck != "vector")
    assert ("l0" in found) == (bottleneck == "vector")


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_texts_whose_logits_are_large_are_measured_one_by_one_alike(bottleneck, monkeypatch):
    network = network_of(bottleneck)
    together = measured(network, LINES)
    monkeypatch.setattr(footprint, "ROOM", 1)
    rows = []
    handle = network.writer.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    alone = measured(network, LINES)
    handle.remove()
    assert set(rows) == {1}
    assert alone[0] == pytest.approx(together[0], rel=1e-5)
    assert alone[1].tolist() == together[1].tolist()
