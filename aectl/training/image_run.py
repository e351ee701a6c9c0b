"""A run on images: an autoencoder of them, or a classifier."""

import dataclasses
from collections.abc import Iterator
from functools import cached_property, partial

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.data.images.image_set import ImageSet
from aectl.data.images.pixels import Pixels
from aectl.data.sources import path_digest
from aectl.data.splits import few_labels, held_out
from aectl.errors import ConfigError
from aectl.inference.metrics import ReconstructionMetrics
from aectl.models.architecture import Architecture
from aectl.models.model_card import ModelCard
from aectl.models.networks import Autoencoder, Classifier, ImageNetwork, PooledAutoencoder
from aectl.models.training_record import HELD_OUT
from aectl.objectives.objective import objective
from aectl.training.capacity import explained
from aectl.training.image_sketch import ImageSketch, add_metrics
from aectl.training.initialisation import Start, begin, standardize
from aectl.training.loop import CPU, MemorySet
from aectl.training.run import Errors, Run, mean_error
from aectl.training.stack import Layer, layers_of
from aectl.training.stages import Stage

MOST_HELD_OUT = 100_000
"""Maximum number of files held out that a model file names."""


class ImageRun(Run):
    """A run on images; with `stack`, each layer is first trained alone."""

    noun = "images"
    sketch_class: type[ImageSketch] = ImageSketch
    data: ImageSet
    network: ImageNetwork
    sketch: ImageSketch
    _training: MemorySet
    _held_out: MemorySet

    def __init__(
        self,
        config: Config,
        images: ImageSet,
        device: torch.device,
        start: Start | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        self.config, self.data = config, images
        start = start or Start()
        self.architecture = architecture or _architecture(config, images, start)
        self.sketch = self._sketch(start)
        super().__init__(config, device, start)
        part, seed = config.data.validation, config.training.seed
        rows, self.held_out = held_out(images, part, seed)
        if config.data.labels:
            rows = few_labels(images, rows, config.data.labels, seed)
        with explained(self.sketch):
            whole = _on_device(images, device)
            held = torch.from_numpy(self.held_out)
            self._read(whole.part(torch.from_numpy(rows)), whole.part(held), start)

    def _sketch(self, start: Start) -> ImageSketch:
        """The training, of which nothing is built yet."""
        stored = self.data.images.nbytes
        kept = 0 if self.data.images.flags.writeable else stored  # they are copied
        settled = start.weights is not None or self.architecture.encoder is not None
        return self.sketch_class(
            self.config, self.architecture, len(self.data), stored, kept, settled
        )

    def _read(self, images: MemorySet, held_out: MemorySet, start: Start) -> None:
        """Takes what is trained on, and begins."""
        self._take(images, held_out)
        self._begin(start)

    def _take(self, images: MemorySet, held_out: MemorySet) -> None:
        """Sets what is trained on and what is measured, of images that are learnt and held out."""
        self._training = dataclasses.replace(images, crop=self.sketch.crop)
        self._held_out = held_out.middle(self.sketch.middle)
        self._sample = sampled(images, self.sketch.sampled, self.config.training.seed)

    def _begin(self, start: Start) -> None:
        """Initialises the weights."""
        if isinstance(self.network, Classifier) and self.network.encoder is not None:
            self.network.fine_tune_encoder(self.config.training.fine_tune)
        assert not isinstance(self.network, PooledAutoencoder)
        begin(self.network, self.config, start, self._sample.whole().inputs)
        if isinstance(self.network, Classifier) and start.weights is None:
            batches = self._sample.in_order(self.evaluation_batch)
            standardize(self.network, self.config, (batch.inputs for batch in batches))

    @property
    def stage_epochs(self) -> list[int]:
        """The epochs of each layer alone."""
        stack = self.config.training.stack
        return [stack] * len(self.architecture.hidden) if stack else []

    def _stages(self) -> Iterator[Stage]:
        """Each layer, with `stack`."""
        if not self.config.training.stack:
            return
        assert isinstance(self.network, Autoencoder)
        sample = self._sample.whole().inputs
        for layer in layers_of(self.network, self.architecture):
            yield Stage(
                layer.number,
                partial(objective, self.config, layer.network, layer.below),
                partial(_begin_layer, layer, self.config, sample),
            )

    def _metrics(self) -> dict[str, float]:
        return self._measured_on(self._held_out if len(self._held_out) else self._sample)

    def _errors(self) -> Errors | None:
        if isinstance(self.network, Classifier) or not len(self._held_out):
            return None
        both = (self._sample, self._held_out)
        return Errors(*(self._measured_on(images)["mse"] for images in both))

    def _measured_on(self, images: MemorySet) -> dict[str, float]:
        """The metrics on the middle of images."""
        network = self.sketch.measured_network(self.network)
        return image_metrics(network, images.middle(self.sketch.middle), self.evaluation_batch)

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


def _begin_layer(layer: Layer, config: Config, sample: Tensor) -> None:
    begin(layer.network, config, Start(), layer.below(sample))


def _architecture(config: Config, images: ImageSet, start: Start) -> Architecture:
    if KINDS[config.model.model].has_code:
        return Architecture(config.model, images.shape, encoder=start.below)
    if images.labels is None:
        raise ConfigError(
            f"a classifier learns from labels, and {images.name} has none;"
            " a folder has them where each class is a sub-folder"
        )
    return Architecture(config.model, images.shape, len(images.classes), start.below)


def _on_device(images: ImageSet, device: torch.device) -> MemorySet:
    """All images, on the device where half of its memory has room; none is copied on the CPU."""
    pixels = images.images if images.images.flags.writeable else images.images.copy()
    fits = device.type != "cuda" or pixels.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    there = device if fits else CPU
    labels = None if images.labels is None else torch.from_numpy(images.labels).to(there)
    rows = torch.arange(len(images), device=there)
    return MemorySet(torch.from_numpy(pixels).to(there), labels, rows, device)


def sampled(images: MemorySet, count: int, seed: int) -> MemorySet:
    """So many of the images, drawn at random, that measuring them costs little."""
    if len(images) <= count:
        return images
    generator = torch.Generator().manual_seed(seed)
    return images.part(torch.randperm(len(images), generator=generator)[:count])


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
