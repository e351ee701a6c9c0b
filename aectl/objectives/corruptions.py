"""What chance does to images in training: noise on what the network sees, and small shifts.

Pure functions of tensors; random numbers come from torch's own state on the images' device.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from aectl.config.shapes import PAD


def masked(images: Tensor, level: float) -> Tensor:
    """Each number is 0 with probability `level` (Vincent et al. 2010, section 3.3)."""
    return images * (torch.rand_like(images) >= level)


def salt_and_pepper(images: Tensor, level: float) -> Tensor:
    """Each number is struck with probability `level`, and then 0 or 1 with equal chances."""
    chance = torch.rand_like(images)
    struck = torch.where(chance < 0.5 * level, 0.0, images)
    return torch.where(chance >= 1 - 0.5 * level, 1.0, struck)


def gaussian(images: Tensor, level: float) -> Tensor:
    """Normal noise with the standard deviation `level` is added to each number."""
    return images + level * torch.randn_like(images)


def shifted(images: Tensor, most: int) -> Tensor:
    """Each image, (batch, channels, height, width), moved by up to `most` pixels each way.

    Every whole step from -most to most is as likely, down and across alike; black moves in.
    """
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (most,) * 4)
    top, left = torch.randint(2 * most + 1, (2, count, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    numbers = torch.arange(count, device=images.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[numbers, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def swapped(tokens: Tensor, part: float) -> Tensor:
    """tokens (batch, length), a `part` of them replaced by others, drawn from the whole batch.

    PAD stays where it is, and is never drawn.
    """
    there = tokens != PAD
    known = tokens[there]
    others = known[torch.randint(len(known), tokens.shape, device=tokens.device)]
    struck = (torch.rand(tokens.shape, device=tokens.device) < part) & there
    return torch.where(struck, others, tokens)


NOISE: dict[str, Callable[[Tensor, float], Tensor]] = {
    "masking": masked,
    "salt-and-pepper": salt_and_pepper,
    "gaussian": gaussian,
}
