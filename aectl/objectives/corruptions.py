"""Random changes of inputs in training: noise, small shifts, flips, replaced tokens.

Pure functions of tensors; random numbers come from torch's random state on the images' device.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from aectl.config.shapes import PAD


def masked(images: Tensor, level: float) -> Tensor:
    """Sets each value to 0 with probability `level` (Vincent et al. 2010, section 3.3)."""
    return images * (torch.rand_like(images) >= level)


def salt_and_pepper(images: Tensor, level: float) -> Tensor:
    """Sets each value to 0 with probability `level` / 2, and to 1 with the same probability."""
    draws = torch.rand_like(images)
    peppered = torch.where(draws < 0.5 * level, 0.0, images)
    return torch.where(draws >= 1 - 0.5 * level, 1.0, peppered)


def gaussian(images: Tensor, level: float) -> Tensor:
    """Adds normal noise with the standard deviation `level` to each value."""
    return images + level * torch.randn_like(images)


def shifted(images: Tensor, most: int) -> Tensor:
    """Shifts each image, (batch, channels, height, width), by up to `most` pixels.

    All whole numbers from -most to most are equally probable, vertically and horizontally; the
    border is filled with black.
    """
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (most,) * 4)
    top, left = torch.randint(2 * most + 1, (2, count, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    numbers = torch.arange(count, device=images.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[numbers, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def flipped(images: Tensor) -> Tensor:
    """Flips each image, (batch, channels, height, width), horizontally with probability 1/2."""
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def swapped(tokens: Tensor, fraction: float) -> Tensor:
    """Replaces a `fraction` of the tokens, (batch, length), by tokens drawn from the whole batch.

    PAD is never replaced, and never drawn.
    """
    there = tokens != PAD
    known_first, count = tokens.flatten()[(~there).flatten().argsort(stable=True)], there.sum()
    drawn = (torch.rand(tokens.shape, device=tokens.device) * count).long()
    others = known_first[torch.minimum(drawn, count - 1)]  # rounding may give the count
    replaced = (torch.rand(tokens.shape, device=tokens.device) < fraction) & there
    return torch.where(replaced, others, tokens)


NOISE: dict[str, Callable[[Tensor, float], Tensor]] = {
    "masking": masked,
    "salt-and-pepper": salt_and_pepper,
    "gaussian": gaussian,
}
