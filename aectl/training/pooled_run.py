"""Runs of autoencoders whose features are pooled; of a second one, on the features of a first."""

from abc import abstractmethod
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor

from aectl.config.shapes import Shape
from aectl.models import footprint
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.networks import ConvWTAAutoencoder, PatchAutoencoder, PooledAutoencoder
from aectl.objectives.step import Batch
from aectl.training.code_set import FEW, CodeSet, fill
from aectl.training.image_run import ImageRun, image_metrics
from aectl.training.image_sketch import ImageSketch, pixels
from aectl.training.initialisation import Start, stand_on_encoder
from aectl.training.loop import MemorySet
from aectl.training.measured import Errors
from aectl.training.memory_run import sampled
from aectl.training.state import RunState

PICTURES, ROOM_OF_PICTURES = 100, 1 << 32
"""Maximum number of whole images that are measured one by one after an epoch, and bytes of all of
their activations: of large images, fewer, or measuring takes longer than training."""

InputSet = MemorySet | CodeSet
"""Images, or their maps in a first encoder."""


class StackSketch(ImageSketch):
    """A training on images or, of a second autoencoder, on the maps of a first.

    What is trained is the network without the pooling.
    """

    def trained(self, network: PooledAutoencoder) -> AutoencoderBase:
        """The network without the pooling."""
        return network.trained

    def below(self, network: PooledAutoencoder) -> Callable[[Tensor], Tensor]:
        """Whitens its input, if the model does that."""
        return network.below

    @property
    def own_shape(self) -> Shape:
        """(channels, height, width) of the images or maps."""
        return cast(Shape, self.architecture.layer_input)

    most_mapped: int | None = None
    """Maximum number of images whose maps are computed, held out and others each;
    None: all."""

    def maps(self) -> Tensor | None:
        """Those that stay in memory."""
        if not self.architecture.stacked:
            return None
        held = round(self.config.data.validation * self.inputs)
        most = self.inputs if self.most_mapped is None else self.most_mapped
        return torch.empty(min(self.inputs - held, most) + min(held, most), *self.own_shape)

    def own_batch(self, count: int, shape: Shape) -> Batch:
        """Images as floats, or maps."""
        if self.architecture.stacked:
            return Batch(torch.empty(count, *shape), None)
        return Batch(pixels(count, shape), None)

    @property
    def pictures(self) -> int:
        """Maximum number of whole images that are measured."""
        return footprint.fitting(self.architecture, PICTURES, ROOM_OF_PICTURES)

    def measure_one(self, network: PooledAutoencoder) -> None:
        """The metrics of a whole image."""
        super().measure(network, super().batch(1))


class StackRun(ImageRun):
    """A run on images or, of a second autoencoder, on the pooled features of a first encoder.

    These are computed once: that encoder is not trained. Where a run is resumed, it is in the state
    that is restored.
    """

    network: PatchAutoencoder | ConvWTAAutoencoder
    sketch: StackSketch
    _pictures: MemorySet
    _training: InputSet  # type: ignore[assignment]
    _held_out: InputSet  # type: ignore[assignment]
    _sample: InputSet  # type: ignore[assignment]

    @abstractmethod
    def _learn_from(self, inputs: InputSet, held_out: InputSet) -> None:
        """Sets what is trained on and what is held out."""

    def _read(self, images: MemorySet, held_out: MemorySet, start: Start) -> None:
        if self.architecture.stacked and start.encoder is None:
            self._training, self._held_out = images, held_out
            return
        stand_on_encoder(self.network, start)
        super()._read(images, held_out, start)

    def _take(self, images: MemorySet, held_out: MemorySet) -> None:
        measured = held_out if len(held_out) else images
        count = min(self.sketch.pictures, len(measured))
        some = np.arange(count) * len(measured) // max(1, count)
        self._pictures = measured.part(torch.from_numpy(some))
        if self.architecture.stacked:
            self._learn_from(self._maps(images), self._maps(held_out))
        else:
            self._learn_from(images, held_out)

    def _errors(self) -> Errors | None:
        return None if self.architecture.stacked else super()._errors()

    def restore(self, state: RunState, longer: bool = False) -> None:
        """Lets `epochs()` go on from a state; the maps of a first encoder are computed anew.

        Raises ModelFileError where it does not fit the config and the images.
        """
        super().restore(state, longer)
        if self.architecture.stacked:
            self._take(cast(MemorySet, self._training), cast(MemorySet, self._held_out))

    def _metrics(self) -> dict[str, float]:
        return image_metrics(self.network, self._pictures, 1)

    def _maps(self, images: MemorySet) -> CodeSet:
        """The pooled features of images, or of some of them, as maps."""
        self.network.eval()
        if self.sketch.most_mapped is not None:
            images = sampled(images, self.sketch.most_mapped, self.config.training.seed)
        maps = torch.empty(len(images), *self.network.encoder.shape, device=self.device)
        for _ in fill(maps, images, self.network.targets, FEW):
            pass
        return CodeSet(maps)


def some_of(inputs: InputSet, count: int, seed: int) -> InputSet:
    """At most `count` of the images or maps, in the same memory."""
    return inputs.spaced(count) if isinstance(inputs, CodeSet) else sampled(inputs, count, seed)


def sample_of(inputs: InputSet, count: int, seed: int) -> Tensor:
    """At most `count` of the images or maps: (n, channels, height, width), as floats."""
    found = some_of(inputs, count, seed)
    return found.codes if isinstance(found, CodeSet) else found.whole().inputs
