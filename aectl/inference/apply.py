"""Uses of a trained network on images, each a generator over batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.config.decoding import USUAL_DECODING, Decoding
from aectl.config.shapes import Shape
from aectl.config.spelling import first_of
from aectl.data.images.decode import decode
from aectl.data.images.image_batches import InputBatch
from aectl.data.images.pixels import Pixels
from aectl.errors import DataError, ModelFileError
from aectl.inference.metrics import ClassificationMetrics, ReconstructionMetrics
from aectl.inference.results import Classified, Measured, Reconstructed, Result, rows_of_batch
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.networks import Classifier, Network, PooledAutoencoder
from aectl.models.placing import placed

AnyNetwork = Network | AutoencoderBase

VECTOR = 32
"""Maximum number of values that a processor computes in one vector operation."""

CLASSES_NAMED = 20


@dataclass(frozen=True, eq=False)
class PaddedCode(Result):
    """A batch with its codes, including the rows that pad the batch."""

    code: Any


ToTensor = Callable[[Any], Tensor]
"""Converts a batch to the input of a network, padded to the same number of rows each time."""


def to_tensor(images: Pixels, device: torch.device) -> Tensor:
    """Converts uint8 images to float32 in [0, 1] on the device."""
    return placed(torch.tensor(images), device).float().div_(255)


def rows_of(batch: Any, network: AnyNetwork) -> int:
    """The number of rows to which a batch of inputs is padded.

    A network that processes one input at a time (`aectl.models.footprint`), or each image of a
    batch by itself, as those with pooled features do, needs no padding.

    The order of summation in a matrix product depends on the number of rows, and the exponential of
    the last values of a tensor, which do not fill a vector register, is computed differently. With
    the same number of rows in each batch, a multiple of the vector size, the output for an image is
    the same to the last bit whatever images are beside it.
    """
    return len(batch.paths) if _alone(network) else -(-batch.size // VECTOR) * VECTOR


def _alone(network: AnyNetwork) -> bool:
    return network.one_at_a_time or isinstance(network, PooledAutoencoder)


def refuse_overflow(*results: Tensor | NDArray[Any]) -> None:
    """Raises ModelFileError if outputs of a network are not finite: its weights are finite, but too
    large for 32-bit floats. An exported program does not ask.
    """
    if torch.compiler.is_exporting():
        return
    if not all(torch.as_tensor(result).isfinite().all() for result in results):
        raise ModelFileError(
            "the model's weights are too large: its output overflows 32-bit floats"
        )


def image_tensor(batch: InputBatch, rows: int, device: torch.device) -> Tensor:
    """The images of a batch, (rows, channels, height, width), padded with black images."""
    count, *shape = batch.images.shape
    missing = np.zeros((rows - count, *shape), np.uint8)
    images = np.concatenate([batch.images, missing]) if len(missing) else batch.images
    return to_tensor(images, device)


def on_device(
    network: AnyNetwork,
    device: torch.device,
    tensor: Callable[[Any, int, torch.device], Tensor] = image_tensor,
) -> ToTensor:
    """Moves a network to a device, in eval mode; returns the function that prepares its input.

    `tensor` converts a batch to a tensor with a number of rows; by default, a batch of images.
    """
    network.to(device).eval()
    return lambda batch: tensor(batch, rows_of(batch, network), device)


def decoded(network: AutoencoderBase, code: Tensor) -> Tensor:
    """code (n, code_size) -> images (n, channels, height, width); NaN where the decoder's output is
    not finite, which the output activation would hide by mapping infinity to 0 or 1.
    """
    return _activated(network, network.decoder(code))


def _activated(network: AutoencoderBase, output: Tensor) -> Tensor:
    finite, exporting = output.isfinite(), torch.compiler.is_exporting()
    activation = network.output_activation
    alone = _alone(network) and not exporting
    images = torch.stack(list(map(activation, output))) if alone else activation(output)
    return images if not exporting and finite.all() else images.where(finite, torch.nan)


def traced(
    network: AutoencoderBase, targets: Tensor, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """Images or maps as `targets` gives them, (n, channels, height, width) -> the codes and the
    reconstructions of the first `count`; NaN where the decoder's output is not finite, as in
    `decoded`.
    """
    codes, output = network.traced(targets)
    images = _activated(network, output)
    if count is None:
        return codes, images
    rows = len(codes) // len(targets)
    return codes[: rows * count], images[:count]


@torch.inference_mode()
def encode(
    network: Any, batches: Iterable[Any], to_tensor: ToTensor, layer: int | None = None
) -> Iterator[PaddedCode]:
    """Yields each batch with its codes, or with the outputs of a hidden layer; the last rows may be
    those of padding.
    """
    of_layer = {} if layer is None else {"layer": layer}
    for batch in batches:
        yield PaddedCode(batch, network.encode(to_tensor(batch), **of_layer))


@torch.inference_mode()
def reconstruct(
    network: AutoencoderBase, batches: Iterable[InputBatch], to_tensor: ToTensor
) -> Iterator[Reconstructed]:
    """Yields each batch with its reconstruction.

    Raises ModelFileError if it, or the code, is not finite.
    """
    for batch in batches:
        targets = network.targets(to_tensor(batch))
        code, reconstruction = traced(network, targets, len(batch.paths))
        refuse_overflow(code, reconstruction)
        yield Reconstructed(batch, reconstruction.cpu().numpy())


@torch.inference_mode()
def classify(
    network: Classifier, batches: Iterable[Any], to_tensor: ToTensor, top_k: int = 1
) -> Iterator[Classified]:
    """Yields each batch with the `top_k` most probable classes of its inputs."""
    for batch in batches:
        probabilities = network.probabilities(to_tensor(batch))[: len(batch.paths)]
        found = probabilities.topk(top_k)
        yield Classified(batch, found.indices.cpu().numpy(), found.values.cpu().numpy())


@torch.inference_mode()
def measure(
    network: AutoencoderBase,
    batches: Iterable[InputBatch],
    to_tensor: ToTensor,
    metrics: ReconstructionMetrics,
) -> Iterator[Measured]:
    """Updates `metrics` with all images. Raises ModelFileError for results that are not finite."""
    for batch in batches:
        targets = network.targets(to_tensor(batch))
        count = len(batch.paths)
        code, reconstruction = traced(network, targets, count)
        errors = metrics.update(targets[:count], reconstruction, code)
        refuse_overflow(code, errors)
        yield Measured(batch, errors.float().cpu().numpy())


@torch.inference_mode()
def measure_labels(
    network: Classifier,
    batches: Iterable[Any],
    to_tensor: ToTensor,
    metrics: ClassificationMetrics,
    classes: tuple[str, ...],
) -> Iterator[Measured]:
    """Updates `metrics` with all inputs and their labels.

    Raises DataError for a label that is not a class, unless the metrics count such inputs and leave
    them out, and if no inputs are left; ModelFileError for results that are not finite.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    measured = 0
    for batch in batches:
        known = _of_known_classes(batch, numbers, metrics)
        if not known.paths:
            continue
        labels = torch.tensor([numbers[label] for label in known.labels])
        found = network.probabilities(to_tensor(known))[: len(known.paths)].max(1)
        refuse_overflow(found.values)
        predictions = found.indices.cpu()
        metrics.update(predictions, labels)
        measured += len(labels)
        yield Measured(known, classified=(predictions.numpy(), found.values.cpu().numpy()))
    if metrics.unknown and not measured:
        count = metrics.unknown.total()
        raise DataError(
            f"the input has {count:,} labelled inputs, and the model knows none of their classes:"
            f" {first_of(metrics.unknown, CLASSES_NAMED)};"
            f" it knows {first_of(numbers, CLASSES_NAMED)}"
        )


def _of_known_classes(
    batch: Any, numbers: Mapping[str, int], metrics: ClassificationMetrics
) -> Any:
    """The inputs of a batch whose labels are known classes; others are counted, or refused."""
    known = [row for row, label in enumerate(batch.labels) if label in numbers]
    if len(known) == len(batch.labels):
        return batch
    if None in batch.labels:
        raise DataError("a classifier needs labels to be measured, and the input has none")
    if metrics.unknown is None:
        unknown = next(label for label in batch.labels if label not in numbers)
        raise DataError(
            f"the label '{unknown}' is not one of the model's {len(numbers)} classes:"
            f" {first_of(numbers, CLASSES_NAMED)};"
            " --skip-unknown leaves such inputs out"
        )
    metrics.unknown.update(label for label in batch.labels if label not in numbers)
    return rows_of_batch(batch, known)


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a model's images; `shape` is (channels, height, width)."""

    shape: Shape
    decoding: Decoding = USUAL_DECODING

    def __call__(self, path: str | Path) -> Tensor:
        """Loads the image in a file as float32 (channels, height, width), in [0, 1].

        Raises aectl.errors.ImageError.
        """
        return to_tensor(decode(path, self.shape, self.decoding), torch.device("cpu"))
