"""Collects the contents of a report while a model is measured: images, units, codes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from aectl.data.images.image_batches import InputBatch
from aectl.data.images.pixels import Pixels, to_bytes
from aectl.inference import arrays
from aectl.inference.apply import refuse_overflow, to_tensor
from aectl.inference.filters import filters_of
from aectl.inference.findings import (
    SAMPLE_SIDE,
    CodeStatistics,
    Findings,
    Gallery,
    Mistake,
    Rival,
    Shown,
    Units,
)
from aectl.inference.maps import maps_of
from aectl.inference.metrics import ReconstructionMetrics, is_active, psnr
from aectl.inference.results import Floats, Measured
from aectl.inference.rival import errors, rival_shape, shrunk_and_enlarged
from aectl.inference.sampling import Extremes, Spread
from aectl.inference.unit_values import values_of
from aectl.models.networks import Classifier, ImageNetwork, PooledAutoencoder

MOST_SAMPLED, LEAST_SAMPLED = 3000, 100
SAMPLED_PIXELS = 2_500_000
"""Maximum pixels of the sample's images on a page."""

SAMPLED_VALUES = 1 << 26
"""Maximum values of the sample's codes."""

HELD_BYTES = 1 << 26
"""Maximum bytes of the images that are kept in memory, and encoded once more for the page."""

MOST_UNITS = 400
STRONGEST = 12
EXTREMES = 12
COMPARED = 500
MISTAKES_OF_A_KIND = 12
MOST_MISTAKES = 1000


class Inspection:
    """Receives all measured images, keeps some of them, and computes the contents of a report."""

    def __init__(self, network: ImageNetwork, classes: Sequence[str] = ()) -> None:
        self._network = network
        self._numbers = {name: number for number, name in enumerate(classes)}
        self._sample = Spread(_sample_size(network), _image)
        self._extremes = min(EXTREMES, _held(network) // 4 or 1)
        self._best = Extremes(self._extremes, _image)
        self._worst = Extremes(self._extremes, _image, largest=True)
        self._errors: list[Floats] = []
        self._mistaken: list[_Image] = []
        self._mistakes: list[Mistake] = []
        self._of_kind: dict[tuple[int, int], int] = {}
        self._images = 0

    def add(self, measured: Measured) -> None:
        """Adds a measured batch."""
        self._images += len(measured.paths)
        self._sample.add(measured.batch)
        if measured.mse is not None:
            self._errors.append(measured.mse)
            self._best.add(measured.batch, measured.mse)
            self._worst.add(measured.batch, measured.mse)
        elif measured.classified is not None:
            self._add_mistakes(measured.batch, *measured.classified)

    def findings(
        self, metrics: ReconstructionMetrics | None = None, methods: Sequence[str] = ()
    ) -> Findings:
        """Computes the contents of a report; for an autoencoder, with the metrics of the images.

        Maps are computed by PCA, and by each of the other `methods`, names of `maps.MAPS`. Raises
        ConfigError if a method needs a missing package, ModelFileError if the units' values are not
        finite.
        """
        sample, network = _shown(self._sample.kept), self._network
        network.cpu().eval()
        responses, features = _responses(network, sample.images)
        refuse_overflow(responses, features)
        maps = maps_of(features, methods)
        units = _units(network, sample.images, responses)
        if metrics is None:
            mistaken = _shown(self._mistaken) if self._mistaken else None
            return Findings(
                self._images, sample, units, maps, mistaken=mistaken, mistakes=self._mistakes
            )
        active = is_active(torch.from_numpy(responses), metrics.codes.active_above)
        assert not isinstance(network, Classifier)
        of_places = metrics.codes.rho_hat, metrics.codes.active
        rho_hat, fraction = (of.reshape(-1, network.places).mean(1).numpy() for of in of_places)
        code = CodeStatistics(rho_hat, fraction, active.sum(1).numpy())
        galleries = self._galleries()
        rival = self._rival(galleries["median"]) if galleries else None
        return Findings(self._images, sample, units, maps, code, galleries, rival)

    def _add_mistakes(
        self, batch: InputBatch, predictions: NDArray[np.int64], probabilities: Floats
    ) -> None:
        labels = np.array([self._numbers[str(label)] for label in batch.labels])
        for row in np.flatnonzero(labels != predictions):
            kind = (int(labels[row]), int(predictions[row]))
            of_kind = self._of_kind.get(kind, 0)
            if of_kind < MISTAKES_OF_A_KIND and len(self._mistaken) < MOST_MISTAKES:
                self._of_kind[kind] = of_kind + 1
                probability = float(probabilities[row])
                self._mistakes.append(Mistake(len(self._mistaken), *kind, probability))
                self._mistaken.append(_image(batch, int(row)))

    def _galleries(self) -> dict[str, Gallery]:
        """Galleries of the images with the smallest error, about the median error, the largest;
        none where no images are reconstructed.
        """
        if isinstance(self._network, PooledAutoencoder) and not self._network.gives_images:
            return {}
        errors = np.concatenate(self._errors)
        of_sample = errors[:: self._sample.step]
        median = np.argsort(np.abs(of_sample - np.median(errors)), kind="stable")
        median = median[: self._extremes]
        chosen = {
            "best": (self._best.kept, self._best.errors),
            "median": ([self._sample.kept[n] for n in median], of_sample[median]),
            "worst": (self._worst.kept, self._worst.errors),
        }
        made = self._reconstructed([image for images, _ in chosen.values() for image in images])
        return {
            name: Gallery(_shown(images), np.stack([made[image.path] for image in images]), mse)
            for name, (images, mse) in chosen.items()
        }

    def _rival(self, gallery: Gallery) -> Rival | None:
        """The images of the sample, compared with what is left of them after shrinking."""
        assert not isinstance(self._network, Classifier)
        if isinstance(self._network, PooledAutoencoder):
            return None
        numbers = self._network.code_size
        small = rival_shape(self._network.shape, numbers)
        if small is None:
            return None
        some = [image.pixels[None] for image in self._sample.kept[:COMPARED]]
        of_code = np.concatenate(self._errors)[:: self._sample.step][: len(some)]
        of_shrunk = [errors(one, shrunk_and_enlarged(one, small)) for one in some]
        shrunk = shrunk_and_enlarged(gallery.shown.images, small)
        return Rival(
            numbers, small, gallery, shrunk, errors(gallery.shown.images, shrunk),
            len(some), psnr(float(of_code.mean())), psnr(float(np.mean(of_shrunk))),
        )  # fmt: skip

    def _reconstructed(self, images: "list[_Image]") -> dict[str, Pixels]:
        """The reconstructions of images by their paths; of a few images, most stand in several
        galleries. As floats, there is one at a time.
        """
        assert not isinstance(self._network, Classifier)
        made: dict[str, Pixels] = {}
        for path, _, pixels in images:
            if path not in made:
                one = arrays.reconstruct_images(self._network, pixels[None])
                made[path] = to_bytes(one)[0]
        return made


class _Image(NamedTuple):
    """An image, (channels, height, width), with its path and label."""

    path: str
    label: str | None
    pixels: Pixels


def _image(batch: InputBatch, row: int) -> _Image:
    return _Image(batch.paths[row], batch.labels[row], batch.images[row].copy())


def _shown(images: Sequence[_Image]) -> Shown:
    return Shown(
        np.stack([image.pixels for image in images]),
        [image.path for image in images],
        [image.label for image in images],
    )


def _sample_size(network: ImageNetwork) -> int:
    """The size of the sample, limited by the page and by the memory for the codes."""
    pixels = math.prod(min(side, SAMPLE_SIDE) for side in network.shape[1:])
    wide = network.classes_count if isinstance(network, Classifier) else network.code_size
    wanted = min(MOST_SAMPLED, SAMPLED_PIXELS // pixels, SAMPLED_VALUES // wide)
    return min(max(LEAST_SAMPLED, wanted), _held(network))


def _held(network: ImageNetwork) -> int:
    """The number of a network's images that may be kept in memory."""
    return HELD_BYTES // math.prod(network.shape) or 1


@torch.inference_mode()
def _responses(network: ImageNetwork, images: Pixels) -> tuple[Floats, Floats]:
    """The values of the units, (n, units), and the features for maps, (n, features).

    For an autoencoder, both are its code, unless its features are pooled; for a
    classifier, the pre-activations of its first layer, and the input of its last layer.
    """
    responses, features = [], []
    for block in arrays.blocks(images, network):
        x = to_tensor(block, torch.device("cpu"))
        if isinstance(network, Classifier):
            responses.append(network.filter_responses(x))
            features.append(network.last_features(x))
        else:
            responses.append(network.unit_values(x))
            if isinstance(network, PooledAutoencoder):
                features.append(network.encode(x))
    made = torch.cat(responses).numpy()
    return made, torch.cat(features).numpy() if features else made


def _units(network: ImageNetwork, images: Pixels, responses: Floats) -> Units:
    filters = filters_of(network, images, MOST_UNITS, SAMPLE_SIDE)
    values = values_of(responses[:, : len(filters)], STRONGEST)
    drawn = not isinstance(network, Classifier) and network.draws
    return Units(**vars(values), total=responses.shape[1], filters=filters, drawn=drawn)
