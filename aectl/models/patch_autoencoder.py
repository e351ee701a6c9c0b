"""The patch autoencoder: it learns from small patches, and is applied at every place of an image.

After Coates, Ng & Lee, An analysis of single-layer networks in unsupervised feature learning
(AISTATS 2011); the soft threshold is that of Coates & Ng, The importance of encoding versus
training (ICML 2011), section 3.2.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from aectl.config.patching import NO_POOLING, Patching
from aectl.config.shapes import Shape
from aectl.models.autoencoder import Autoencoder
from aectl.models.codes import Code
from aectl.models.pooling import POOLS, PooledAutoencoder, PooledEncoder
from aectl.models.whitening import Whitened, Whitening

Respond = Callable[[Tensor], list[Tensor]]


class PatchEncoder(PooledEncoder):
    """Gives the features of whole images: responses to the patch at each place, pooled.

    With a soft threshold, those of the positive responses stand before those of the negative.
    """

    whitening: Whitening

    def __init__(
        self,
        shape: Shape,
        patching: Patching,
        of_patches: Autoencoder,
        first: PooledEncoder | None = None,
    ) -> None:
        super().__init__(shape, patching, of_patches.code_size, first)
        self.whitening = Whitening(shape[0] * math.prod(patching.sides))
        self.of_patches = of_patches
        self.places = patching.places(shape)
        self._kept: tuple[object, Tensor] | None = None

    @property
    def code(self) -> Code:
        """The code of a patch."""
        code: Code = self.of_patches.encoder.code
        return code

    def whitened(self, images: Tensor) -> Whitened:
        """(n, channels, height, width) -> whitened patches of all places, (n, places, values)."""
        found: Whitened = self.whitening(self.patches(images))
        return found

    def patches(self, images: Tensor) -> Tensor:
        """(n, channels, height, width) -> the patches at all places, (n, places, values)."""
        (height, width), stride = self.patching.sides, self.patching.stride
        placed = images.unfold(2, height, stride).unfold(3, width, stride)
        return placed.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    def featuring(self) -> Callable[[Tensor], Tensor]:
        """The pooled responses in its own inputs, (n, channels, height, width) -> (n, code_size);
        the whitening is multiplied into the units once for all images."""
        return partial(self._features, self._responding())

    def _features(self, respond: Respond, images: Tensor) -> Tensor:
        centred = self.whitening.centred(self.patches(images)).values
        if self.patching.pool == NO_POOLING:
            return torch.cat(respond(centred), 2).flatten(1)
        pool, placed = POOLS[self.patching.pool], centred.view(-1, *self.places, centred.shape[2])
        found = [  # cell by cell, since the responses of one are still in the processor's cache
            pool(responses)
            for rows, columns in self.cells
            for responses in respond(placed[:, rows, columns].flatten(1, 2))
        ]
        return torch.cat(found, 1)

    def codes(self, whitened: Tensor) -> Tensor:
        """Whitened patches, (n, places, values) -> their codes, (n, places, units)."""
        code = self.of_patches.encode(whitened.flatten(0, 1))
        return code.view(-1, whitened.shape[1], code.shape[1])

    def own_filters(self) -> Tensor:
        """The whitened patch that each unit stands for, a column of the decoder."""
        directions = self.of_patches.decoder.directions
        return directions.t().reshape(-1, self.shape[0], *self.patching.sides)

    def _responding(self) -> Respond:
        """The function that gives, for centred patches (n, places, values), the code; or what is
        beyond the soft threshold, the positive and then the negative: (n, places, units) each.
        """
        threshold, matrix = self.patching.threshold, self.whitening.matrix
        if threshold is None:
            return lambda centred: [self.codes(centred @ matrix)]
        directions = self._whitened_directions()

        def beyond(centred: Tensor) -> list[Tensor]:
            products = centred @ directions
            return [(products - threshold).relu_(), (-threshold - products).relu_()]

        return beyond

    def _whitened_directions(self) -> Tensor:
        """The directions of length 1, multiplied by the whitening. They are kept until one of the
        two changes: of a second autoencoder, they take longer than the features of an image.
        """
        parts = self.whitening.matrix, self.of_patches.decoder.directions
        unknown = any(part.is_inference() for part in parts)  # whether they change
        if unknown or torch.is_grad_enabled() or torch.compiler.is_exporting():
            return _whitened(*parts)
        state = [(part.data_ptr(), part.device, part._version) for part in parts]
        if self._kept is None or self._kept[0] != state:
            self._kept = state, _whitened(*parts)
        return self._kept[1]


def _whitened(matrix: Tensor, directions: Tensor) -> Tensor:
    return matrix @ F.normalize(directions, dim=0)


class PatchAutoencoder(PooledAutoencoder):
    """An autoencoder of whitened patches, as a model of whole images.

    `encode` gives pooled features, which cannot be decoded; `reconstruct` encodes and decodes the
    patch at each place, keeps its mean and its contrast, and averages patches that overlap. What is
    trained is `of_patches`, an autoencoder of whitened patches.
    """

    encoder: PatchEncoder

    def __init__(self, shape: Shape, encoder: PatchEncoder) -> None:
        super().__init__(shape, "clamp" if encoder.first is None else "linear")
        self.encoder = encoder
        self.codes_per_image = math.prod(encoder.places)

    @property
    def of_patches(self) -> Autoencoder:
        """The autoencoder of whitened patches: (n, channels, height, width)."""
        return self.encoder.of_patches

    @property
    def trained(self) -> Autoencoder:
        """The autoencoder of whitened patches."""
        return self.of_patches

    def below(self, inputs: Tensor) -> Tensor:
        """Patches, (n, channels, height, width) -> the same, whitened."""
        found: Whitened = self.encoder.whitening(inputs.flatten(1))
        return found.values.view_as(inputs)

    def largest(self, targets: Tensor) -> Tensor:
        """-> (n, units): the code of largest magnitude of each unit, of all patches."""
        code = self.encoder.codes(self.encoder.whitened(targets).values)
        return code.gather(1, code.abs().argmax(1, keepdim=True))[:, 0]

    def codes_of(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(n, channels, height, width) -> the codes of all patches, (n, places, units), and the
        reconstructions before clamping; pixels without a patch are 0.
        """
        encoder, patching = self.encoder, self.encoder.patching
        whitened = encoder.whitened(targets)
        code = encoder.codes(whitened.values)
        made = self.of_patches.decoder(code.flatten(0, 1)).flatten(1)
        placed = made.view(-1, code.shape[1], made.shape[1])
        patches = encoder.whitening.undone(whitened._replace(values=placed)).mT
        total, count = (
            F.fold(one, targets.shape[2:], patching.sides, stride=patching.stride)
            for one in (patches, torch.ones_like(patches[:1]))
        )
        return code, total / count.clamp(min=1)
