"""Uses of a trained text autoencoder, each a generator over batches of text."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aectl.config.scores import CODE
from aectl.config.shapes import PAD, TextShape
from aectl.data.text.text_batches import TextBatch
from aectl.inference.anomaly_scores import Evidence, Examined
from aectl.inference.apply import ToTensor, refuse_overflow
from aectl.inference.metrics import TextMetrics
from aectl.inference.results import MeasuredTexts, ReconstructedTexts
from aectl.models import footprint
from aectl.models.language import nats_of_texts, with_end
from aectl.models.networks import TextNetwork, ThroughVector
from aectl.models.placing import placed
from aectl.models.shorter_text import ShorterText
from aectl.models.text_spec import TextSpec
from aectl.models.vocabulary import Vocabulary
from aectl.models.words_autoencoder import KeptWords


@torch.inference_mode()
def reconstruct(
    network: TextNetwork,
    batches: Iterable[TextBatch],
    to_tensor: ToTensor,
    vocabulary: Vocabulary,
) -> Iterator[ReconstructedTexts]:
    """Yields each batch with its reconstructions, and with the shorter texts of the bottleneck.

    Raises ModelFileError for a code that is not finite.
    """
    for batch in batches:
        code: Any = network.encode(to_tensor(batch))
        refuse_overflow(code if isinstance(code, Tensor) else code.log_probabilities)
        count = len(batch.paths)
        original = [vocabulary.decode(row) for row in batch.tokens.tolist()]
        shorter = _shorter(code, count, vocabulary)
        written = _texts(network.decode(code)[:count], vocabulary)
        yield ReconstructedTexts(batch, original, shorter, written)


@torch.inference_mode()
def measure(
    network: TextNetwork,
    batches: Iterable[TextBatch],
    to_tensor: ToTensor,
    metrics: TextMetrics,
) -> Iterator[MeasuredTexts]:
    """Updates `metrics`, which need a comparison, with all texts.

    Raises ModelFileError for results that are not finite.
    """
    assert metrics.comparison
    for batch in batches:
        found = measure_tokens(network, to_tensor(batch), metrics, len(batch.paths))
        refuse_overflow(np.array(metrics.nats))
        shorter = None if found.shorter is None else found.shorter.tolist()
        rouge_l = metrics.comparison.add(batch, shorter, found.written.tolist())
        accuracy = found.accuracy.float().cpu().numpy()
        yield MeasuredTexts(batch, accuracy, np.array(rouge_l, np.float32))


class MeasuredTokens(NamedTuple):
    """Of each text the fraction of its tokens that are reconstructed at their position, (count,),
    the tokens that are `written`, (count, length), and, if its code is a text, those of the
    `shorter` one, PAD after its end, (count, length).
    """

    accuracy: Tensor
    written: Tensor
    shorter: Tensor | None


@torch.no_grad()
def measure_tokens(
    network: TextNetwork, tokens: Tensor, metrics: TextMetrics, count: int | None = None
) -> MeasuredTokens:
    """Updates `metrics` with the first `count` texts, or all, of tokens (batch, length).

    If the logits of the texts need much memory, they are measured one by one.
    """
    shape = TextShape(tokens.shape[1], len(network.embedding.weight))
    if footprint.too_much(footprint.FLOAT * TextSpec().measuring_floats(shape)):
        each = [
            _measure_at_once(network, one, metrics, 1) for one in torch.split(tokens[:count], 1)
        ]
        shorter = [one.shorter for one in each if one.shorter is not None]
        return MeasuredTokens(
            torch.cat([one.accuracy for one in each]),
            torch.cat([one.written for one in each]),
            torch.cat(shorter) if shorter else None,
        )
    return _measure_at_once(network, tokens, metrics, count)


def _measure_at_once(
    network: TextNetwork, tokens: Tensor, metrics: TextMetrics, count: int | None
) -> MeasuredTokens:
    kept, shorter = slice(count), None
    if isinstance(network, ThroughVector):
        vector = network.encode(tokens)
        logits, written = network.predict(vector, tokens), network.decode(vector)
        metrics.update_code(vector[kept], network.active_above)
    else:
        code: Any = network.encode(tokens)
        logits, written = network.predict(code, tokens), network.decode(code)
        likely = network.language_model.predict(code.text)
        metrics.update_shorter(tokens[kept], code.text[kept], likely[kept])
        shorter = F.pad(code.text[kept], (0, tokens.shape[1] - code.text.shape[1]), value=PAD)
    ended, written = with_end(tokens)[kept], written[kept]
    accuracy = metrics.update(tokens[kept], ended, logits[kept], written)
    return MeasuredTokens(accuracy, written, shorter)


@torch.inference_mode()
def examine(
    network: TextNetwork, batches: Iterable[TextBatch], to_tensor: ToTensor, needed: Collection[str]
) -> Iterator[Examined]:
    """Yields each batch with the evidence that is needed: of the error, the cross-entropy of a
    token, END included, in nats. Raises ModelFileError for results that are not finite.
    """
    for batch in batches:
        tokens, count = to_tensor(batch), len(batch.paths)
        shape = TextShape(tokens.shape[1], len(network.embedding.weight))
        alone = footprint.too_much(footprint.FLOAT * TextSpec().measuring_floats(shape))
        each = torch.split(tokens, 1 if alone else len(tokens))
        found = Evidence.joined([evidence(network, some, needed) for some in each])
        found = found.rows(slice(count))
        assert found.error is not None
        refuse_overflow(found.error)
        yield Examined(batch, found)


def evidence(network: TextNetwork, tokens: Tensor, needed: Collection[str]) -> Evidence:
    """The cross-entropy of each text, (batch,), and its code, if that is needed."""
    code: Any = network.encode(tokens)
    ended = with_end(tokens)
    nats = nats_of_texts(network.predict(code, tokens).float(), ended).double()
    errors = (nats / (ended != PAD).sum(1)).cpu()
    return Evidence(errors, code.cpu() if CODE in needed else None)


def token_tensor(batch: TextBatch, rows: int, device: torch.device) -> Tensor:
    """The tokens of a batch, (rows, length), padded with copies of its first text."""
    copies = np.repeat(batch.tokens[:1], rows - len(batch.tokens), 0)
    return placed(torch.from_numpy(np.concatenate([batch.tokens, copies])), device)


def _shorter(
    code: Tensor | ShorterText | KeptWords, count: int, vocabulary: Vocabulary
) -> list[str] | None:
    """The first `count` shorter texts of the bottleneck; None if the codes are vectors."""
    if isinstance(code, Tensor):
        return None
    return _texts(code.text[:count], vocabulary)


def _texts(tokens: Tensor, vocabulary: Vocabulary) -> list[str]:
    return [vocabulary.decode(row) for row in tokens.tolist()]
