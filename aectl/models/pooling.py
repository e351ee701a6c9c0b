"""Autoencoders whose features are pooled over the places of an image."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.patching import Patching
from aectl.config.shapes import Shape
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.whitening import Whitening

POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda responses: responses.sum(1),
    "mean": lambda responses: responses.mean(1),
    "max": lambda responses: responses.amax(1),
}
"""The poolings of responses, (n, places, units) -> (n, units), by the names that users type."""


class PooledEncoder(nn.Module):
    """Gives the features of whole images, which are pooled.

    Images are processed one by one, so that the features of one do not depend on the others.
    Features stand cell after cell, row by row; in each, those of all units. With a `first` encoder,
    which is not trained, its pooled features are the input, as maps; `patching.beside` adds them,
    pooled over its own cells, after its own features of each cell.

    `shape`: that of its own input, (channels, height, width).
    """

    first: "PooledEncoder | None"
    whitening: Whitening | None

    def __init__(
        self, shape: Shape, patching: Patching, units: int, first: "PooledEncoder | None"
    ) -> None:
        super().__init__()
        self.patching, self.cells, self.shape = patching, patching.cells(shape), shape
        self.pooled_shape = patching.shape_with_first(shape, units)
        self.code_size = math.prod(self.pooled_shape)
        self.first = first if first is None else first.requires_grad_(False).eval()

    @abstractmethod
    def featuring(self) -> Callable[[Tensor], Tensor]:
        """The function of its own inputs, (n, channels, height, width), that gives its own features
        of them, without mirroring: (n, cells * features of a cell)."""

    @abstractmethod
    def own_filters(self) -> Tensor:
        """The filter of each unit: (units, channels, height, width) in its own input."""

    def train(self, mode: bool = True) -> Self:
        """Sets training mode for its own modules."""
        super().train(mode)
        if self.first is not None:
            self.first.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> features: (batch, code_size)."""
        own = self.featuring()
        features = self._beside_first(own) if self.patching.beside else own
        both = (images, images.flip(3)) if self.patching.mirror else (images,)
        found: Tensor = one_by_one(
            lambda *views: self._powered(reduce(torch.add, map(features, views))),
            *map(self.own_input, both),
        )
        return found

    def _beside_first(self, own: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The function of its own inputs, the maps of the first encoder, that gives the features of
        both.
        """
        pool, cells = POOLS[self.patching.pool], self.patching.over(self.shape)

        def both(maps: Tensor) -> Tensor:
            of_cells = torch.unflatten(own(maps), 1, (len(cells), -1))
            pooled = [pool(maps[:, :, *cell].flatten(2).mT) for cell in cells]
            return torch.cat([of_cells, torch.stack(pooled, 1)], 2).flatten(1)

        return both

    def _powered(self, features: Tensor) -> Tensor:
        """sign(x) |x|^power: the power normalization of Perronnin, Sanchez & Mensink, Improving the
        Fisher kernel for large-scale image classification (ECCV 2010), section 3.2.
        """
        power = self.patching.power
        return features if power == 1 else features.sign() * features.abs() ** power

    def own_input(self, images: Tensor) -> Tensor:
        """The images, or their pooled features in the first encoder: (batch, *shape)."""
        return images if self.first is None else self.first.maps(images)

    def maps(self, images: Tensor) -> Tensor:
        """images -> their features as maps: (batch, units, rows, columns)."""
        return self.as_maps(self(images))

    def as_maps(self, features: Tensor) -> Tensor:
        """features: (batch, code_size) -> the same as maps, as `maps` gives them."""
        units, rows, columns = self.pooled_shape
        return features.view(-1, rows, columns, units).movedim(-1, 1).contiguous()

    def filters(self) -> Tensor:
        """The pattern in an image that each map of features stands for: (units, channels, height,
        width).

        Of a second encoder, each value of a filter draws the filter of the first encoder in its
        place, at the distance of the cells.
        """
        found = self.own_filters()
        if self.first is not None:
            height, width = (
                max(1, round(side / cells))
                for side, cells in zip(self.first.shape[1:], self.shape[1:], strict=True)
            )
            drawn = self.first.filters()
            found = F.conv_transpose2d(found, drawn, stride=(height, width))
        if self.patching.threshold is not None:
            found = torch.cat([found, -found])
        if self.first is not None and self.patching.beside:
            found = torch.cat([found, _middle(drawn, found.shape[2:])])
        return found


class PooledAutoencoder(AutoencoderBase):
    """An autoencoder whose features are pooled over the places of an image.

    `encode` gives pooled features, which cannot be decoded; `reconstruct` decodes the code of every
    place. With a first encoder, what is reconstructed is the maps of that.
    """

    encoder: PooledEncoder
    draws = True

    @property
    def gives_images(self) -> bool:  # type: ignore[override]
        """Whether it stands on no other encoder."""
        return self.encoder.first is None

    @property
    @abstractmethod
    def trained(self) -> AutoencoderBase:
        """The network that is trained; its code is not pooled."""

    @abstractmethod
    def below(self, inputs: Tensor) -> Tensor:
        """Its own input -> the input of the network that is trained, whitened."""

    @abstractmethod
    def codes_of(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Its own inputs, (n, channels, height, width) -> the codes, (n, rows, units), and the
        reconstructions before the output's activation, of the shape of the inputs.
        """

    @abstractmethod
    def largest(self, targets: Tensor) -> Tensor:
        """Its own inputs, (n, channels, height, width) -> (n, units): the value of largest
        magnitude of each unit.
        """

    def traced(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Its own input -> the codes, of one or more rows an image, and the reconstructions before
        the output's activation.
        """
        codes, made = one_by_one(self.codes_of, targets)
        return codes.flatten(0, 1), made

    def targets(self, images: Tensor) -> Tensor:
        """images -> its own input: themselves, or the maps of the first encoder."""
        return self.encoder.own_input(images)

    def by_place(self, code: Tensor) -> Tensor:
        """Features -> those of each cell: (batch, units, rows, columns)."""
        return self.encoder.as_maps(code)

    def unit_values(self, images: Tensor) -> Tensor:
        """images -> (batch, units): the value of largest magnitude of each unit."""
        found: Tensor = one_by_one(self.largest, self.targets(images))
        return found

    def filters(self) -> Tensor:
        """The pattern in an image that each unit stands for: (units, channels, height, width)."""
        return self.encoder.filters()[: self.trained.code_size]

    def decode(self, code: Tensor) -> Tensor:
        """Raises NotImplementedError: pooled features do not determine an image."""
        raise NotImplementedError("pooled features cannot be decoded; reconstruct takes images")


def _middle(filters: Tensor, sides: Sequence[int]) -> Tensor:
    """Filters in the middle of larger ones of these sides, which are 0 around them."""
    height, width = (side - own for side, own in zip(sides, filters.shape[2:], strict=True))
    return F.pad(filters, (width // 2, width - width // 2, height // 2, height - height // 2))


def one_by_one(function: Callable[..., Any], *batches: Tensor) -> Any:
    """The result of a function of batches, a tensor or a tuple of them, computed for one input
    after the other, so that none depends on the others; in an exported program, for all at once.
    """
    if torch.compiler.is_exporting():
        return function(*batches)
    found = [
        function(*inputs) for inputs in zip(*(torch.split(one, 1) for one in batches), strict=True)
    ]
    if isinstance(found[0], Tensor):
        return torch.cat(found)
    return tuple(map(torch.cat, zip(*found, strict=True)))
