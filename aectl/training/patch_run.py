"""A run on patches of images: what it trains is the autoencoder inside a patch autoencoder."""

import dataclasses

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.patching import Patching
from aectl.data.images.patches import drawn
from aectl.models.networks import PatchAutoencoder
from aectl.objectives.step import Batch
from aectl.training.code_set import CodeSet
from aectl.training.image_sketch import OF_KINDS
from aectl.training.initialisation import Start, begin, copy_weights
from aectl.training.loop import MemorySet
from aectl.training.memory_sketch import EVALUATION_BATCH
from aectl.training.pooled_run import InputSet, StackRun, StackSketch, some_of
from aectl.training.scale import Change, Sketch

USUAL_PATCHES = 400_000
WHITENED = 100_000
"""Maximum number of patches that the whitening is computed from."""

MAPPED = 10_000
"""Maximum number of images from whose maps patches are drawn: the features of a wide encoder take
long, and the maps of all images much memory."""

SAMPLED = 40_000
"""Maximum number of patches that the threshold of a code is settled with: few of them hold much of
what an image shows, and differ in their number of active units."""


class PatchSketch(StackSketch):
    """A training on patches."""

    most_mapped = MAPPED

    @property
    def learnt(self) -> int:
        """Number of patches that are trained on."""
        count = self.config.data.patches or USUAL_PATCHES
        return max(1, count - round(self.config.data.validation * count))

    @property
    def measured(self) -> int:
        """Number of whole images that are measured, each alone."""
        return min(self.pictures, self.inputs)

    @property
    def evaluation_batch(self) -> int:
        """Number of patches."""
        return EVALUATION_BATCH

    def batch(self, count: int) -> Batch:
        """Patches as floats."""
        channels = self.own_shape[0]
        return self.own_batch(count, (channels, *Patching.of(self.config.model).sides))

    def pieces(self) -> list[Change]:
        """The stride: the places of an image at which a patch is encoded."""
        return [Change(-(-max(self.sides) // self.config.model.stride), self._of_places, 2)]

    def _of_places(self, count: int) -> tuple[Sketch, str]:
        """With at most so many places along the longer side of an image."""
        stride = -(-max(self.sides) // count)
        model = dataclasses.replace(self.config.model, stride=stride)
        Patching.of(model).check(self.own_shape)
        return self.with_model(model), f"--stride {stride}"

    def begin(self, network: PatchAutoencoder) -> Tensor | None:
        """Looks at some of the patches; those of maps stay, and the maps do not."""
        maps = self.maps()
        patches = None if maps is None else self.batch(self.learnt).inputs
        del maps
        _begin(network, self.config, self.batch(min(WHITENED, self.learnt)).inputs)
        return patches

    def measure(self, network: PatchAutoencoder, batch: Batch) -> None:
        """The metrics of a whole image."""
        self.measure_one(network)


OF_KINDS["patch-autoencoder"] = PatchSketch


class PatchRun(StackRun):
    """A run on patches, drawn at random places of the images, all equally probable.

    After an epoch, the reconstructions of some whole images are measured.
    """

    noun = "patches"
    sketch_class = PatchSketch
    network: PatchAutoencoder

    def _learn_from(self, inputs: InputSet, held_out: InputSet) -> None:
        sides = Patching.of(self.config.model).sides
        count, seed = self.config.data.patches or USUAL_PATCHES, self.config.training.seed
        held = round(count * len(held_out) / (len(inputs) + len(held_out)))
        self._training = _patches(inputs, sides, count - held, seed)
        self._held_out = _patches(held_out, sides, held, seed + 1)
        self._sample = some_of(self._training, SAMPLED, seed)

    def _begin(self, start: Start) -> None:
        if start.weights is not None:
            copy_weights(start.weights, self.network)
            return
        few = next(self._training.in_order(min(WHITENED, len(self._training)))).inputs
        _begin(self.network, self.config, few)

    def _errors(self) -> None:
        """None: what is held out are patches, and what is measured whole images."""


def _begin(network: PatchAutoencoder, config: Config, patches: Tensor) -> None:
    """Fits the whitening to some patches, and initialises the weights with them."""
    assert config.model.whitening is not None
    network.encoder.whitening.fit(patches.flatten(1), config.model.whitening)
    begin(network.of_patches, config, Start(), network.below(patches))


def _patches(inputs: InputSet, sides: tuple[int, int], count: int, seed: int) -> InputSet:
    """A set of `count` patches, drawn from a set of images or maps, where those lie."""
    if not len(inputs):
        return inputs
    whole = inputs.codes if isinstance(inputs, CodeSet) else inputs.images
    rows = torch.arange(len(whole)) if isinstance(inputs, CodeSet) else inputs.rows
    pixels = drawn(whole.cpu().numpy(), rows.cpu().numpy(), sides, count, seed)
    found = torch.from_numpy(pixels).to(whole.device)
    if isinstance(inputs, CodeSet):
        return CodeSet(found)
    return MemorySet(found, None, torch.arange(len(found), device=found.device), inputs.device)
