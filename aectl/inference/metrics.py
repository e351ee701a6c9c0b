"""Metrics, each defined once and summed over batches in float64."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from aectl.config.shapes import PAD
from aectl.errors import DataError
from aectl.inference.explained_variance import Variation, explained_variance, parts
from aectl.inference.prefixes import PrefixErrors
from aectl.inference.text_comparison import TextComparison
from aectl.models.language import nats_of_texts

MOST_NATS = 700.0

BASELINES = ("unigram", "sentence")
"""Guesses without a model, to compare text autoencoders with."""


def quotient(number: float, by: float) -> float:
    """number / by; nan if `by` is 0."""
    return number / by if by else math.nan


def psnr(mse: float) -> float:
    """The peak signal-to-noise ratio, in dB, for a maximum of 1."""
    return -10 * math.log10(mse) if mse else math.inf


class CodeMetrics:
    """Metrics of codes, over all calls of `update`."""

    def __init__(self, active_above: float | None) -> None:
        self.active_above = active_above
        self._codes = 0

    def update(self, code: Tensor) -> None:
        """code: (batch, code_size)."""
        if code.device.type == "mps":  # which has no float64
            code = code.cpu()
        active = is_active(code, self.active_above)
        if self._codes == 0:
            self._code = torch.zeros_like(code[0], dtype=torch.float64)
            self._active = torch.zeros_like(code[0], dtype=torch.int64)
        self._codes += len(code)
        self._code += code.sum(0, dtype=torch.float64)
        self._active += active.sum(0)

    @property
    def rho_hat(self) -> Tensor:
        """The mean activation of each unit: (code_size,)."""
        return (self._code / self._codes).cpu()

    @property
    def active(self) -> Tensor:
        """The fraction of the codes in which each unit is active: (code_size,)."""
        return (self._active.double() / self._codes).cpu()

    def result(self) -> dict[str, float]:
        """mean_activation, over all units; l0, the mean number of active units of an input; dead,
        the fraction of units that are never active.
        """
        return {
            "mean_activation": self.rho_hat.mean().item(),
            "l0": self.active.sum().item(),
            "dead": (self.active == 0).double().mean().item(),
        }


class ReconstructionMetrics:
    """Metrics of an autoencoder, over all calls of `update`; with `with_ssim`, the structural
    similarity of images (batch, channels, height, width) too.
    """

    def __init__(self, active_above: float | None) -> None:
        self.codes = CodeMetrics(active_above)
        self.images, self._variation = 0, Variation()
        self.with_ssim, self._similarity = False, 0.0
        self.prefixes: PrefixErrors | None = None

    def update(self, images: Tensor, reconstruction: Tensor, code: Tensor) -> Tensor:
        """Adds a batch: images and reconstruction (batch, ...), in [0, 1]; code (rows, units).

        Returns the mean squared error of each image: (batch,).
        """
        if images.device.type == "mps":  # which has no float64
            images, reconstruction = images.cpu(), reconstruction.cpu()
        if self.with_ssim:
            from pytorch_msssim import ssim

            found = ssim(images, reconstruction, data_range=1.0, size_average=False)
            self._similarity += found.double().sum().item()
        if self.prefixes:
            self.prefixes.update(images, code)
        images, reconstruction = images.flatten(1), reconstruction.flatten(1)
        if self.images == 0:
            self._squares = images.new_zeros((), dtype=torch.float64)
            self._pixels = images.shape[1]
        self.images += len(images)
        self._variation.add(images)
        errors = images.new_zeros(len(images), dtype=torch.float64)
        for part in parts(*images.shape):
            squares = (reconstruction[:, part].double() - images[:, part].double()).square()
            self._squares = self._squares + squares.sum()
            errors += squares.sum(1)
        self.codes.update(code)
        return errors / images.shape[1]

    def result(self) -> dict[str, float]:
        """All metrics by name: mse, per pixel; sse, per image; psnr, in dB, for a maximum of 1;
        explained_variance, 1 - squared error / variation around the mean image; and those of the
        code.
        """
        if self.images == 0:
            raise DataError("there are no images to measure")
        squares, variation = self._squares.item(), self._variation.total
        mse = squares / (self.images * self._pixels)
        return {
            "mse": mse,
            "sse": squares / self.images,
            "psnr": psnr(mse),
            "explained_variance": explained_variance(squares, variation).item(),
            **(self.prefixes.explained(variation) if self.prefixes else {}),
            **({"ssim": self._similarity / self.images} if self.with_ssim else {}),
            **self.codes.result(),
        }


def is_active(code: Tensor, active_above: float | None) -> Tensor:
    """Whether each unit of a code is active: above `active_above`, or, if None, not 0."""
    return code != 0 if active_above is None else code > active_above


class TextMetrics:
    """Metrics of a text autoencoder, over all calls of `update`."""

    def __init__(
        self,
        baselines: Mapping[str, Sequence[int]] | None = None,
        comparison: TextComparison | None = None,
    ) -> None:
        """`baselines`: the texts that guesses without a model write, tokens (length,), by name.

        `comparison`: that of the same texts as strings, whose metrics are among the results.
        """
        self.texts, self.comparison = 0, comparison
        self._baselines = {n: torch.tensor(guess) for n, guess in (baselines or {}).items()}
        self.codes: CodeMetrics | None = None
        self._sums: dict[str, float] = {}

    def update(self, tokens: Tensor, ended: Tensor, logits: Tensor, written: Tensor) -> Tensor:
        """Adds a batch. tokens: the texts, written: the decoder's output, token by token, both
        (batch, length); ended: the texts with END after each, (batch, length + 1); logits: for each
        of those tokens, given the true tokens before it, (batch, length + 1, vocabulary).

        Returns the fraction of the tokens of each text that are written at their position:
        (batch,).
        """
        there = tokens != PAD
        right = ((written == tokens) & there).sum(1)
        self.texts += len(tokens)
        self._add("right", right.sum())
        self._add("tokens", there.sum())
        self._add("ends", (ended != PAD).sum())
        self._add("nats", nats_of_texts(logits.float(), ended).sum())
        for name, guess in self._baselines.items():
            right_by_guess = ((guess.to(tokens.device) == tokens) & there).sum()
            self._add(f"{name}_accuracy", right_by_guess)
        return right / there.sum(1)

    @property
    def nats(self) -> float:
        """The negative log-likelihood of all tokens."""
        return self._sums.get("nats", 0.0)

    def update_code(self, code: Tensor, active_above: float | None) -> None:
        """Adds the codes of a batch, if they are vectors: (batch, code_size)."""
        self.codes = self.codes or CodeMetrics(active_above)
        self.codes.update(code)

    def update_shorter(self, tokens: Tensor, shorter: Tensor, logits: Tensor) -> None:
        """Adds the shorter texts of a batch. tokens: the texts, (batch, length); shorter: those of
        the bottleneck, (batch, slots); logits: of the language model for each of their tokens,
        (batch, slots, vocabulary).
        """
        there = shorter != PAD
        copied = (shorter[:, :, None] == tokens[:, None, :]).any(2) & there
        self._add("slots", there.sum())
        self._add("copied", copied.sum())
        self._add("shorter_nats", nats_of_texts(logits.float(), shorter).sum())

    def result(self) -> dict[str, Any]:
        """All metrics by name.

        token_accuracy: the fraction of the tokens that are written at their position;
        cross_entropy: nats per token, including the END; perplexity: exp(cross_entropy). Of shorter
        texts: bottleneck_perplexity, that of the language model; compression_ratio, the number of
        their tokens divided by that of the texts; copied, the fraction of their tokens that occur
        in the text. Then those of the comparison.
        """
        if self.texts == 0:
            raise DataError("there are no texts to measure")
        sums = self._sums
        cross_entropy = quotient(sums["nats"], sums["ends"])
        found = {
            "token_accuracy": quotient(sums["right"], sums["tokens"]),
            "cross_entropy": cross_entropy,
            "perplexity": _perplexity(cross_entropy),
            **{
                f"{name}_accuracy": quotient(sums[f"{name}_accuracy"], sums["tokens"])
                for name in self._baselines
            },
        }
        if "slots" in sums:
            found |= {
                "bottleneck_perplexity": _perplexity(quotient(sums["shorter_nats"], sums["slots"])),
                "compression_ratio": quotient(sums["slots"], sums["tokens"]),
                "copied": quotient(sums["copied"], sums["slots"]),
            }
        compared = self.comparison.result() if self.comparison else {}
        return found | compared | (self.codes.result() if self.codes else {})

    def _add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(value)


def _perplexity(nats: float) -> float:
    return math.inf if nats > MOST_NATS else math.exp(nats)


class ClassificationMetrics:
    """Metrics of a classifier, over all calls of `update`.

    `unknown`: counts of inputs of each class that the classifier does not know, which are left out;
    None if such inputs are refused.
    """

    def __init__(self, classes: int, skip_unknown: bool = False) -> None:
        self.unknown = Counter[str]() if skip_unknown else None
        self._confusion = torch.zeros(classes, classes, dtype=torch.int64)

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Adds a batch: indices of classes, both (batch,)."""
        classes = len(self._confusion)
        pairs = (labels * classes + predictions).cpu()
        self._confusion += torch.bincount(pairs, minlength=classes**2).view(classes, classes)

    def result(self) -> dict[str, object]:
        """All metrics by name: unknown, if such inputs are left out; accuracy (a fraction); error
        (percent); for each class, precision, nan if it is never predicted, and recall, nan if it
        does not occur; confusion (one row per true class).
        """
        total = int(self._confusion.sum())
        if total == 0:
            raise DataError("there are no labelled images to measure")
        right = self._confusion.diagonal().tolist()
        of_class, predicted = self._confusion.sum(1).tolist(), self._confusion.sum(0).tolist()
        return {
            **({} if self.unknown is None else {"unknown": self.unknown.total()}),
            "accuracy": sum(right) / total,
            "error": 100 * (total - sum(right)) / total,
            "precision": list(map(quotient, right, predicted)),
            "recall": list(map(quotient, right, of_class)),
            "confusion": self._confusion.tolist(),
        }
