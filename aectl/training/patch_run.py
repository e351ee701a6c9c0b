"""A run on patches of images: what it trains is the autoencoder inside a patch autoencoder."""

import numpy as np
import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.patching import Patching
from aectl.data.images.patches import drawn
from aectl.models.networks import PatchAutoencoder
from aectl.objectives.objective import Batch
from aectl.training.image_run import ImageRun, image_metrics
from aectl.training.image_sketch import EVALUATION_BATCH, PooledSketch
from aectl.training.initialisation import Start, begin, copy_weights
from aectl.training.loop import MemorySet

USUAL_PATCHES = 400_000
WHITENED = 100_000
"""Maximum number of patches that the whitening is computed from."""

PICTURES = 100
"""Maximum number of whole images that are measured after an epoch."""


class PatchSketch(PooledSketch):
    """A training on patches."""

    @property
    def learnt(self) -> int:
        """Number of patches that are trained on."""
        count = self.config.data.patches or USUAL_PATCHES
        return max(1, count - round(self.config.data.validation * count))

    @property
    def measured(self) -> int:
        """Number of whole images that are measured, each alone."""
        return min(PICTURES, self.inputs)

    @property
    def evaluation_batch(self) -> int:
        """Number of patches."""
        return EVALUATION_BATCH

    def batch(self, count: int) -> Batch:
        """Patches as floats."""
        shape = self.architecture.shape[0], *Patching.of(self.config.model).sides
        return Batch(torch.empty((count, *shape), dtype=torch.uint8) / 255, None)

    def begin(self, network: PatchAutoencoder) -> None:
        """Looks at some of the patches."""
        _begin(network, self.config, self.batch(min(WHITENED, self.learnt)).inputs)

    def measure(self, network: PatchAutoencoder, batch: Batch) -> None:
        """The metrics of a whole image."""
        super().measure(network, super().batch(1))


class PatchRun(ImageRun):
    """A run on patches, drawn at random places of the images, all equally probable.

    After an epoch, the reconstructions of some whole images are measured.
    """

    noun = "patches"
    sketch_class = PatchSketch
    network: PatchAutoencoder

    def _take(self, images: MemorySet, held_out: MemorySet) -> None:
        sides = Patching.of(self.config.model).sides
        count, seed = self.config.data.patches or USUAL_PATCHES, self.config.training.seed
        held = round(count * len(held_out) / (len(images) + len(held_out)))
        self._training = _patches(images, sides, count - held, seed)
        self._held_out = _patches(held_out, sides, held, seed + 1)
        measured = held_out if len(held_out) else images
        some = np.arange(min(PICTURES, len(measured))) * len(measured) // PICTURES
        self._pictures = measured.part(torch.from_numpy(some))

    def _begin(self, start: Start) -> None:
        if start.weights is not None:
            copy_weights(start.weights, self.network)
            return
        few = torch.arange(min(WHITENED, len(self._training)))
        _begin(self.network, self.config, self._training.part(few).whole().inputs)

    def _errors(self) -> None:
        """None: what is held out are patches, and what is measured whole images."""

    def _metrics(self) -> dict[str, float]:
        return image_metrics(self.network, self._pictures, 1)


def _begin(network: PatchAutoencoder, config: Config, patches: Tensor) -> None:
    """Fits the whitening to some patches, and initialises the weights with them."""
    assert config.model.whitening is not None
    network.encoder.whitening.fit(patches.flatten(1), config.model.whitening)
    begin(network.of_patches, config, Start(), network.below(patches))


def _patches(images: MemorySet, sides: tuple[int, int], count: int, seed: int) -> MemorySet:
    """A set of `count` patches, drawn from a set of images, where those lie."""
    if not len(images):
        return images
    pixels = drawn(images.images.cpu().numpy(), images.rows.cpu().numpy(), sides, count, seed)
    found = torch.from_numpy(pixels).to(images.images.device)
    rows = torch.arange(len(found), device=found.device)
    return MemorySet(found, None, rows, images.device)
