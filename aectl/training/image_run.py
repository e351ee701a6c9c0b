"""A run on images: an autoencoder of them, or a classifier."""

import dataclasses
from functools import cached_property
from typing import Any

import torch

from aectl.data.images.image_set import ImageSet
from aectl.data.images.pixels import Pixels
from aectl.data.sources import path_digest
from aectl.inference.metrics import ReconstructionMetrics
from aectl.models.model_card import ModelCard
from aectl.models.networks import Classifier, ImageNetwork
from aectl.models.training_record import HELD_OUT
from aectl.training.image_sketch import ImageSketch
from aectl.training.loop import MemorySet
from aectl.training.measured import mean_error
from aectl.training.memory_run import MemoryRun
from aectl.training.memory_sketch import add_metrics

MOST_HELD_OUT = 100_000
"""Maximum number of files held out that a model file names."""


class ImageRun(MemoryRun):
    """A run on images."""

    noun = "images"
    labels_are = "a folder has them where each class is a sub-folder"
    sketch_class: type[ImageSketch] = ImageSketch
    data: ImageSet
    network: ImageNetwork
    sketch: ImageSketch
    _training: MemorySet
    _held_out: MemorySet
    _sample: MemorySet

    @property
    def _stored(self) -> tuple[int, float]:
        stored = self.data.images.nbytes
        return stored, 0 if self.data.images.flags.writeable else stored  # they are copied

    def _on_device(self) -> MemorySet:
        """All images; none is copied on the CPU."""
        images = self.data
        pixels = images.images if images.images.flags.writeable else images.images.copy()
        there = self._place(pixels.nbytes)
        labels = None if images.labels is None else torch.from_numpy(images.labels).to(there)
        rows = torch.arange(len(images), device=there)
        return MemorySet(torch.from_numpy(pixels).to(there), labels, rows, self.device)

    def _take(self, images: Any, held_out: Any) -> None:
        """Sets what is trained on and what is measured, of images that are learnt and held out."""
        super()._take(images, held_out)
        self._training = dataclasses.replace(self._training, crop=self.sketch.crop)
        self._held_out = self._held_out.middle(self.sketch.middle)

    def _measured_on(self, images: MemorySet) -> dict[str, float]:
        """The metrics on the middle of images."""
        network = self.sketch.measured_network(self.network)
        middle = images.middle(self.sketch.middle)
        return image_metrics(network, middle, self.evaluation_batch)

    def card(self) -> ModelCard:
        """The description of this run in a model file."""
        card = super().card()
        training = {**card.training, **self._files_held_out}
        value_range = self.config.data.value_range
        return dataclasses.replace(card, value_range=value_range, training=training)

    @cached_property
    def _files_held_out(self) -> dict[str, list[str]]:
        """The field of a training record that says which files were held out, unless these are a
        set of their own, or too many."""
        images = self.data
        if images.held_out is not None or not 0 < len(self.held_out) <= MOST_HELD_OUT:
            return {}
        paths = [images.path(row) for row in self.held_out.tolist()] if images.paths else []
        return {HELD_OUT: [path_digest(path) for path in paths]} if paths else {}

    @torch.inference_mode()
    def reconstructions(self, images: Pixels) -> Pixels:
        """Current reconstructions of images, both (n, channels, height, width), 0 to 255.

        For use while `epochs()` waits after an epoch.
        """
        assert not isinstance(self.network, Classifier)
        x = torch.from_numpy(images).to(self.device).float() / 255
        made = self.network.eval().reconstruct(x).clamp(0, 1) * 255
        return made.round().byte().cpu().numpy()


@torch.no_grad()
def image_metrics(network: ImageNetwork, images: MemorySet, batch_size: int) -> dict[str, float]:
    """The metrics of a network, in eval mode, on images, as columns of `metrics.csv`."""
    network.eval()
    if isinstance(network, Classifier):
        return mean_error(network, images.in_order(batch_size))
    metrics = ReconstructionMetrics(network.active_above)
    for batch in images.in_order(batch_size):
        add_metrics(metrics, network, batch.inputs)
    result = metrics.result()
    return {name: result[name] for name in ("mse", "mean_activation", "l0", "dead")}
