"""Uses of a trained network on images, each a generator over batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.config.decoding import USUAL_DECODING, Decoding
from aectl.config.shapes import Shape
from aectl.data.images.decode import Pixels, decode
from aectl.data.inputs import InputBatch
from aectl.errors import DataError, ModelFileError
from aectl.inference.metrics import ClassificationMetrics, ReconstructionMetrics, is_active
from aectl.inference.pca import PCA
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.networks import Classifier, Network
from aectl.progress import SILENT, Progress

Floats = NDArray[np.float32]
AnyNetwork = Network | AutoencoderBase

VECTOR = 32
"""Maximum number of values that a processor computes in one vector operation."""

CLASSES_NAMED = 20

PART = 250
"""Number of images that are processed at a time if they do not come in batches."""


class Encoded(NamedTuple):
    """A batch with its codes, including the rows that pad the batch."""

    batch: Any
    code: Any


class Reconstructed(NamedTuple):
    """A batch with its reconstruction: (n, channels, height, width), the output of the network."""

    batch: InputBatch
    reconstruction: Floats

    def first(self, count: int) -> "Reconstructed":
        """The result for the first `count` images."""
        batch = self.batch._replace(
            paths=self.batch.paths[:count],
            images=self.batch.images[:count],
            labels=self.batch.labels[:count],
        )
        return Reconstructed(batch, self.reconstruction[:count])


class Classified(NamedTuple):
    """The k most probable classes of each input, most probable first: both (n, k)."""

    batch: Any
    predictions: NDArray[np.int64]
    probabilities: Floats


@dataclass
class Measured:
    """A measured batch: the `mse` of each image, (n,).

    `classified`: the class that a classifier predicts for each input, and its probability, both
    (n,).
    """

    batch: InputBatch
    mse: Floats | None = None
    classified: tuple[NDArray[np.int64], Floats] | None = None


@dataclass(frozen=True)
class Features:
    """The features that `encode` returns: the code, or the output of the hidden `layer`, from 1.

    `normalize`: "l2" scales each row to length 1 (a row of zeros is unchanged); `dtype`: the number
    format, float32 or float16.
    """

    layer: int | None = None
    normalize: str = "none"
    dtype: str = "float32"

    def of(self, code: Tensor) -> NDArray[Any]:
        """Converts a code, (n, features), to the array that is written."""
        scaled = _of_length_one(code) if self.normalize == "l2" else code
        wanted: NDArray[Any] = scaled.to(getattr(torch, self.dtype)).cpu().numpy()
        return wanted


def _of_length_one(code: Tensor) -> Tensor:
    """Scales each row to length 1; first to a maximum of 1, so that no square overflows."""
    largest = code.abs().amax(1, keepdim=True)
    scaled = torch.where(largest > 0, code / largest, code)
    return torch.nn.functional.normalize(scaled)


ToTensor = Callable[[Any], Tensor]
"""Converts a batch to the input of a network, padded to the same number of rows each time."""


def to_tensor(images: Pixels, device: torch.device) -> Tensor:
    """Converts uint8 images to float32 in [0, 1] on the device."""
    return torch.tensor(images, device=device).float().div_(255)


def rows_of(size: int, network: AnyNetwork) -> int:
    """The number of rows to which a batch of up to `size` inputs is padded.

    A network that processes one input at a time (`aectl.models.footprint`) needs no padding.

    The order of summation in a matrix product depends on the number of rows, and the exponential of
    the last values of a tensor, which do not fill a vector register, is computed differently. With
    the same number of rows in each batch, a multiple of the vector size, the output for an image is
    the same to the last bit whatever images are beside it.
    """
    return size if network.one_at_a_time else -(-size // VECTOR) * VECTOR


def refuse_overflow(*results: Tensor | NDArray[Any]) -> None:
    """Raises ModelFileError if outputs of a network are not finite: its weights are finite, but too
    large for 32-bit floats.
    """
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
    return lambda batch: tensor(batch, rows_of(batch.size, network), device)


def decoded(network: AutoencoderBase, code: Tensor) -> Tensor:
    """code (n, code_size) -> images (n, channels, height, width); NaN where the decoder's output is
    not finite, which the output activation would hide by mapping infinity to 0 or 1.
    """
    output: Tensor = network.decoder(code)
    finite = output.isfinite()
    images = network.output_activation(output)
    return images if finite.all() else images.where(finite, torch.nan)


@torch.inference_mode()
def encode(
    network: Any, batches: Iterable[Any], to_tensor: ToTensor, layer: int | None = None
) -> Iterator[Encoded]:
    """Yields each batch with its codes, or with the outputs of a hidden layer; the last rows may be
    those of padding.
    """
    of_layer = {} if layer is None else {"layer": layer}
    for batch in batches:
        yield Encoded(batch, network.encode(to_tensor(batch), **of_layer))


@torch.inference_mode()
def reconstruct(
    network: AutoencoderBase, batches: Iterable[InputBatch], to_tensor: ToTensor
) -> Iterator[Reconstructed]:
    """Yields each batch with its reconstruction.

    Raises ModelFileError if it, or the code, is not finite.
    """
    for batch in batches:
        code = network.encode(to_tensor(batch))
        kept = slice(len(batch.paths))
        reconstruction = decoded(network, code)[kept]
        refuse_overflow(code[kept], reconstruction)
        yield Reconstructed(batch, reconstruction.cpu().numpy())


@torch.inference_mode()
def reconstruct_images(network: AutoencoderBase, images: Pixels) -> Floats:
    """Reconstructs uint8 images, (n, channels, height, width), in [0, 1], on the CPU."""
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    inputs = (to_tensor(part, cpu) for part in parts(images, network))
    made = torch.cat([decoded(network, network.encode(part)) for part in inputs])
    refuse_overflow(made)
    return made.numpy()


@torch.inference_mode()
def decode_codes(network: AutoencoderBase, codes: Floats) -> Floats:
    """codes (n, code_size) -> images (n, channels, height, width), on the CPU.

    Images of very large codes may contain values that are not finite.
    """
    network.cpu().eval()
    made = [decoded(network, torch.from_numpy(part)) for part in parts(codes, network)]
    return torch.cat(made).numpy()


@torch.inference_mode()
def codes_of(network: AutoencoderBase, images: Pixels) -> Floats:
    """uint8 images (n, channels, height, width) -> codes (n, code_size), on the CPU."""
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    return torch.cat(
        [network.encode(to_tensor(part, cpu)) for part in parts(images, network)]
    ).numpy()


def interpolate(network: AutoencoderBase, ends: Pixels, steps: int) -> Floats:
    """Decodes the codes on the straight line between the codes of two images.

    ends: (2, channels, height, width), 0 to 255 -> (steps, channels, height, width). Raises
    ModelFileError if the result is not finite.
    """
    first, last = codes_of(network, ends)
    way = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    made = decode_codes(network, (1 - way) * first + way * last)
    refuse_overflow(made)
    return made


def traverse(network: AutoencoderBase, images: Pixels, unit: int, values: Floats) -> Floats:
    """Decodes the codes of images with one unit set to each of the values.

    images: (n, channels, height, width), values: (steps,) -> (n * steps, channels, height, width),
    those of the first image first. Raises ModelFileError if the result is not finite.
    """
    codes = codes_of(network, images).repeat(len(values), axis=0)
    codes[:, unit] = np.tile(values, len(images))
    made = decode_codes(network, codes)
    refuse_overflow(made)
    return made


@torch.inference_mode()
def dead_units(network: AutoencoderBase, images: Pixels) -> NDArray[np.bool_]:
    """Whether each unit of the code is inactive for all images: (code_size,); on the CPU."""
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    dead = np.ones(network.code_size, bool)
    for part in parts(images, network):
        code = network.encode(to_tensor(part, cpu))
        dead &= (~is_active(code, network.active_above).any(0)).numpy()
    return dead


def parts(images: NDArray[Any], network: AnyNetwork) -> Iterator[NDArray[Any]]:
    """Splits images or codes into blocks for which the network needs little memory."""
    size = 1 if network.one_at_a_time else PART
    for first in range(0, len(images), size):
        yield images[first : first + size]


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
        images = to_tensor(batch)
        whole = network.encode(images)
        kept = slice(len(batch.paths))
        code = whole[kept]
        errors = metrics.update(images[kept], decoded(network, whole)[kept], code)
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
            f" {_some(metrics.unknown)}; it knows {_some(numbers)}"
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
            f" {_some(numbers)};"
            " --skip-unknown leaves such inputs out"
        )
    metrics.unknown.update(label for label in batch.labels if label not in numbers)
    return batch._replace(
        **{
            name: column[known] if isinstance(column, np.ndarray) else [column[n] for n in known]
            for name, column in batch._asdict().items()
            if isinstance(column, list | np.ndarray)
        }
    )


def _some(classes: Iterable[str]) -> str:
    """The names of the first classes, for a message."""
    names = list(classes)
    return ", ".join(names[:CLASSES_NAMED]) + ", ..." * (len(names) > CLASSES_NAMED)


@torch.inference_mode()
def pca_mse(
    train: Iterable[InputBatch],
    test: Iterable[InputBatch],
    components: int,
    progress: Progress = SILENT,
) -> float:
    """Mean squared error per pixel, on `test`, of PCA with `components` fitted on `train`."""
    pca = PCA()
    for batch in progress.counted(train, "reading for PCA"):
        SILENT.awaited(partial(pca.update, torch.from_numpy(batch.images)), "")
    projection = progress.awaited(partial(pca.fit, components), "fitting PCA")
    squares, values = 0.0, 0
    for batch in progress.counted(test, "measuring PCA"):
        x = torch.from_numpy(batch.images)
        made = SILENT.awaited(partial(projection.reconstruct, x), "")
        squares += (made - x).square().sum().item()
        values += x.numel()
    return squares / values / 255**2


def probe_error(
    train: tuple[Floats, NDArray[np.int64]],
    test: tuple[Floats, NDArray[np.int64]],
    progress: Progress = SILENT,
) -> float:
    """Percentage of test images that a linear classifier on their features gets wrong.

    Each pair is features (n, features) and labels (n,). The classifier is scikit-learn's
    multinomial logistic regression, on features divided by the standard deviation of the train
    split. Raises DataError for features that are not finite.
    """
    from sklearn.linear_model import LogisticRegression

    features, labels = train
    if not (np.isfinite(features).all() and np.isfinite(test[0]).all()):
        raise DataError("--probe: the codes are not finite numbers")
    scale = features.std(dtype=np.float64) or 1.0
    probe = LogisticRegression(max_iter=1000, tol=1e-3)
    progress.awaited(partial(probe.fit, features / scale, labels), "fitting the probe")
    return float(100 * (1 - probe.score(test[0] / scale, test[1])))


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
